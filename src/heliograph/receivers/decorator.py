"""The decorator that connects a function where it is written, to Django's signals and to others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Literal, TypeVar, Unpack

from django.core.checks import register
from django.db.models.signals import ModelSignal
from django.dispatch import Signal as DjangoSignal

from heliograph.catalogue import title
from heliograph.conditions import historical
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import all_or_nothing, undone_by
from heliograph.dispatch.connections import PLAIN, object_identity
from heliograph.dispatch.connections import Options as CallOptions
from heliograph.dispatch.guarded import connection_with
from heliograph.dispatch.option_errors import named_options, refuse_unknown, verify_values
from heliograph.dispatch.registration import ConnectOptions, each, with_defaults
from heliograph.dispatch.registration import ReceiverOptions as DispatcherOptions
from heliograph.dispatch.routes import Table
from heliograph.dispatch.signal import options_of
from heliograph.dispatch.verification import verify_receiver
from heliograph.installed import check_entry, how_to_adopt
from heliograph.model_senders import named_senders, when_loaded
from heliograph.receivers.save_options import dispatched

F = TypeVar("F", bound=Callable[..., Any])


class ModelOptions(ConnectOptions, total=False):
    """The options of `connect` of a model signal, beyond Django's."""

    using: str | Collection[str] | None
    fetch: bool | Literal["always", "lock"]
    writes: Collection[str]
    bulk: bool


class ReceiverOptions(DispatcherOptions, ModelOptions, total=False):
    """The options of `receiver`."""


@named_options
def receiver(signal: Any, **options: Unpack[ReceiverOptions]) -> Callable[[F], F]:
    """Connect a function to a signal, or to each signal of a list, with the options of `Signal.connect` and these.

    `using` names the databases that the receiver is for. On pre_save and post_save, `fetch=True` queries the database,
    before a row is written, for old values that are not known, and `fetch="always"` for the old values of all fields
    that the receiver watches. On post_save and post_delete, `fetch="lock"` reads and locks the row in the transaction
    of its write. On pre_save, `writes` names the fields that the receiver sets; they are saved also with
    `update_fields`. With `bulk=True` a receiver of pre_save, post_save, pre_delete or post_delete receives each row of
    bulk writes too.

    For a signal whose `instance` a receiver may save again (pre_save, post_save, pre_delete, post_delete, m2m_changed,
    and signals that declare an `instance`), the default is `reentrant="skip"`, and receivers of all models, or of
    subclasses, are not called for the historical models of migrations.

    If one of several signals or senders is refused, the function is connected to none of them.
    """
    signals = each(signal)

    def connect(function: F) -> F:
        refuse_unknown("receiver()", options, OPTIONS, function)
        with all_or_nothing():
            for one in signals:
                _connect(one, function, options)
        return function

    return connect


# The options of `receiver`, in the order in which errors list them.
OPTIONS = tuple(ReceiverOptions.__annotations__)


def _connect(signal: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    if not hasattr(type(signal), "_table"):
        if isinstance(signal, DjangoSignal):
            register(check_entry)
        _connect_elsewhere(signal, function, _of_today(options) if isinstance(signal, ModelSignal) else options)
    elif isinstance(signal, ModelSignal):
        signal.connect(function, **with_defaults(signal, _of_today(options)))
    else:
        place = Target(signal, options.get("sender"))
        signal.connect(function, **with_defaults(signal, dispatched(function, place, options)))


def _of_today(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that leave the models of migrations out, where a receiver would hear them."""
    if options.get("sender") is not None and not options.get("subclasses"):
        return {**options}
    when = options.get("when")
    return {**options, "when": ~historical if when is None else ~historical & when}


# --- signals that another dispatcher runs -----------------------------------------------------------------------

OF_THE_CALL = ("when", "delivery", "reentrant", "blocking", "call")
_OF_THE_ROUTE = ("order", "subclasses")
_OF_ALL = (*_OF_THE_ROUTE, "weak", "dispatch_uid")


def options_of_call(options: Mapping[str, Any]) -> CallOptions:
    """Return the verified options of a receiver's calls, out of all that connect takes."""
    verify_values(**{name: options[name] for name in _OF_ALL if name in options})
    return options_of(**{name: options[name] for name in OF_THE_CALL if name in options})


def _connect_elsewhere(signal: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Connect to a signal that another dispatcher runs, such as Django's where it is not adopted."""
    verify_receiver(function)
    for name in _OF_THE_ROUTE:
        if options.get(name):
            raise TypeError(
                f"{name}= works on signals that Heliograph runs, and {title(signal)} is not one."
                f" {how_to_adopt() if isinstance(signal, DjangoSignal) else 'Leave the option out.'}"
            )
    rest = {name: value for name, value in options.items() if name not in (*_OF_THE_ROUTE, "sender", "apps")}
    options_of_call(options)
    for one in named_senders(signal, options.get("sender"), False, function):
        if isinstance(signal, ModelSignal):
            when_loaded(partial(_connect_one_elsewhere, signal, function, rest), one, options.get("apps"))
        else:
            _connect_one_elsewhere(signal, function, rest, one)


def _connect_one_elsewhere(signal: Any, function: Callable[..., Any], options: Mapping[str, Any], sender: Any) -> None:
    place = Target(signal, sender)
    options = dispatched(function, place, options)
    rest = {name: value for name, value in options.items() if name not in OF_THE_CALL}
    called = options_of_call(options)
    if called is not PLAIN:
        # Under the id that Django gives the function, so that it is connected once and can be disconnected.
        uid = rest.setdefault("dispatch_uid", object_identity(function))
        bucket, weak = Table().anyone, rest.get("weak", True)
        connection = connection_with(called.connected(function, place), bucket, function, uid, weak, order=0)
        function = connection.guarded or function
        rest["weak"] = False
    before = [*getattr(signal, "receivers", ())]
    signal.connect(function, sender=sender, **rest)
    if any(row not in before for row in getattr(signal, "receivers", ())):
        undone_by(signal.disconnect, function, sender=sender, dispatch_uid=rest.get("dispatch_uid"))
