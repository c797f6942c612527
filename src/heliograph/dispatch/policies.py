"""Delivery policies: how the call of a receiver is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.option_errors import named_options


@dataclass(frozen=True, slots=True)
class Call:
    """The call of one receiver that is due, for one send."""

    receiver: Callable[..., Any]
    payload: dict[str, Any]

    @property
    def signal(self) -> Any:
        """The signal that was sent."""
        return self.payload["signal"]

    @property
    def sender(self) -> Any:
        """Who sent it."""
        return self.payload["sender"]

    def make(self) -> Any:
        """Call the receiver and return its response; what it raises is raised."""
        return self.receiver(**self.payload)


@runtime_checkable
class DeliveryPolicy(Protocol):
    """What `delivery=` takes: it is handed a call, and says when the call is made."""

    def deliver(self, call: Call) -> Any:
        """Make the call now or later; return what the send lists as the receiver's response."""


@named_options
@dataclass(frozen=True, slots=True, repr=False)
class Inline:
    """Make the call now, inside the send, as Django does.

    With `batch=True` there is one call for each write, before the write returns. A save is a batch of one row; with
    `bulk=True`, `bulk_create()` is a batch of all its rows. The receiver has a parameter named `batch`. This works on
    `post_save`, `post_delete` and `m2m_changes`, and raises TypeError on other signals.
    """

    batch: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.batch, bool):
            raise TypeError(f"Inline(batch=...) takes True or False, not {self.batch!r}.")

    def __repr__(self) -> str:
        return f"Inline({'batch=True' if self.batch else ''})"

    def connected(self, options: Any, receiver: Callable[..., Any], target: Target) -> Any:
        """Return the options unchanged; raise TypeError for a batch, since the dispatcher itself knows no writes."""
        if self.batch:
            raise TypeError(
                f"{describe(receiver)}: delivery={self!r} is one call for each write, and {target.signal!r} is sent"
                " after none. It works on post_save, post_delete and m2m_changes. Leave batch=True out, or take"
                " OnCommit(batch=True)."
            )
        return options

    def deliver(self, call: Call) -> Any:
        """Make the call, and let what it raises through to whoever sent."""
        return call.make()


def no_policy(value: object) -> TypeError:
    """Return the error for a value that is no delivery policy; a class is the usual slip."""
    hint = f" Write {value.__name__}()." if isinstance(value, type) and hasattr(value, "deliver") else ""
    return TypeError(f"delivery= takes a delivery policy such as Inline(), not {value!r}.{hint}")
