"""Senders: the meaning of the argument `sender` of `connect`, which may be a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.dispatch.describe import describe


def senders_in(senders: Sequence[Any], receiver: Any) -> Sequence[Any]:
    """Return the senders of a list. Raises TypeError for an empty list, and for None in a list."""
    if not senders:
        raise TypeError(f"{of(receiver)}sender={senders!r} names nobody. Leave it out to receive from every sender.")
    if any(one is None for one in senders):
        raise TypeError(f"{of(receiver)}sender={senders!r}: None is every sender. Leave the others out, or None.")
    return [*senders]


def verify_family(sender: Any) -> None:
    """Raise TypeError for a sender that has no subclasses."""
    if not isinstance(sender, type):
        raise TypeError(f"subclasses=True takes a class as sender, not {sender!r}.")


def of(receiver: Any) -> str:
    """Return the beginning of an error: the receiver that it is about, if there is one."""
    return f"{describe(receiver)}: " if callable(receiver) else ""
