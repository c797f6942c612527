"""Every patch of Django: with them, its signals are run by this dispatcher."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import django
from django.db.models.signals import ModelSignal
from django.dispatch import dispatcher

from heliograph import dispatch
from heliograph.catalogue import CATALOGUE, Entry, sent_names, title
from heliograph.dispatch import names
from heliograph.dispatch.concurrency import InTurn, Overlapping
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import all_or_nothing
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.fast_send import is_generated, learned_send
from heliograph.dispatch.option_errors import refuse_unknown
from heliograph.dispatch.signal import CONNECT, DISCONNECT, OURS
from heliograph.dispatch.verification import refuse_fleeting, verify_receiver
from heliograph.model_senders import named_senders, when_loaded
from heliograph.orm.patching import Patch, Undo, applied, forwarding_code, undone
from heliograph.receivers.decorator import options_of_call
from heliograph.receivers.save_options import OPTIONS, dispatched

_undo: list[Undo] = []


def is_adopted() -> bool:
    """Return whether Django's signals are run by this dispatcher."""
    return bool(_undo)


def adopt() -> None:
    """Let this dispatcher run every signal of Django's class, those that exist and those that will.

    The signals stay the objects that they are. Each takes its receivers along when it is next used.
    """
    if is_adopted():
        return
    _undo.extend(applied(_patches()))
    for entry in CATALOGUE.values():
        if entry.is_of_django and entry.module in sys.modules:
            _introduce(getattr(sys.modules[entry.module], entry.name), entry)


def release() -> None:
    """Give Django its own dispatcher back, with the receivers that are connected now."""
    signals: list[Any] = [*names.live_signals()]
    adopted: list[Any] = [signal for signal in signals if isinstance(signal, dispatcher.Signal)]
    rows = [(signal, list(signal.receivers)) for signal in adopted]
    undone(_undo)
    for signal, receivers in rows:
        _hand_over(signal, receivers)


# --- the patches ----------------------------------------------------------------------------------------------


def _patches() -> Iterator[Patch]:
    for name, value in vars(dispatch.Signal).items():
        if name not in _OF_THE_CLASS:
            yield from _patch(dispatcher.Signal, name, value, "run by this dispatcher")
    yield Patch(dispatcher.Signal, "_rows_have_senders", django.VERSION >= (6, 0), "3-tuples in Django 5.2, else 4")
    yield Patch(dispatcher.Signal, "_concurrency", _contract(), "each Django runs async receivers in its own way")
    yield Patch(dispatcher.Signal, "_named_senders", named_senders, "Django's signals have senders of certain kinds")
    yield Patch(dispatcher.Signal, "_sent_names", sent_names, "the catalogue knows what Django's signals send")
    yield from _patch(ModelSignal, "connect", _connect_model, "lazy senders, which this extends to lists and options")
    yield from _patch(ModelSignal, "disconnect", _disconnect_model, "the same for disconnect")


# What a class body leaves in every class, and what only our own signals have.
_OF_THE_CLASS = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__annotations__", "__firstlineno__"),
    *("__orig_bases__", "__parameters__", "__static_attributes__", "__annotate_func__", "__annotations_cache__"),
    *("_concurrency", "_rows_have_senders", "_named_senders", "_sent_names", "define"),
}


def _patch(owner: type, name: str, value: Any, reason: str) -> Iterator[Patch]:
    """Yield the patch of one attribute of a class of Django.

    A monitoring tool that starts in settings.py is there first: it has replaced the attribute by a wrapper around
    Django's function. The wrapper stays, and Django's function inside it is made to call ours.
    """
    theirs = vars(owner).get(name)
    if theirs is None or _is_of_django(theirs, owner):
        yield Patch(owner, name, value, reason)
        return
    inner = f"_heliograph_{owner.__name__}_{name}"
    yield Patch(owner, inner, value, f"what Django's {name} calls, inside the wrapper of a tool")
    for original in _functions_of_django(owner, name):
        code = forwarding_code(name, inner, original.__code__.co_freevars)
        yield Patch(original, "__code__", code, f"a tool's wrapper holds Django's {name}")


# What a method that calls super() closes over; a wrapper closes over what it wraps.
_CLASS = ("__class__",)


