"""Senders: the ones that an argument of connect names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.dispatch.describe import describe


def senders_named(sender: Any, receiver: Any, many: tuple[type, ...] = (list,)) -> Sequence[Any]:
    """Return the senders that an argument names: those of a list, or the one that it is; None is every sender.

    Raises TypeError where the argument names nobody.
    """
    if type(sender) not in many:
        return (sender,)
    if not sender:
        raise TypeError(f"{of(receiver)}sender={sender!r} names nobody. Leave it out to receive from every sender.")
    if any(one is None for one in sender):
        raise TypeError(f"{of(receiver)}sender={sender!r}: None is every sender. Leave the others out, or None.")
    return [*sender]


def verify_family(sender: Any) -> None:
    """Raise TypeError for a sender that has no subclasses."""
    if not isinstance(sender, type):
        raise TypeError(f"subclasses=True takes a class as sender, not {sender!r}.")


def of(receiver: Any) -> str:
    """Return the beginning of an error: the receiver that it is about, if there is one."""
    return f"{describe(receiver)}: " if callable(receiver) else ""
