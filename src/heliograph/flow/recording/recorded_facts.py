"""The facts of a recording that a test can assert: sends with receivers, calls, and calls that wait in the outbox."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from heliograph.dispatch.describe import describe, full_name
from heliograph.dispatch.observed_events import Called, PutOff, Sent
from heliograph.flow.recording.importable_names import Importable, importable, importable_signal
from heliograph.outbox.durable.durable_options import DurableOptions

Values = tuple[tuple[str, str], ...]  # the names that were asked for, with their values as Python writes them

# Receivers of these packages are no receivers of the project.
_OF_OTHERS = ("django.", "heliograph.")


@dataclass(frozen=True)
class Fact:
    """An assertion that the test makes."""

    verb: str  # "signals.assert_sent", or another one
    about: Importable  # the signal or the receiver
    sender: Importable | str | None  # a class, or another value as Python writes it; None for none
    values: Values
    error: Importable | None = None  # the class of the error that the receiver has raised


@dataclass(frozen=True)
class Recording:
    """The facts of a recording: those that a test can assert, and notes about the others."""

    facts: tuple[Fact, ...]
    unnamed: tuple[str, ...]  # what a test cannot import, in words
    databases: tuple[str, ...]  # the aliases of the databases that sends were about
    names: tuple[str, ...]  # the names of the values that could be asked for


def recording_of(events: Iterable[Any], wanted: Collection[str]) -> Recording:
    """Return what a test can assert of the events of a trace, with the values of these names."""
    by_number = {event.number: event for event in events if isinstance(event, Sent | Called | PutOff)}
    calls = [event for event in by_number.values() if isinstance(event, Called | PutOff) and _is_of_project(event)]
    found = [(_send_of(call, by_number), call) for call in sorted(calls, key=_called_first)]
    sends = {send.number: send for send, _ in found if send is not None}
    facts = [_sent(sends[number], wanted) for number in sorted(sends)]
    facts += [_made(send, call, wanted) for send, call in found if not _is_later(call)]
    return Recording(
        facts=tuple(dict.fromkeys(fact for fact in facts if isinstance(fact, Fact))),
        unnamed=tuple(dict.fromkeys(fact for fact in facts if isinstance(fact, str))),
        databases=tuple(sorted({str(send.kwargs["using"]) for send in sends.values() if send.kwargs.get("using")})),
        names=tuple(sorted({name for send in sends.values() for name, _ in _values(send, send.kwargs)})),
    )


def _called_first(call: Called | PutOff) -> tuple[bool, int]:
    return isinstance(call, PutOff), call.number


def _is_of_project(call: Called | PutOff) -> bool:
    return not full_name(call.receiver).startswith(_OF_OTHERS)


def _is_later(call: Called | PutOff) -> bool:
    """Return whether a call was only put off: if it was made, it has an event of its own, unless a worker makes it."""
    return isinstance(call, PutOff) and not isinstance(call.policy, DurableOptions)


def _send_of(call: Called | PutOff, by_number: dict[int, Any]) -> Sent | None:
    """Return the send of a call, perhaps behind the event that has put it off."""
    cause = by_number.get(call.parent or 0)
    return _send_of(cause, by_number) if isinstance(cause, PutOff) else cause


def _sent(send: Sent, wanted: Collection[str]) -> Fact | str:
    signal = importable_signal(send.signal)
    if signal is None:
        return f"the signal {send.signal!r}"
    return Fact("signals.assert_sent", signal, _sender(send.sender), tuple(_values(send, wanted)))


def _made(send: Sent | None, call: Called | PutOff, wanted: Collection[str]) -> Fact | str:
    receiver, values = importable(call.receiver), tuple(_values(send, wanted)) if send else ()
    if receiver is None:
        return describe(call.receiver)
    if isinstance(call, PutOff):
        return Fact("outbox.assert_enqueued", receiver, _sender(call.sender), values)
    error = _error(call.outcome) if isinstance(call.outcome, BaseException) else None
    return Fact("signals.assert_called", receiver, _sender(call.sender), values, error)


def _error(error: BaseException) -> Importable | None:
    """Return the class of an error, or the next class above it that can be imported."""
    return next(found for one in type(error).__mro__ if (found := importable(one)) is not None)


def _sender(sender: Any) -> Importable | str | None:
    if isinstance(sender, type):
        return importable(sender)
    return None if sender is None else _written(sender)


def _values(send: Sent, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in wanted:
        text = _written(send.kwargs[name]) if name in send.kwargs else None
        if text is not None:
            yield name, text


def _written(value: Any) -> str | None:
    """Return a value as Python writes it; None for a value that has no such text, such as a row."""
    try:
        text = repr(value)
        return text if ast.literal_eval(text) == value else None
    except Exception:  # of the text of an object of the project
        return None
