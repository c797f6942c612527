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
    """One receiver that is due for one send, with the payload that it is called with.

    `receiver` is the function, and `payload` has the values that were sent, with `sender` and `signal`. Frozen.
    """

    receiver: Callable[..., Any]
    payload: dict[str, Any]

    @property
    def signal(self) -> Any:
        """The signal that was sent."""
        return self.payload["signal"]

    @property
    def sender(self) -> Any:
        """The sender that the signal was sent with, such as a model."""
        return self.payload["sender"]

    def make(self) -> Any:
        """Call the receiver and return its response; an exception of the receiver is raised."""
        return self.receiver(**self.payload)


@runtime_checkable
class DeliveryPolicy(Protocol):
    """The protocol of a value for `delivery=`: it gets each call that is due, and says when the call is made.

    `Inline`, `OnCommit` and `Durable` are policies. Any object with this method is one.
    """

    def deliver(self, call: Call) -> Any:
        """Make the call now or later, and return the response that the send lists for the receiver.

        For an async receiver, the method may return an awaitable. The send takes an exception for the receiver's own.
        """


@named_options
@dataclass(frozen=True, slots=True, repr=False)
class Inline:
    """The delivery policy that makes the call now, inside the send, as Django does; it is the default of `delivery=`.

    With `batch=True` there is one call for each write, before the write returns. A save is a batch of one row; with
    `bulk=True`, `bulk_create()` is a batch of all its rows. The receiver has a parameter named `batch`, which gets a
    `Batch`. This works on `post_save`, `post_delete` and `m2m_changes`.

    Raises TypeError for a `batch` that is neither True nor False. Where a receiver is connected, `batch=True` raises
    TypeError for another signal, and for a receiver that does not take a batch.
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
    return TypeError(
        f"delivery= takes a delivery policy such as Inline(), OnCommit() or Durable(), not {value!r}.{hint}"
    )
