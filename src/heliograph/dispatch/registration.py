"""The decorator that connects a function where it is written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypedDict, TypeVar, Unpack

from heliograph.dispatch.conditions import Condition
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.policies import DeliveryPolicy
from heliograph.dispatch.receivers import PLAIN, connection_to, object_identity
from heliograph.dispatch.routes import Table
from heliograph.dispatch.signal import options_of
from heliograph.dispatch.verification import verify_receiver

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
        for one in signal if isinstance(signal, list | tuple) else (signal,):
            if hasattr(type(one), "_table"):
                one.connect(function, **_with_defaults(one, options))
            else:
                _connect_elsewhere(one, function, options)
        return function

    return connect


def _with_defaults(signal: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"reentrant": "skip", **options} if signal._guards_instance else {**options}


OF_THE_CALL = ("when", "delivery", "reentrant", "blocking")
_OF_THE_ROUTE = ("order", "subclasses")


def _connect_elsewhere(signal: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Connect to a signal that another dispatcher runs, such as Django's where it is not adopted."""
    verify_receiver(function)
    for name in _OF_THE_ROUTE:
        if options.get(name):
            raise TypeError(
                f"{name}= works on signals that Heliograph runs, and {signal!r} is not one."
                " Add 'heliograph' to INSTALLED_APPS, and leave ADOPT_DJANGO_SIGNALS on."
            )
    rest = {name: value for name, value in options.items() if name not in (*OF_THE_CALL, *_OF_THE_ROUTE, "sender")}
    called = options_of(**{name: options[name] for name in OF_THE_CALL if name in options})
    if called is not PLAIN:
        # Under the id that Django gives the function, so that it is connected once and can be disconnected.
        uid = rest.setdefault("dispatch_uid", object_identity(function))
        connection = connection_to(Table().anyone, function, uid, rest.get("weak", True), order=0)
        function = Guarded(connection, called)
        rest["weak"] = False
    sender = options.get("sender")
    for one in sender if isinstance(sender, list) else [sender]:
        signal.connect(function, sender=one, **rest)
