"""The patches of Django's classes of signals: with them, this dispatcher runs Django's signals."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import django
from django.apps import apps as all_apps
from django.db.models.signals import ModelSignal
from django.dispatch import dispatcher

from heliograph import dispatch
from heliograph.catalogue import CATALOGUE, Entry
from heliograph.dispatch import names
from heliograph.dispatch.concurrency import InTurn, Overlapping
from heliograph.dispatch.connecting import Connector
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.django_shape import all_objects
from heliograph.dispatch.fast_send import is_generated, learned_send
from heliograph.dispatch.signal import OURS
from heliograph.lost_receivers import remember
from heliograph.orm.patching import Patch, applied, forwarding_code, undo

_replaced: list[Patch] = []


def is_adopted() -> bool:
    """Return whether Heliograph runs Django's signals."""
    return bool(_replaced)


def adopt(connector: Connector, model_connector: Connector) -> None:
    """Let this dispatcher run every signal of Django's class, those that exist and those that will.

    The signals stay the objects that they are. Each takes its receivers along when it is next used. The connectors
    connect receivers to Django's signals, and to the signals that models send: packages above this one define them.
    """
    if is_adopted():
        return
    _replaced.extend(applied(_patches(connector, model_connector)))
    for entry in CATALOGUE.values():
        if entry.is_of_django and entry.module in sys.modules:
            _introduce(getattr(sys.modules[entry.module], entry.name), entry)


def release() -> None:
    """Give Django its own dispatcher back, with the receivers that are connected now."""
    signals: list[Any] = [*names.live_signals()]
    adopted: list[Any] = [signal for signal in signals if isinstance(signal, dispatcher.Signal)]
    rows = [(signal, list(signal.receivers)) for signal in adopted]
    undo(_replaced)
    for signal, receivers in rows:
        _hand_over(signal, receivers)


# --- the patches ----------------------------------------------------------------------------------------------


def _patches(connector: Connector, model_connector: Connector) -> Iterator[Patch]:
    for name, value in vars(dispatch.Signal).items():
        if name not in _OF_THE_CLASS:
            yield from _patch(dispatcher.Signal, name, value)
    # A row of `receivers` has three values in Django 5.2, and four later.
    yield Patch(dispatcher.Signal, "_rows_have_senders", django.VERSION >= (6, 0))
    # Each Django runs async receivers in its own way.
    yield Patch(dispatcher.Signal, "_concurrency", _contract())
    # Django's signals have senders of certain kinds, and signals of models have options of their own.
    yield Patch(dispatcher.Signal, "_connector", connector)
    yield Patch(ModelSignal, "_connector", model_connector)
    # Django's signals of models take lazy senders; here they also do in lists, and beside options.
    yield from _patch(ModelSignal, "connect", _connect_model)
    yield from _patch(ModelSignal, "disconnect", _disconnect_model)


# The names that every class has, and the names that only our own signals have.
_OF_THE_CLASS = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__annotations__", "__firstlineno__"),
    *("__orig_bases__", "__parameters__", "__static_attributes__", "__annotate_func__", "__annotations_cache__"),
    *("_concurrency", "_rows_have_senders", "_connector", "define"),
}


def _patch(owner: type, name: str, value: Any) -> Iterator[Patch]:
    """Yield the patch of one attribute of a class of Django.

    A monitoring tool that starts in settings.py is there first: it has replaced the attribute by a wrapper around
    Django's function. The wrapper stays, and Django's function inside it is made to call ours.
    """
    theirs = vars(owner).get(name)
    if theirs is None or _is_of_django(theirs, owner):
        yield Patch(owner, name, value)
        return
    inner = f"_heliograph_{owner.__name__}_{name}"
    yield Patch(owner, inner, value)
    for original in _functions_of_django(owner, name):
        code = forwarding_code(name, inner, original.__code__.co_freevars)
        yield Patch(original, "__code__", code)


# The free variable of a method that calls super(); a wrapper has the function that it wraps as one.
_CLASS = ("__class__",)


def _is_of_django(function: Any, owner: type) -> bool:
    """Return whether a function was written in the module of a class, by its globals: no wrapper copies those."""
    return (
        isinstance(function, FunctionType)
        and function.__globals__ is vars(sys.modules[owner.__module__])
        and function.__code__.co_freevars in ((), _CLASS)
    )


def _functions_of_django(owner: type, name: str) -> list[FunctionType]:
    """Return Django's own function inside a wrapper, which may refer to it in any way: all functions are searched."""
    functions = [one for one in all_objects() if type(one) is FunctionType]
    return [one for one in functions if one.__qualname__ == f"{owner.__name__}.{name}" and _is_of_django(one, owner)]


def _contract() -> InTurn | Overlapping:
    return InTurn() if django.VERSION >= (6, 1) else Overlapping()


def _connect_model(
    self: Any,
    receiver: Callable[..., Any] | None = None,
    sender: Any = None,
    weak: bool = True,
    dispatch_uid: Any = None,
    apps: Any = None,
    **options: Any,
) -> None:
    """Connect to a model, to several, or to one that is named "app.Model" and may not be loaded yet."""
    self._connector.connect(self, receiver, sender, weak, dispatch_uid, options, apps)
    if weak and not all_apps.ready:
        remember(self, receiver)


def _disconnect_model(
    self: Any,
    receiver: Callable[..., Any] | None = None,
    sender: Any = None,
    dispatch_uid: Any = None,
    apps: Any = None,
    **options: Any,
) -> Any:
    """Disconnect from a model, from several, or from one that is named "app.Model"."""
    return self._connector.disconnect(self, receiver, sender, dispatch_uid, options, apps)


# --- the signals ----------------------------------------------------------------------------------------------


def _introduce(signal: Any, entry: Entry) -> None:
    """Give one of Django's signals its name and its generated send, from the catalogue."""
    signal._table  # noqa: B018 - the first use makes it
    signal.__dict__.setdefault("_name", entry.path)
    signal._guards_instance = entry.guards_instance
    if type(signal).send is OURS[0]:
        signal.__dict__.setdefault("send", learned_send(signal, OURS, entry.carries))


def _hand_over(signal: Any, rows: list[Any]) -> None:
    """Give a signal the list back that Django's own dispatcher reads, in the order of the calls."""
    for name in ("_table", "_name", "_guards_instance"):
        signal.__dict__.pop(name, None)
    if is_generated(signal.__dict__.get("send")):
        del signal.__dict__["send"]
    signal.receivers = [_row_of_django(row) for row in rows]


def _row_of_django(row: Any) -> tuple[Any, ...]:
    keys, reference, *rest = row
    return (keys, weakref.ref(reference()) if isinstance(reference, Connection) else reference, *rest)
