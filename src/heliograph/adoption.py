"""Every patch of Django: with them, its signals are run by this dispatcher."""

from __future__ import annotations

import gc
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import django
from django.db.models.options import Options
from django.db.models.signals import ModelSignal
from django.db.models.utils import make_model_tuple
from django.dispatch import dispatcher

from heliograph import dispatch
from heliograph.dispatch import names
from heliograph.dispatch.concurrency import InTurn, Overlapping
from heliograph.dispatch.generated import is_generated, learned_send
from heliograph.dispatch.receivers import Connection
from heliograph.dispatch.registration import OF_THE_CALL
from heliograph.dispatch.signal import OURS, options_of
from heliograph.dispatch.verification import refuse_fleeting, verify_receiver
from heliograph.signals import CATALOGUE, Entry

_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Patch:
    """An attribute of Django that is replaced, and the reason."""

    owner: Any
    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Undo:
    """What an attribute was before it was replaced."""

    owner: Any
    name: str
    value: Any

    def __call__(self) -> None:
        """Put it back."""
        if self.value is _MISSING:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.value)


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
    for patch in list(_patches()):
        _undo.append(Undo(patch.owner, patch.name, _own(patch.owner, patch.name)))
        setattr(patch.owner, patch.name, patch.value)
    for entry in CATALOGUE.values():
        if entry.module in sys.modules:
            _introduce(getattr(sys.modules[entry.module], entry.name), entry)


def _own(owner: Any, name: str) -> Any:
    """Return the attribute that an owner has itself, not by inheritance."""
    return owner.__code__ if isinstance(owner, FunctionType) else vars(owner).get(name, _MISSING)


def release() -> None:
    """Give Django its own dispatcher back, with the receivers that are connected now."""
    signals: list[Any] = [*names.live_signals()]
    adopted: list[Any] = [signal for signal in signals if isinstance(signal, dispatcher.Signal)]
    rows = [(signal, list(signal.receivers)) for signal in adopted]
    while _undo:
        _undo.pop()()
    for signal, receivers in rows:
        _hand_over(signal, receivers)


# --- the patches ----------------------------------------------------------------------------------------------


def _patches() -> Iterator[Patch]:
    for name, value in vars(dispatch.Signal).items():
        if name not in _OF_THE_CLASS:
            yield from _patch(dispatcher.Signal, name, value, "run by this dispatcher")
    yield Patch(dispatcher.Signal, "_rows_have_senders", django.VERSION >= (6, 0), "3-tuples in Django 5.2, else 4")
    yield Patch(dispatcher.Signal, "_concurrency", _contract(), "each Django runs async receivers in its own way")
    yield from _patch(ModelSignal, "connect", _connect_model, "lazy senders, which this extends to lists and options")
    yield from _patch(ModelSignal, "disconnect", _disconnect_model, "the same for disconnect")


# What a class body leaves in every class, and what only our own signals have.
_OF_THE_CLASS = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__annotations__", "__firstlineno__"),
    *("__orig_bases__", "__parameters__", "__static_attributes__", "__annotate_func__", "__annotations_cache__"),
    *("_concurrency", "_rows_have_senders", "define"),
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
        code = _forwarding_code(name, inner, original.__code__.co_freevars)
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


def _forwarding_code(name: str, inner: str, free: tuple[str, ...]) -> CodeType:
    """Return code that calls another method, with the free variables of the code whose place it takes."""
    body = f"def {name}(self, *args, **kwargs): {', '.join(free) or 'None'}; return self.{inner}(*args, **kwargs)"
    namespace: dict[str, Any] = {}
    exec(f"def make({', '.join(free)}):\n {body}\n return {name}", namespace)
    return namespace["make"](*free).__code__  # type: ignore[no-any-return]


def _contract() -> InTurn | Overlapping:
    return InTurn() if django.VERSION >= (6, 1) else Overlapping()


_CONNECT = inspect.signature(dispatch.Signal.connect)


def _connect_model(
    self: Any,
    receiver: Callable[..., Any],
    sender: Any = None,
    weak: bool = True,
    dispatch_uid: Any = None,
    apps: Any = None,
    **options: Any,
) -> None:
    """Connect to a model, to several, or to one that is named "app.Model" and may not be loaded yet."""
    _CONNECT.bind(self, receiver, sender, weak, dispatch_uid, **options)
    options_of(**{name: options[name] for name in OF_THE_CALL if name in options})
    if weak and not isinstance(sender, str):  # one that waits for its model is held, and verified, until then
        verify_receiver(receiver)
        refuse_fleeting(receiver)
    for one in sender if type(sender) is list else (sender,):
        _when_loaded(_connect_now, self, receiver, one, apps, weak=weak, dispatch_uid=dispatch_uid, **options)


def _disconnect_model(
    self: Any,
    receiver: Callable[..., Any] | None = None,
    sender: Any = None,
    dispatch_uid: Any = None,
    apps: Any = None,
    **options: Any,
) -> Any:
    """Disconnect from a model, from several, or from one that is named "app.Model"."""
    senders = sender if type(sender) is list else [sender]
    done = [
        _when_loaded(_disconnect_now, self, receiver, one, apps, dispatch_uid=dispatch_uid, **options)
        for one in senders
    ]
    return done[0] if len(done) == 1 else any(done)


def _when_loaded(verb: Callable[..., Any], signal: Any, receiver: Any, sender: Any, apps: Any, **options: Any) -> Any:
    operation = partial(MethodType(verb, signal), receiver, **options)
    if not isinstance(sender, str):
        return operation(sender)
    return (apps or Options.default_apps).lazy_model_operation(operation, make_model_tuple(sender))


def _connect_now(signal: Any, receiver: Any, sender: Any, **options: Any) -> None:
    dispatcher.Signal.connect(signal, receiver, sender, **options)


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
