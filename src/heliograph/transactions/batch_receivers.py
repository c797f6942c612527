"""Receivers of batches: the names with which they are called, and the errors for receivers that do not take them."""

from __future__ import annotations

from collections.abc import Collection

from heliograph.dispatch import DeliveryPolicy
from heliograph.dispatch.describe import describe
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.verification import names_of, needed

# The names with which a receiver of a batch is called.
OF_A_BATCH = frozenset(("signal", "sender", "using", "batch"))


def asks_for_batch(receiver: Receiver, names: Collection[str] | None) -> bool:
    """Return whether a receiver needs a parameter `batch` which its signal, that sends these names, does not send."""
    return names is not None and "batch" not in names and "batch" in needed(receiver)


def verify_batch(policy: DeliveryPolicy, receiver: Receiver, given: Collection[str]) -> None:
    """Raise TypeError for a receiver that cannot be called with a batch and the other names that its policy gives."""
    names, necessary = names_of(receiver)
    if names and "batch" not in names:
        hint = ", or leave batch=True out" if getattr(policy, "batch", False) else ""
        raise TypeError(
            f"{describe(receiver)} has no parameter named batch, which delivery={policy!r} gives it:"
            f" add the parameter{hint}."
        )
    for name in necessary:
        if name not in given:
            raise TypeError(
                f"{describe(receiver)} asks for {name!r}, which a batch has once for each event:"
                f" take it from batch.events. Its call has {', '.join(sorted(given))}."
            )
