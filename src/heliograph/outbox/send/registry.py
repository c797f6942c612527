"""The durable receivers of this process, by the names under which their deliveries are stored."""

from __future__ import annotations

import itertools
import weakref
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from django.apps import AppConfig, apps
from django.db.models.base import ModelBase
from django.db.models.signals import ModelSignal

from heliograph.catalogue import entry_of
from heliograph.conditions import watched
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connections import Options
from heliograph.dispatch.guarded import Guarded
from heliograph.dispatch.names import found_name
from heliograph.dispatch.verification import parameters_of
from heliograph.orm.steps import Hold
from heliograph.transactions.late_calls import Deferral

if TYPE_CHECKING:
    from heliograph.outbox.send.durable import Durable

_numbers = itertools.count()


class DurableReceiver(Hold):
    """A receiver under its name; it is known for as long as it is connected, and what keeps its options keeps this."""

    def __init__(self, name: str, receiver: Any, place: Target, policy: Durable, options: Options) -> None:
        self.name = name if len(name) <= _LONGEST else f"{name[:220]} {zlib.crc32(name.encode()):08x}"
        self.policy = policy
        self.sender = label_of(place.sender)
        self._signal = weakref.ref(place.signal)
        self._model = place.sender if isinstance(place.sender, ModelBase) else None
        self.is_guarded = options.reentrant != "allow"  # against being called again for what it is handling
        self._when = options.when
        parameters = parameters_of(receiver)
        self._names = None if parameters is None else {one.name for one in parameters}
        self._receiver: Callable[[], Any] = _reference(receiver)
        self._number = next(_numbers)
        _posts.add(self)

    def asks_for(self, name: str) -> bool:
        """Return whether the receiver has a parameter of this name, or has a signature that Python cannot read."""
        return self._names is None or name in self._names

    def has_parameter(self, name: str) -> bool:
        """Return whether the receiver has a parameter of this name."""
        return self._names is not None and name in self._names

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields whose changes the receiver's condition asks for; ALL if any are, none if none."""
        return () if self._when is None else watched(self._when)

    @property
    def asks_for_delivery(self) -> bool:
        """Whether the receiver has a parameter for its own delivery."""
        return self.has_parameter("delivery")

    def receiver(self) -> Any:
        """Return the receiver, or None once it was garbage collected."""
        return self._receiver()

    def heard(self) -> Any:
        """Return the signal that it is connected to, or None once that was garbage collected."""
        return self._signal()

    def is_about(self, model: Any) -> bool:
        """Return whether the signal tells of rows of a model: of its sender, of its parents, or of its subclasses."""
        signal = self.heard()
        entry = entry_of(signal)
        if not isinstance(signal, ModelSignal) and (entry is None or entry.sent_by != "models"):
            return False
        return self._model is None or issubclass(model, self._model) or issubclass(self._model, model)

    @cached_property
    def signal(self) -> str:
        """The name of the signal that it is connected to."""
        return name_of(self._signal())

    def __lt__(self, other: DurableReceiver) -> bool:
        return self._number < other._number


_LONGEST = 255  # characters of a name in the table

_posts: WeakSet[DurableReceiver] = WeakSet()


def _reference(receiver: Any) -> Callable[[], Any]:
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return weakref.WeakMethod(receiver)
    return weakref.ref(receiver)


def name_of(signal: Any) -> str:
    """Return the name of a signal, also of one that another dispatcher runs."""
    entry = entry_of(signal)
    if entry is not None:
        return entry.path
    return str(getattr(signal, "name", None) or found_name(signal) or repr(signal))


def label_of(sender: Any) -> str:
    """Return what the table says of a sender: the label of a model or an app, the name of a class, "" for none."""
    labelled = sender if isinstance(sender, AppConfig) else getattr(sender, "_meta", None)
    label = getattr(labelled, "label", None) or getattr(sender, "__qualname__", None)
    return str(label or ("" if sender is None else sender))[:_LONGEST]


def is_of_app(sender: Any) -> bool:
    """Return whether a sender can be found by a worker, if it is a model: it is one of an app, or it is abstract."""
    meta = getattr(sender, "_meta", None) if isinstance(sender, ModelBase) else None
    return meta is None or meta.abstract or apps.all_models[meta.app_label].get(meta.model_name) is sender


def known() -> Mapping[str, list[DurableReceiver]]:
    """Return what is connected under each name."""
    found: dict[str, list[DurableReceiver]] = {}
    for post in sorted(_connected()):
        found.setdefault(post.name, []).append(post)
    return found


def _connected() -> set[DurableReceiver]:
    """Return those that are connected still: one that has left may wait for the garbage collection."""
    signals = {id(signal): signal for post in _posts.copy() if (signal := post.heard()) is not None}
    return {post for signal in signals.values() for guarded in _guarded_at(signal) for post in _posts_of(guarded)}


def _guarded_at(signal: Any) -> list[Guarded]:
    if hasattr(type(signal), "_table"):
        found = [connection.guarded for connection in signal._table.connections()]
    else:  # another dispatcher runs it, which has it as the receiver
        found = [part for entry in signal.receivers for part in entry if type(part) is Guarded]
    return [one for one in found if one is not None]


def _posts_of(guarded: Guarded) -> list[DurableReceiver]:
    call = guarded.options.call
    hooks = call.hooks if isinstance(call, Deferral) else ()
    return [hook for hook in hooks if isinstance(hook, DurableReceiver) and hook.receiver() is not None]


def former_names(posts: Mapping[str, list[DurableReceiver]]) -> Mapping[str, str]:
    """Return the names that receivers had, each with the one that its receiver has now, unless another has it."""
    former = {alias: post.name for of_name in posts.values() for post in of_name for alias in post.policy.aliases}
    return {alias: name for alias, name in former.items() if alias not in posts}


def chosen(posts: Sequence[DurableReceiver], signal: str, sender: str) -> DurableReceiver:
    """Return the one of those under one name that hears a send; of several, the one that was connected last."""
    return max(posts, key=lambda post: (post.signal == signal, post.sender == sender, post))
