"""Tracking: which models are watched, from the first receiver that needs it to the last one that leaves."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import class_prepared

from heliograph.changes import hooks
from heliograph.changes.plans import PLANS, Plan
from heliograph.dispatch.routes import registering
from heliograph.patches import Undo, applied, undone


@dataclass(frozen=True, eq=False)
class Watch:
    """A receiver's need to know the changes of a model; it ends when nobody refers to it."""

    model: Any  # Model itself for all models
    subclasses: bool
    names: tuple[str, ...]  # of the fields; ALL for all of them
    fetch: bool | str = False
    writes: bool = False

    def covers(self, model: Any) -> bool:
        """Return whether the receiver hears this model."""
        return model is self.model or (self.subclasses and issubclass(model, self.model))

    def includes(self, field: Any) -> bool:
        """Return whether the receiver watches this field."""
        return self.names == ALL or field.name in self.names or field.attname in self.names

    def finds(self, model: Any) -> bool:
        """Return whether a model has one of the fields."""
        return any(map(self.includes, model._meta.concrete_fields))

    def models(self) -> Iterator[Any]:
        """Yield the models that there are now."""
        return _with_descendants(self.model) if self.subclasses else iter([self.model])


ALL = ("*",)

# Weak references to the watches, by their model.
_watches: dict[Any, set[Any]] = {}
_patched: dict[Any, list[Undo]] = {}
_patched_for_all: list[Undo] = []


def watch(model: Any, names: tuple[str, ...], *, subclasses: bool = False, **options: Any) -> Watch:
    """Watch fields of a model, or of all models (None), for as long as what is returned is referred to."""
    made = Watch(model or Model, subclasses or model is None, names, **options)
    _watches.setdefault(made.model, set()).add(weakref.ref(made, partial(_ended, made.model, made.subclasses)))
    if made.subclasses:
        class_prepared.connect(_prepared)
    _settle(made.models())
    return made


def watch_anew() -> None:
    """Plan all models again, now that they have all their fields."""
    _settle([*PLANS])


def _ended(model: Any, subclasses: bool, reference: Any) -> None:
    _watches[model].discard(reference)
    # Not waiting: this is called by garbage collection, whatever its thread and others are doing.
    _settle(_with_descendants(model) if subclasses else [model], wait=False)


def _prepared(sender: Any, **kwargs: Any) -> None:
    """Watch a new model like those it inherits from."""
    _settle([sender])


def models_below(model: Any) -> Iterator[Any]:
    """Yield the models with rows that are a class or inherit from it."""
    return filter(_has_rows, dict.fromkeys(_with_descendants(model)))


def _with_descendants(model: Any) -> Iterator[Any]:
    yield model
    for child in type.__subclasses__(model):
        yield from _with_descendants(child)


# --- plans ----------------------------------------------------------------------------------------------------

_unsettled: set[Any] = set()
_is_settling = False


def _settle(models: Any, wait: bool = True) -> None:
    """Plan these models, and patch them or put back what was patched; whoever is at it does this too."""
    global _is_settling
    _unsettled.update(models)
    if not registering.acquire(blocking=wait):
        return
    try:
        # A finalizer may come here in the middle of it; the loop below it on the stack does its part.
        is_outermost, _is_settling = not _is_settling, True
        while is_outermost and _unsettled:
            _settle_one(_unsettled.pop())
    finally:
        _is_settling = not is_outermost
        registering.release()


def _settle_one(model: Any) -> None:
    plan = _planned(model)
    if plan is None:
        undone(_patched.pop(model, []))
        PLANS.pop(model, None)
    else:
        PLANS[model] = plan
        there = {undo.patch.name for undo in _patched.setdefault(model, [])}
        _patched[model] += applied(patch for patch in hooks.of_model(model, plan) if patch.name not in there)
    if not PLANS:
        undone(_patched_for_all)
    elif not _patched_for_all:
        _patched_for_all.extend(applied(hooks.of_all_models()))


def _planned(model: Any) -> Plan | None:
    """Return what the watches of a model come to; None if there are none, or it has no rows."""
    watches = [*_watches_of(model)] if _has_rows(model) else []
    if not watches:
        return None
    keys, columns = model._meta.pk_fields, model._meta.concrete_fields
    others = [field for field in columns if field not in keys and any(one.includes(field) for one in watches)]
    fields = [*keys, *others]
    return Plan(
        model,
        tuple(fields),
        len(keys),
        columns,
        fetched=_attributes(fields, [one for one in watches if one.fetch is True]),
        asked=_attributes(fields, [one for one in watches if one.fetch == "always"]),
        writes=any(one.writes for one in watches),
    )


def _watches_of(model: Any) -> Iterator[Watch]:
    for base in model.__mro__:
        alive = (reference() for reference in _watches.get(base, set()).copy())
        yield from (one for one in alive if one is not None and one.covers(model) and one.finds(model))


def _attributes(fields: Any, watches: list[Watch]) -> frozenset[str]:
    return frozenset(
        field.attname for field in fields if not field.primary_key and any(one.includes(field) for one in watches)
    )


def _has_rows(model: Any) -> bool:
    """Return whether a class is a model that is saved, and not one that migrations make up."""
    options = vars(model).get("_meta")  # a class that is being made has none yet
    return isinstance(model, ModelBase) and options is not None and not options.abstract and not is_historical(model)


def is_historical(model: Any) -> bool:
    """Return whether a model is what migrations know of one, without its code."""
    return getattr(model, "__module__", None) == "__fake__"