def _is_of_django(function: Any, owner: type) -> bool:
    """Return whether a function was written in the module of a class: told by its globals, which no wrapper copies."""
    return (
        isinstance(function, FunctionType)
        and function.__globals__ is vars(sys.modules[owner.__module__])
        and function.__code__.co_freevars in ((), _CLASS)
    )


def _functions_of_django(owner: type, name: str) -> list[FunctionType]:
    """Return Django's own function, which only a wrapper refers to: it may hold it in any way, so all are searched."""
    functions = [one for one in _all_objects() if type(one) is FunctionType]
    return [one for one in functions if one.__qualname__ == f"{owner.__name__}.{name}" and _is_of_django(one, owner)]


def _all_objects() -> list[Any]:
    """Return what the garbage collector knows, with what was frozen before a fork."""
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()
    objects = gc.get_objects()
    if frozen:
        gc.freeze()
    return objects


def _contract() -> InTurn | Overlapping:
    return InTurn() if django.VERSION >= (6, 1) else Overlapping()


# The names of the options that connect and disconnect take on model signals.
CONNECT_MODEL = (*CONNECT[:4], "apps", *CONNECT[4:], *OPTIONS)
DISCONNECT_MODEL = (*DISCONNECT, "apps")


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
    refuse_unknown(lambda: f"{title(self)}.connect()", options, CONNECT_MODEL, receiver)
    verify_receiver(receiver)
    if weak:
        refuse_fleeting(receiver)
    senders = named_senders(self, sender, options.get("subclasses", False), receiver)
    if any(isinstance(one, str) for one in senders):  # later, nobody would see where the mistake is
        options_of_call({**options, "weak": weak, "dispatch_uid": dispatch_uid})
    with nullcontext() if len(senders) == 1 else all_or_nothing():
        for one in senders:
            connect = partial(MethodType(_connect_now, self), receiver, weak=weak, dispatch_uid=dispatch_uid, **options)
            when_loaded(connect, one, apps)


def _disconnect_model(
    self: Any,
    receiver: Callable[..., Any] | None = None,
    sender: Any = None,
    dispatch_uid: Any = None,
    apps: Any = None,
    **options: Any,
) -> Any:
    """Disconnect from a model, from several, or from one that is named "app.Model"."""
    refuse_unknown(lambda: f"{title(self)}.disconnect()", options, DISCONNECT_MODEL, receiver)
    operation = partial(MethodType(_disconnect_now, self), receiver, dispatch_uid=dispatch_uid, **options)
    senders = named_senders(self, sender, options.get("subclasses", False), receiver)
    done = [when_loaded(operation, one, apps) for one in senders]
    return done[0] if len(done) == 1 else any(done)


def _connect_now(signal: Any, receiver: Any, sender: Any, **options: Any) -> None:
    place = Target(signal, sender, options.get("subclasses", False))
    dispatcher.Signal.connect(signal, receiver, sender, **dispatched(receiver, place, options))


def _disconnect_now(signal: Any, receiver: Any, sender: Any, **options: Any) -> bool:
    return dispatcher.Signal.disconnect(signal, receiver, sender, **options)


# Django's check signals.E001 knows a receiver that waits for its model by the name of the pending function.
_connect_now.__module__ = dispatcher.__name__
_connect_now.__name__ = "connect"


# --- the signals ----------------------------------------------------------------------------------------------


def _introduce(signal: Any, entry: Entry) -> None:
    """Tell one of Django's signals what the catalogue knows of it."""
    signal._table  # noqa: B018 - from now on its own
    signal.__dict__.setdefault("_name", entry.path)
    signal._guards_instance = entry.guards_instance
    if type(signal).send is OURS[0]:
        signal.__dict__.setdefault("send", learned_send(signal, OURS, entry.carries))


def _hand_over(signal: Any, rows: list[Any]) -> None:
    """Give a signal back the list that Django's own dispatcher looks at, in the order of the calls."""
    for name in ("_table", "_name", "_guards_instance"):
        signal.__dict__.pop(name, None)
    if is_generated(signal.__dict__.get("send")):
        del signal.__dict__["send"]
    signal.receivers = [_row_of_django(row) for row in rows]


def _row_of_django(row: Any) -> tuple[Any, ...]:
    keys, reference, *rest = row
    return (keys, weakref.ref(reference()) if isinstance(reference, Connection) else reference, *rest)
