"""The decorator that connects a function where it is written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from heliograph.dispatch.conditions import Condition
from heliograph.dispatch.policies import DeliveryPolicy

F = TypeVar("F", bound=Callable[..., Any])


class ReceiverOptions(TypedDict, total=False):
    """What `receiver` takes; `Signal.connect` explains each."""

    sender: Any
    weak: bool
    dispatch_uid: Hashable | None
    order: int
    subclasses: bool
    when: Condition | Callable[..., object] | None
    delivery: DeliveryPolicy | None
    reentrant: str
    blocking: bool
    apps: Any


def receiver(signal: Any, **options: Unpack[ReceiverOptions]) -> Callable[[F], F]:
    """Connect a function to a signal, or to each of a list, with the options of `Signal.connect`.

    There is one difference: where the signal has an `instance` that a receiver may save again (pre_save, post_save,
    pre_delete, post_delete, m2m_changed, and those that declare one), the default is `reentrant="skip"`.
    """

    def connect(function: F) -> F:
        for one in each(signal):
            one.connect(function, **with_defaults(one, options))
        return function

    return connect


def each(signal: Any) -> Sequence[Any]:
    """Return the signals that one argument names."""
    return signal if isinstance(signal, list | tuple) else (signal,)


def with_defaults(signal: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with what `receiver` does unless it is told otherwise."""
    return {"reentrant": "skip", **options} if getattr(signal, "_guards_instance", False) else {**options}
