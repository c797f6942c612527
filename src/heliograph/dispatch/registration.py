"""The decorator that connects a function where it is written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from heliograph.dispatch.conditions import Condition
from heliograph.dispatch.connecting import all_or_nothing
from heliograph.dispatch.options import named_options, refuse_unknown
from heliograph.dispatch.policies import DeliveryPolicy

F = TypeVar("F", bound=Callable[..., Any])


class ConnectOptions(TypedDict, total=False):
    """What `Signal.connect` takes beyond Django's; it explains each."""

    order: int
    subclasses: bool
    when: Condition | Callable[..., object] | None
    delivery: DeliveryPolicy | None
    reentrant: str
    blocking: bool


class _DjangoOptions(TypedDict, total=False):
    sender: Any
    weak: bool
    dispatch_uid: Hashable | None


class ReceiverOptions(_DjangoOptions, ConnectOptions, total=False):
    """What `receiver` takes."""

    apps: Any


@named_options
def receiver(signal: Any, **options: Unpack[ReceiverOptions]) -> Callable[[F], F]:
    """Connect a function to a signal, or to each of a list, with the options of `Signal.connect`.

    Where one of several signals or senders is refused, the function is connected to none.

    There is one difference: where the signal has an `instance` that a receiver may save again (pre_save, post_save,
    pre_delete, post_delete, m2m_changed, and those that declare one), the default is `reentrant="skip"`.
    """

    signals = each(signal)

    def connect(function: F) -> F:
        refuse_unknown("receiver()", options, OPTIONS, function)
        with all_or_nothing():
            for one in signals:
                one.connect(function, **with_defaults(one, options))
        return function

    return connect


# The options of `receiver`, in the order of writing.
OPTIONS = tuple(ReceiverOptions.__annotations__)


def each(signal: Any) -> Sequence[Any]:
    """Return the signals that one argument names; raise TypeError for anything else."""
    signals: Sequence[Any] = signal if isinstance(signal, list | tuple) else (signal,)
    for one in signals:
        if not hasattr(one, "connect"):
            raise TypeError(
                f"receiver() takes a signal, or a list of them, not {one!r}. Write @receiver(signal, sender=...)."
            )
    if not signals:
        raise TypeError(f"receiver({signal!r}) names no signal. Write @receiver(signal, sender=...).")
    return signals


def with_defaults(signal: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with what `receiver` does unless it is told otherwise."""
    return {"reentrant": "skip", **options} if getattr(signal, "_guards_instance", False) else {**options}
