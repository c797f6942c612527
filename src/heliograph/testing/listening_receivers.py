"""Finding the connection of a receiver, which a test names by its function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from heliograph.catalogue import carried, title
from heliograph.dispatch import inspect, live_signals
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import describe, full_name
from heliograph.dispatch.inspection import Connected, connections_of
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.scopes import same_sender
from heliograph.flow.tree_text import sender_name
from heliograph.testing.counted import failure, section
from heliograph.testing.matching import is_from, lines_of, shown, text_of
from heliograph.testing.verified_arguments import verify_receiver

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Receiver = Callable[..., Any]


class ConnectedTo(NamedTuple):
    """A signal with a connection of a receiver."""

    signal: Any
    connection: Connection

    def __str__(self) -> str:
        sender = self.connection.sender
        return title(self.signal) if sender is None else f"{title(self.signal)} from {sender_name(sender)}"


def connections_to(receiver: Receiver) -> list[ConnectedTo]:
    """Return the connections of a receiver to all signals.

    Raises LookupError if it has none, and TypeError for what is no function.
    """
    verify_receiver(receiver, "deliver() or perform()")
    signals = live_signals()
    found = [ConnectedTo(one, to) for one in signals for to in connections_of(one) if to.receiver() == receiver]
    if not found:
        raise LookupError(f"{describe(receiver)} is connected to no signal: import the module that connects it.")
    return found


def chosen(receiver: Receiver, signal: Any, sender: Any, names: Mapping[str, Any]) -> ConnectedTo:
    """Return the connection of a receiver that is called for a send.

    Without a signal, it is the one that sends these names. Raises LookupError if there is none, and if there are
    several signals.
    """
    connected = connections_to(receiver)
    found = [one for one in connected if _may_be_sent(one, signal, sender, names)]
    if found and all(one.signal is found[0].signal for one in found):
        return found[0]
    there = f"{describe(receiver)} is connected to {', '.join(map(str, connected))}"
    if found:
        raise LookupError(f"{there}: name signal=, and sender= if it has several.")
    raise LookupError(
        f"{there}, and {_described(signal, sender, names)} does not reach it: name what one of these sends."
    )


def _described(signal: Any, sender: Any, names: Mapping[str, Any]) -> str:
    """Return the words for a send that a test describes."""
    of_signal = "" if signal is None else f" of {title(signal) if is_signal(signal) else repr(signal)}"
    from_sender = "" if sender is None else f" from {sender_name(sender)}"
    with_names = f" with {', '.join(names)}" if names else ""
    return f"a send{of_signal}{from_sender}{with_names}"


def _may_be_sent(one: ConnectedTo, signal: Any, sender: Any, names: Mapping[str, Any]) -> bool:
    if signal is not None:
        return one.signal is signal and _receives_from(one.connection, sender)
    carries = carried(one.signal)
    beyond = one.connection.options.gives
    return _receives_from(one.connection, sender) and (carries is None or {*names} <= {*carries, *beyond})


def _receives_from(connection: Connection, sender: Any) -> bool:
    own = connection.sender
    if own is None or sender is None or same_sender(own, sender):
        return True
    return connection.is_of_subclasses and isinstance(sender, type) and issubclass(sender, own)


# --- the assertion ----------------------------------------------------------------------------------------------


def assert_listening(signal: Any, receiver: Receiver, sender: Any, options: Mapping[str, Any]) -> Connected:
    """Return the record of a receiver that is connected to a signal, for this sender, with these options.

    AssertionError says how it is connected instead, or who is connected to the signal.
    """
    if not is_signal(signal):
        raise TypeError(f"assert_listening() takes a signal that Heliograph runs, and a receiver, not {signal!r}.")
    verify_receiver(receiver, "assert_listening()")
    connected = inspect(signal)
    of_receiver = [one for one in connected if one.receiver == receiver]
    matching = [one for one in of_receiver if not [*_differences(one, sender, options)]]
    if matching:
        return matching[0]
    wish = f" with {shown(options)}" if options else ""
    from_sender = "" if sender is None else f" from {sender_name(sender)}"
    sentence = f"{full_name(receiver)} is not connected to {title(signal)}{from_sender}{wish}."
    raise failure(sentence, _listing(connected, of_receiver, sender, options))


def _differences(one: Connected, sender: Any, options: Mapping[str, Any]) -> Iterator[str]:
    written = {"order": one.order, "subclasses": one.subclasses, "dispatch_uid": one.dispatch_uid, **one.options}
    if sender is not None and not is_from(one.sender, sender):
        yield f"its sender is {'every one' if one.sender is None else sender_name(one.sender)}"
    for name, value in options.items():
        if name not in written or written[name] != value:
            yield f"{name} is {text_of(written[name])}" if name in written else f"there is no {name}"


def _listing(
    connected: tuple[Connected, ...], of_receiver: list[Connected], sender: Any, options: Mapping[str, Any]
) -> list[str]:
    if not of_receiver:
        others = section("These are:", lines_of([one.name for one in connected]))
        return others or ["No receiver is connected to this signal."]
    differences = ["; ".join(_differences(one, sender, options)) for one in of_receiver]
    return section("It is connected so:", lines_of(differences))
