"""Senders: which senders each signal of Django can have, and models that are named before they are loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from functools import partial
from types import MethodType, ModuleType
from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.db.models import Manager, Model, QuerySet
from django.db.models.base import ModelBase
from django.db.models.options import Options
from django.db.models.signals import ModelSignal
from django.db.models.utils import make_model_tuple
from django.dispatch import dispatcher

from heliograph.catalogue import Entry, facts_of, title
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import Connector, Request
from heliograph.dispatch.names import is_signal
from heliograph.dispatch.senders import of, senders_in, verify_family
from heliograph.dispatch.undoing import undone_by

# A list and a tuple are several senders where a value cannot be a sender.
_MANY = (list, tuple)


def named_targets(signal: Any, sender: Any, subclasses: bool = False, receiver: Any = None) -> Sequence[Target]:
    """Return the targets that a sender names: one for each item of a list or tuple; a label stands for its app.

    Raises TypeError or ValueError, with what to do, for a sender that never sends this signal.
    """
    facts = facts_of(signal)
    entry = facts[0]
    takes_values = not isinstance(signal, ModelSignal) and (entry is None or entry.sent_by == "anything")
    is_many = type(sender) in ((list,) if takes_values else _MANY)
    senders = senders_in(sender, receiver) if is_many else (sender,)
    if entry is not None and entry.sent_by == "apps" and sender is not None:
        senders = [_app(one, entry, receiver) for one in senders]
    for one in senders if subclasses else ():
        if takes_values or not isinstance(one, str):  # a named model is verified when it is loaded
            verify_family(one)
    if entry is not None and sender is not None:
        for one in senders:
            _verify(one, entry, subclasses, receiver)
    return [Target(signal, one, subclasses, *facts) for one in senders]


def _verify(sender: Any, entry: Entry, subclasses: bool, receiver: Any) -> None:
    problem = _PROBLEMS[entry.sent_by](sender, entry, subclasses)
    if problem is not None:
        raise TypeError(f"{of(receiver)}sender={shown(sender)} never sends {entry.name}. {problem}")


def when_loaded(operation: Callable[[Any], Any], sender: Any, apps: Any = None) -> Any:
    """Call an operation with a sender, or, with a model that is named "app.Model", as soon as it is loaded."""
    _verify_apps(apps)
    if not isinstance(sender, str):
        return operation(sender)
    registry, key = apps or Options.default_apps, make_model_tuple(sender)
    before = [*registry._pending_operations.get(key, ())]
    result = registry.lazy_model_operation(operation, key)
    for waiting in registry._pending_operations.get(key, ())[len(before) :]:
        undone_by(_forget, registry, key, waiting)
    return result


def _verify_apps(apps: Any) -> None:
    if apps is not None and not isinstance(apps, Apps):
        raise TypeError(f"apps= takes a registry of apps, such as django.apps.apps, not {apps!r}.")


class DjangoConnector(Connector):
    """How receivers are connected to the signals of Django, whose senders are of certain kinds."""

    def targets(self, signal: Any, sender: Any, subclasses: bool, receiver: Any) -> Sequence[Target]:
        return named_targets(signal, sender, subclasses, receiver)


class ModelConnector(DjangoConnector):
    """How receivers are connected to a signal whose senders are models: they may be named before they are loaded."""

    connect_names = (*Connector.connect_names[:4], "apps", *Connector.connect_names[4:])
    disconnect_names = (*Connector.disconnect_names, "apps")
    names_of_senders = (str,)

    def shown(self, signal: Any) -> str:
        return title(signal)

    def connect_when_loaded(self, receiver: Any, request: Request, target: Target, apps: Any) -> None:
        when_loaded(partial(MethodType(_connect_loaded, target.signal), receiver, request), target.sender, apps)

    def disconnect_one(self, receiver: Any, uid: Any, target: Target, apps: Any = None) -> Any:
        disconnect = super().disconnect_one
        if apps is None and not isinstance(target.sender, str):
            return disconnect(receiver, uid, target)
        return when_loaded(lambda one: disconnect(receiver, uid, target._replace(sender=one)), target.sender, apps)


def _connect_loaded(signal: Any, receiver: Any, request: Request, sender: Any) -> None:
    """Connect to a model that is loaded; it may have been named before, and so could not be verified."""
    if not is_signal(signal):  # Django's own dispatcher runs the signal again
        signal.connect(receiver, sender, request.weak, request.dispatch_uid, **request.more)
        return
    for target in signal._connector.targets(signal, sender, request.subclasses, receiver):
        signal._connector.connect_one(receiver, request, target)


# Django's check signals.E001 knows a receiver that waits for its model by the name of the pending function.
_connect_loaded.__module__ = dispatcher.__name__
_connect_loaded.__name__ = "connect"


def _forget(registry: Any, key: tuple[str, str], waiting: Any) -> None:
    if waiting in registry._pending_operations.get(key, ()):
        registry._pending_operations[key].remove(waiting)
        if not registry._pending_operations[key]:
            del registry._pending_operations[key]


_when_models_are_loaded: list[Callable[[], object]] = []


def when_models_are_loaded(operation: Callable[[], object]) -> None:
    """Call a function now if all models are loaded, or else in `ready()` of the app "heliograph".

    This is for declarations that stand in `models.py` or `receivers.py`, where other models may not be loaded yet. The
    function takes no arguments. Functions that wait are called once, in the order in which they were given; an error of
    a function stops the start of the project.
    """
    if all_apps.models_ready:
        operation()
    else:
        _when_models_are_loaded.append(operation)


def models_are_loaded() -> None:
    """Call the functions that wait for all models."""
    while _when_models_are_loaded:
        _when_models_are_loaded.pop(0)()


# --- what is no sender ----------------------------------------------------------------------------------------


def _problem_of_model(sender: Any, entry: Entry, subclasses: bool) -> str | None:
    if isinstance(sender, str):
        make_model_tuple(sender)  # which raises, in Django's words
        return None
    if isinstance(sender, ModelBase):
        return None if subclasses else _problem_of_class(sender, entry)
    if isinstance(sender, type):
        return None  # a test, or another package, may send from any class
    return _advice(sender, entry)


def _problem_of_class(model: Any, entry: Entry) -> str | None:
    if model is Model:
        return "It is no model by itself; to receive from all models, leave sender= out."
    options = model._meta
    if options.abstract:
        return "It is abstract; to receive from the models that inherit from it, pass subclasses=True."
    if options.swapped and entry.name not in ("class_prepared", "pre_init", "post_init"):
        return f"It is swapped for {options.swapped}: pass sender=settings.{options.swappable}."
    return None


def _advice(sender: Any, entry: Entry) -> str:
    """Return advice what to pass as the sender instead of a value that is no class, such as an instance."""
    if isinstance(sender, Model):
        return _advice_on_instance(sender, entry)
    if isinstance(sender, AppConfig):
        return "Pass models: sender=[*app_config.get_models()]."
    if isinstance(sender, Collection) and not isinstance(sender, QuerySet):
        return "Pass a list of models."
    if inspect.isroutine(sender):
        return f"It is a function. If it returns a model, call it: sender={sender.__name__}()."
    through = getattr(sender, "through", None)
    if isinstance(through, ModelBase) and entry.name in ("m2m_changed", "m2m_changes"):
        return f"Pass the model between: sender={through.__name__}, which is the attribute 'through' of the relation."
    model = sender.model if isinstance(sender, Manager | QuerySet) else _model_of_field(sender)
    if isinstance(model, ModelBase):
        return f"Pass its model: sender={model.__name__}."
    return "Pass a model, such as sender=Order, or its name, such as sender='shop.Order'."


def _model_of_field(sender: Any) -> Any:
    return getattr(getattr(sender, "field", sender), "model", None)


def _advice_on_instance(instance: Any, entry: Entry) -> str:
    if callable(getattr(instance, "model_class", None)):  # a ContentType
        return "Pass its model: sender=content_type.model_class()."
    of_class = f"Pass its class, {instance.__class__.__name__}"
    if instance.pk is None or "instance" not in entry.carries:
        return f"{of_class}."
    return f"{of_class}; for this row only, add when=lambda instance, **kwargs: instance.pk == {instance.pk!r}."


def _problem_of_kind(sender: Any, entry: Entry, subclasses: bool) -> str | None:
    if isinstance(sender, type):
        return None
    return f"Classes send it: pass the class, not {'its name' if isinstance(sender, str) else 'an instance'}."


def _problem_of_any(sender: Any, entry: Entry, subclasses: bool) -> str | None:
    return "Django sends it without a sender: leave sender= out."


def _no_problem(sender: Any, entry: Entry, subclasses: bool) -> str | None:
    return None


_PROBLEMS: dict[str, Callable[[Any, Entry, bool], str | None]] = {
    "models": _problem_of_model,
    "classes": _problem_of_kind,
    "nobody": _problem_of_any,
    "apps": _no_problem,
    "anything": _no_problem,
}


def shown(sender: Any) -> str:
    """Return a sender for an error; not by the `repr()` of an instance or a queryset, which may query or raise."""
    if isinstance(sender, Model):
        return f"<{sender.__class__.__name__} pk={sender.pk!r}>"
    if isinstance(sender, Manager | QuerySet):
        return f"<{type(sender).__name__} of {getattr(sender.model, '__name__', None)}>"
    options = getattr(sender, "_meta", None) if isinstance(sender, ModelBase) else None
    return repr(sender) if options is None else str(options.label)


# --- apps -----------------------------------------------------------------------------------------------------


def _app(sender: Any, entry: Entry, receiver: Any) -> AppConfig:
    """Return the app that a label, a name, a module or a class of AppConfig stands for."""
    if isinstance(sender, AppConfig):
        return sender
    if isinstance(sender, ModelBase):
        hint = f"Pass its app: sender={shown(sender).partition('.')[0]!r}."
        raise TypeError(f"{of(receiver)}sender={shown(sender)} never sends {entry.name}, which apps send. {hint}")
    configs = _installed(receiver, sender)
    for config in configs:
        if _stands_for(sender, config):
            return config
    labels = sorted(config.label for config in configs)
    close = get_close_matches(str(sender), labels, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(labels)}."
    raise ValueError(f"{of(receiver)}sender={shown(sender)} is no installed app, and apps send {entry.name}. {hint}")


def _installed(receiver: Any, sender: Any) -> list[AppConfig]:
    if not all_apps.apps_ready:
        raise TypeError(
            f"{of(receiver)}sender={sender!r} is not known while apps are being loaded."
            " Connect the receiver in ready() of your AppConfig, or in a module that ready() imports."
        )
    return [*all_apps.get_app_configs()]


def _stands_for(sender: Any, config: AppConfig) -> bool:
    if isinstance(sender, str):
        return sender in (config.label, config.name)
    if isinstance(sender, ModuleType):
        return sender is config.module
    return sender is type(config) and sender is not AppConfig
