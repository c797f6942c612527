"""Assertions about sends: which signals were sent, from whom, with which values, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from heliograph.bulk.signals import WriteSignal
from heliograph.catalogue import title
from heliograph.dispatch import Sent
from heliograph.flow.tree_text import sender_name
from heliograph.testing.counted import failure, section, verify_count, verify_none
from heliograph.testing.matching import Found, Wanted, is_from, lines_of, nearest_first
from heliograph.testing.verified_arguments import verify_names, verify_signal

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


def assert_sent(sends: Sequence[Sent], signal: Any, wanted: Wanted, times: int | None) -> Sent:
    """Return the first send of a signal with the wanted values; AssertionError lists the sends that there were."""
    verify_signal(signal)
    matching = _matching(sends, signal, wanted)
    verify_count(title(signal), "sent", wanted, len(matching), times, _listing(sends, signal, wanted))
    return matching[0]


def assert_not_sent(sends: Sequence[Sent], signal: Any, wanted: Wanted) -> None:
    """Raise AssertionError, which lists the sends, if a signal was sent with the unwanted values.

    Raises TypeError for a name that the signal never sends.
    """
    verify_signal(signal)
    verify_names(signal, wanted.values)
    verify_none(title(signal), "sent", wanted, [_found_in(one) for one in _matching(sends, signal, wanted)])


def assert_sent_in_order(sends: Sequence[Sent], wanted: Sequence[Any]) -> None:
    """Raise AssertionError unless signals were sent in an order, perhaps with others in between.

    Each is a signal, or a pair of a signal and a sender. Raises TypeError for anything else, and for none.
    """
    pairs = [*map(_pair, wanted)]
    if not pairs:
        raise TypeError("assert_sent_in_order() takes signals, in the order in which they are to be sent.")
    begins, before = 0, ""
    for pair in pairs:
        at = next((at for at in range(begins, len(sends)) if _is_of(sends[at], pair)), None)
        if at is None:
            raise failure(f"{_shown(pair)} was not sent{before}.", _in_order(sends, pairs))
        begins, before = at + 1, f" after {_shown(pair)}"


def _pair(one: Any) -> tuple[Any, Any]:
    if isinstance(one, tuple) and len(one) != 2:
        raise TypeError(f"assert_sent_in_order() takes signals and pairs of a signal and a sender, not {one!r}.")
    signal, sender = one if isinstance(one, tuple) else (one, None)
    verify_signal(signal)
    return signal, sender


def _matching(sends: Sequence[Sent], signal: Any, wanted: Wanted) -> list[Sent]:
    return [one for one in sends if one.signal is signal and wanted.matches(_found_in(one))]


def _found_in(sent: Sent) -> Found:
    return Found(title(sent.signal), sent.sender, sent.kwargs)


def _listing(sends: Sequence[Sent], signal: Any, wanted: Wanted) -> Iterator[str]:
    """Yield lines about the sends of a signal, or about all sends if there are none."""
    of_signal = [_found_in(one) for one in sends if one.signal is signal]
    if of_signal:
        yield from section("It was sent, the nearest first:", nearest_first(of_signal, wanted))
        return
    if isinstance(signal, WriteSignal):
        yield "It is sent only where somebody receives it: open capture() of this signal around the write."
    others = nearest_first(map(_found_in, sends), wanted)
    yield from section("These were sent, the nearest first:", others) or ["No signal was sent."]


def _is_of(sent: Sent, pair: tuple[Any, Any]) -> bool:
    signal, sender = pair
    return sent.signal is signal and (sender is None or is_from(sent.sender, sender))


def _in_order(sends: Sequence[Sent], pairs: Sequence[tuple[Any, Any]]) -> list[str]:
    """Return lines about the sends of the asked signals, in their order."""
    signals = [signal for signal, _ in pairs]
    of_signals = [one for one in sends if any(one.signal is signal for signal in signals)]
    return section("Sent, in this order:", lines_of([*map(_found_in, of_signals)]))


def _shown(pair: tuple[Any, Any]) -> str:
    signal, sender = pair
    return title(signal) if sender is None else f"{title(signal)} from {sender_name(sender)}"
