"""Senders: the meaning of the argument `sender` of `connect`, which may be a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.dispatch.describe import describe


def senders_named(sender: Any, receiver: Any, many: tuple[type, ...] = (list,)) -> Sequence[Any]:
    """Return the senders that an argument names: the items of a list, or else the argument itself.

    None is every sender. Raises TypeError for an empty list, and for None in a list.
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
