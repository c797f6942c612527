"""The decorator `receiver`, which connects a function where it is written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypedDict, TypeVar, Unpack

from heliograph.dispatch.condition_base import Condition
from heliograph.dispatch.option_errors import named_options, unknown_option
from heliograph.dispatch.policies import DeliveryPolicy
from heliograph.dispatch.undoing import all_or_nothing

F = TypeVar("F", bound=Callable[..., Any])


class ConnectOptions(TypedDict, total=False):
    """The options of `Signal.connect` beyond Django's; its docstring explains them."""

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
    """The options of `receiver`."""

    apps: Any


@named_options
def receiver(signal: Any, **options: Unpack[ReceiverOptions]) -> Callable[[F], F]:
    """Connect a function to a signal, or to each signal of a list, without the options that need Django.

    The options are the keyword arguments of `Signal.connect`. The default of `reentrant` is `"skip"` for a signal whose
    `instance` a receiver may save again, as `heliograph.receiver()` has it.

    Raises TypeError or ValueError where `Signal.connect` does. If one of several signals or senders is refused, the
    function is connected to none of them.
    """

    signals = each(signal)

    def connect(function: F) -> F:
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise unknown_option("receiver()", unknown[0], OPTIONS, function)
        with all_or_nothing() if len(signals) > 1 else nullcontext():
            for one in signals:
                one.connect(function, **with_defaults(one, options))
        return function

    return connect


# The options of `receiver`, in the order in which errors list them.
OPTIONS = tuple(ReceiverOptions.__annotations__)


def each(signal: Any) -> Sequence[Any]:
    """Return the signal, or the signals of a list or tuple; raise TypeError for any other value."""
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
    """Return options with the defaults of `receiver`, where they differ from the defaults of `connect`."""
    return {"reentrant": "skip", **options} if getattr(signal, "_guards_instance", False) else {**options}
