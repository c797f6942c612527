"""The decorator `receiver`, which connects a function where it is written, to Django's signals and to others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal, TypeVar, Unpack

from django.core.checks import register
from django.db.models.signals import ModelSignal
from django.dispatch import Signal as DjangoSignal

from heliograph.catalogue import target_of, title
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import connection_with
from heliograph.dispatch.identity import object_identity
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.option_errors import named_options, unknown_option, verify_values
from heliograph.dispatch.options import OF_THE_CALL, PLAIN, Fact, Options, options_of
from heliograph.dispatch.registration import ConnectOptions, each, with_defaults
from heliograph.dispatch.registration import ReceiverOptions as DispatcherOptions
from heliograph.dispatch.routes import Table
from heliograph.dispatch.undoing import all_or_nothing, undone_by
from heliograph.dispatch.verification import verify_receiver
from heliograph.installed import check_entry, how_to_adopt
from heliograph.model_senders import named_targets, when_loaded
from heliograph.receivers import save_options
from heliograph.receivers.facts import NotHistorical

F = TypeVar("F", bound=Callable[..., Any])


class ModelOptions(ConnectOptions, total=False):
    """The options of `connect` of a model signal, beyond Django's."""

    using: str | Collection[str] | None
    fetch: bool | Literal["always", "lock", "exact"]
    writes: Collection[str]
    keeps: Collection[str]
    bulk: bool


class ReceiverOptions(DispatcherOptions, ModelOptions, total=False):
    """The options of `receiver`."""

    facts: tuple[Fact, ...]


@named_options
def receiver(signal: Any, **options: Unpack[ReceiverOptions]) -> Callable[[F], F]:
    """Connect a function to a signal, or to each signal of a list, and return the function unchanged.

        @receiver(post_save, sender=Order, when=created, delivery=OnCommit())
        def confirm(sender, instance, **kwargs): ...

    The options are the keyword arguments of `Signal.connect`, and these:

    - `using`: the alias of a database, or several; sends about other databases are skipped.
    - `fetch`: how old values come that are not known. On pre_save and post_save, `True` queries the database before a
      row is written if a condition asks for a value that the instance has not loaded; `"always"` queries for all fields
      that the receiver watches. On post_save and post_delete, `"lock"` reads and locks the row in the transaction of
      its write. On post_save, `"exact"` does so only where the UPDATE of the save cannot verify the old values.
    - `writes`: on pre_save, the names of the fields that the receiver sets. They are saved also by
      `save(update_fields=...)`.
    - `keeps`: on pre_save, the names of fields whose columns writes of existing rows leave as they are.
    - `bulk`: with `True`, a receiver of pre_save, post_save, pre_delete or post_delete also receives each row of
      `bulk_create()`, `bulk_update()`, `update()` and a deletion by a query.
    - `facts`: what a library knows about the receiver, as `Fact` values.

    Two defaults differ from `Signal.connect`, for signals whose `instance` a receiver may save again (pre_save,
    post_save, pre_delete, post_delete, m2m_changed, the signals of bulk writes, and declared signals with an
    `instance`): there `reentrant` is `"skip"`, so that a receiver that saves its own instance is not called for this
    save. A receiver of all models, or of subclasses, is not called for the historical models of migrations.

    Raises TypeError, ValueError or FieldDoesNotExist where `Signal.connect` does, and TypeError for an option of the
    dispatcher on a signal that another dispatcher runs. If one of several signals or senders is refused, the function
    is connected to none of them.
    """
    signals = each(signal)

    def connect(function: F) -> F:
        unknown = [name for name in options if name not in OPTIONS]
        if unknown:
            raise unknown_option("receiver()", unknown[0], OPTIONS, function)
        with all_or_nothing() if len(signals) > 1 else nullcontext():
            for one in signals:
                _connect(one, function, options)
        return function

    return connect


# The options of `receiver`, in the order in which errors list them.
OPTIONS = tuple(ReceiverOptions.__annotations__)


def _connect(signal: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    if isinstance(signal, ModelSignal):
        options = _without_historical(options)
    if not is_signal(signal):
        if isinstance(signal, DjangoSignal):
            register(check_entry)
        _connect_elsewhere(signal, function, options)
    elif isinstance(signal, ModelSignal):
        signal.connect(function, **with_defaults(signal, options))
    else:
        signal.connect(function, **with_defaults(signal, _as_of_dispatcher(options, function, signal)))


def _without_historical(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options that leave the models of migrations out, where a receiver would receive them."""
    is_of_model = options.get("sender") is not None and not options.get("subclasses")
    return options if is_of_model else {**options, "facts": (*options.get("facts", ()), NotHistorical())}


def _as_of_dispatcher(options: Mapping[str, Any], function: Callable[..., Any], signal: Any) -> Mapping[str, Any]:
    """Return options that every signal of the dispatcher takes: `using` and its like become facts."""
    is_batch = getattr(options.get("delivery"), "batch", False)
    if not is_batch and options.keys().isdisjoint(save_options.OPTIONS):
        return options
    made = _options_at(options, function, target_of(signal, options.get("sender")))
    rest = {name: value for name, value in options.items() if name not in save_options.OPTIONS}
    if made.facts:
        rest["facts"] = made.facts
    if made.call is not PLAIN.call:
        rest["call"] = made.call
    return rest | {"delivery": made.delivery} if "delivery" in rest else rest


def _options_at(options: Mapping[str, Any], function: Callable[..., Any], target: Target) -> Options:
    called = options_of(**{name: options[name] for name in OF_THE_CALL if name in options})
    return save_options.options_at(called, options, function, target)


# --- signals that another dispatcher runs -----------------------------------------------------------------------

_OF_THE_ROUTE = ("order", "subclasses")


def _connect_elsewhere(signal: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Connect to a signal that another dispatcher runs, such as Django's where it is not adopted."""
    verify_receiver(function)
    for name in _OF_THE_ROUTE:
        if options.get(name):
            raise TypeError(
                f"{name}= works on signals that Heliograph runs, and {title(signal)} is not one."
                f" {how_to_adopt() if isinstance(signal, DjangoSignal) else 'Leave the option out.'}"
            )
    verify_values(**options)
    options_of(**{name: options[name] for name in OF_THE_CALL if name in options})
    for one in named_targets(signal, options.get("sender"), False, function):
        if isinstance(signal, ModelSignal):
            when_loaded(partial(_connect_one_elsewhere, signal, function, options), one.sender, options.get("apps"))
        else:
            _connect_one_elsewhere(signal, function, options, one.sender)


_OF_OURS = (*_OF_THE_ROUTE, *OF_THE_CALL, *save_options.OPTIONS, "sender", "apps")


def _connect_one_elsewhere(signal: Any, function: Callable[..., Any], options: Mapping[str, Any], sender: Any) -> None:
    target = target_of(signal, sender)
    called = _options_at(options, function, target)
    rest = {name: value for name, value in options.items() if name not in _OF_OURS}
    if called is not PLAIN:
        # Under the id that Django gives the function, so that it is connected once and can be disconnected.
        uid = rest.setdefault("dispatch_uid", object_identity(function))
        bucket, weak = Table().anyone, rest.get("weak", True)
        connection = connection_with(called.connected(function, target), bucket, function, uid, weak, order=0)
        function = connection.guarded or function
        rest["weak"] = False
    before = [*getattr(signal, "receivers", ())]
    signal.connect(function, sender=sender, **rest)
    if any(row not in before for row in getattr(signal, "receivers", ())):
        undone_by(signal.disconnect, function, sender=sender, dispatch_uid=rest.get("dispatch_uid"))
