"""Tracking: which models are watched, from the first receiver that needs it to the last one that leaves."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from sys import is_finalizing
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import class_prepared

from heliograph.changes import remembering
from heliograph.changes.plans import PLANS, Plan, Watching
from heliograph.changes.presenting import has_own_descriptor, sources_of
from heliograph.dispatch.routes import registering
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold, Step, join, leave


class Wish(NamedTuple):
    """The need of a receiver to know changes of a model, or of a class and its subclasses."""

    model: Any
    subclasses: bool
    names: tuple[str, ...]  # of the fields; ALL for all of them
    fetch: bool | str = False
    writes: bool = False
    deletes: bool = False  # whether the receiver is for deletions, and not for saves

    def covers(self, model: Any) -> bool:
        """Return whether the receiver watches this model; with subclasses, only models with one of the fields."""
        if not self.subclasses:
            return model is self.model  # a field may still be added to it
        return issubclass(model, self.model) and any(map(self.includes, model._meta.concrete_fields))

    def includes(self, field: Any) -> bool:
        """Return whether the receiver watches this field; the links of a child to its parents change with it alone."""
        if self.names == ALL:
            return not field.primary_key and not getattr(field.remote_field, "parent_link", False)
        return field.name in self.names or field.attname in self.names

    def models(self) -> Iterator[Any]:
        """Yield the models that there are now."""
        return _with_descendants(self.model) if self.subclasses else iter([self.model])


class Watch:
    """The wish of a receiver, for as long as this object exists."""

    __slots__ = ("__weakref__", "wish")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish


ALL = ("*",)

# Weak references to the watches, by the model of their wishes.
_watches: dict[Any, set[Any]] = {}
_steps: dict[Any, list[Step]] = {}
_steps_for_all: list[Step] = []
_savepoints: Hold | None = None
# The number of the attribute name in which instances of each model remember their rows.
_memories: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def watch(model: Any, names: tuple[str, ...], *, subclasses: bool = False, **options: Any) -> Watch:
    """Watch fields of a model, or of all models (None), for as long as the result exists."""
    wish = Wish(model or Model, subclasses or model is None, names, **options)
    made = Watch(wish)
    with registering:
        is_new = not _is_wished(wish)
        _watches.setdefault(wish.model, set()).add(weakref.ref(made, partial(_ended, wish)))
    if is_new:
        _plan_again(wish.models())
    return made


def watch_anew() -> None:
    """Plan all models again, now that they have all their fields."""
    wishes = [wish for model in [*_watches] for wish in _wishes(model)]
    _plan_again(model for wish in wishes for model in wish.models())


def _is_wished(wish: Wish) -> bool:
    """Return whether another receiver has the same wish, so that nothing begins or ends with this one."""
    return wish in _wishes(wish.model)


def _wishes(model: Any) -> list[Wish]:
    alive = (reference() for reference in _watches.get(model, set()).copy())
    return [one.wish for one in alive if one is not None]


def _ended(wish: Wish, reference: Any) -> None:
    _watches.get(wish.model, set()).discard(reference)
    if not is_finalizing() and not _is_wished(wish):
        # Not waiting: this is called by garbage collection, whatever its thread and others are doing.
        _plan_again(wish.models(), wait=False)


def _prepared(sender: Any, **kwargs: Any) -> None:
    """Watch a new model like those it inherits from."""
    _plan_again([sender])


def models_below(model: Any) -> Iterator[Any]:
    """Yield the models with rows that are a class or inherit from it."""
    return filter(_has_rows, dict.fromkeys(_with_descendants(model)))


def _with_descendants(model: Any) -> Iterator[Any]:
    yield model
    for child in type.__subclasses__(model):
        yield from _with_descendants(child)


# --- plans ----------------------------------------------------------------------------------------------------

_outdated: set[Any] = set()
_is_planning = False
_is_following = False


def _plan_again(models: Any, wait: bool = True) -> None:
    """Plan these models again, and let the steps of each join or leave.

    If another thread holds the lock and this call must not wait, the next call plans them.
    """
    global _is_planning
    _outdated.update(models)
    if not registering.acquire(blocking=wait):
        return
    try:
        # A finalizer may come here in the middle of it; the loop below it on the stack does its part.
        is_outermost, _is_planning = not _is_planning, True
        while is_outermost and _outdated:
            _plan_one(_outdated.pop())
        if is_outermost:
            _follow_new_models()
    finally:
        _is_planning = not is_outermost
        registering.release()


def _follow_new_models() -> None:
    """Watch models that are defined from now on, if somebody watches subclasses."""
    global _is_following
    was_following = _is_following
    _is_following = any(wish.subclasses for model in [*_watches] for wish in _wishes(model))
    if _is_following and not was_following:
        class_prepared.connect(_prepared)
    elif was_following and not _is_following:
        class_prepared.disconnect(_prepared)


def _plan_one(model: Any) -> None:
    global _savepoints
    if not _watches.get(model, True):
        del _watches[model]
    plan = _planned(model)
    if plan is None:
        _leave(model)
    else:
        PLANS[model] = plan
        there = {step.method for step in _steps.setdefault(model, [])}
        more = [step for step in remembering.of_model(plan) if step.method not in there]
        _steps[model] += more
        join(more)
    if not PLANS:
        leave(_steps_for_all)
        _steps_for_all.clear()
        _savepoints = None
    elif not _steps_for_all:
        _savepoints = of_connections.take()
        _steps_for_all.extend(remembering.of_all_models())
        join(_steps_for_all)


def _renewed(model: Any) -> Plan | None:
    """Return a new plan for a model whose fields differ from the fields of its plan."""
    _plan_again([model])
    return PLANS.get(model)


def _leave(model: Any) -> None:
    PLANS.pop(model, None)
    leave(_steps.pop(model, []))


def _planned(model: Any) -> Plan | None:
    """Return the plan that fulfils all wishes for a model; None if there are no wishes, or the model has no table."""
    wishes = _wishes_for(model) if _has_rows(model) else []
    if not wishes:
        return None
    keys, columns, before = model._meta.pk_fields, model._meta.concrete_fields, PLANS.get(model)
    others = [field for field in columns if field not in keys and any(one.includes(field) for one in wishes)]
    presented = frozenset(field for field in columns if has_own_descriptor(model, field))
    beside = _beside(presented, others, [field for field in columns if field not in keys and field not in others])
    fields = [*keys, *others, *beside]
    locking = [one for one in wishes if one.fetch in ("lock", "exact") and not one.deletes]
    return Plan(
        model,
        tuple(fields),
        len(keys),
        columns,
        fetched=_attributes(fields, [one for one in wishes if one.fetch is True], beside),
        asked=_attributes(fields, [one for one in wishes if one.fetch == "always"], beside),
        locked=_attributes(fields, locking, beside),
        verifies=all(one.fetch == "exact" for one in locking),
        locked_at_end=_attributes(fields, [one for one in wishes if one.fetch == "lock" and one.deletes], beside),
        writes=any(one.writes for one in wishes),
        memory=_memory(model, before),
        watching=Watching(model, _renewed) if before is None else before.watching,
        beside=len(beside),
        **_special(presented, fields),
    )


def _wishes_for(model: Any) -> list[Any]:
    return [wish for base in model.__mro__ for wish in _wishes(base) if wish.covers(model)]


def _beside(presented: frozenset[Any], watched: list[Any], others: list[Any]) -> list[Any]:
    """Return the fields that are not watched, but needed for the values of watched ones."""
    if not presented.isdisjoint(watched):
        return others  # a descriptor may read any of them
    sources = {source for field in watched if field.generated for source in sources_of(field)}
    return [field for field in others if field in sources]


def _special(presented: frozenset[Any], fields: list[Any]) -> dict[str, Any]:
    """Return the arguments of `Plan` that are about fields whose column differs from the value in `__dict__`."""
    positions = {field: at for at, field in enumerate(fields)}
    prepared = {at: owner for field, at in positions.items() if (owner := _preparing(field)) is not None}
    return {
        "presented": frozenset(at for field, at in positions.items() if field in presented),
        "prepared": frozenset(prepared),
        "sources": {
            at: tuple(positions[source] for source in sources_of(field) if source in positions)
            for field, at in positions.items()
            if field.generated
        },
        "recording": tuple(remembering.recording(owner).take() for owner in {*prepared.values()}),
    }


def _preparing(field: Any) -> Any:
    """Return the class of a field that overrides `pre_save()`; None if the method is Django's."""
    owner = next(base for base in type(field).__mro__ if "pre_save" in vars(base))
    return None if owner.__module__.startswith("django.db.models.") else owner


def _memory(model: Any, before: Plan | None) -> str:
    """Return the name of the attribute in which instances of a model remember their rows.

    The name is new if old memories may be wrong: the model was not watched for a while, or it has other columns than
    in its plan `before`.
    """
    if before is not None and before.columns == model._meta.concrete_fields:
        return before.memory
    number = _memories[model] = _memories.get(model, -1) + 1
    return f"_heliograph_{number}" if number else "_heliograph"


def _attributes(fields: Any, wishes: list[Wish], beside: list[Any]) -> frozenset[str]:
    """Return the attributes of the fields that some wishes name, and of the fields that their values are made of."""
    names = {field.attname for field in fields if not field.primary_key and any(one.includes(field) for one in wishes)}
    return frozenset(names | {field.attname for field in beside} if names else names)


def _has_rows(model: Any) -> bool:
    """Return whether a class is a model with a table, and not one that a migration makes up."""
    options = vars(model).get("_meta")  # a class that is being made has none yet
    if not isinstance(model, ModelBase) or options is None or options.abstract or is_historical(model):
        return False
    try:
        return bool(options.pk_fields)
    except FieldDoesNotExist:  # of a composite key that Django's own checks will refuse
        return False


def is_historical(model: Any) -> bool:
    """Return whether a migration has made up a model, without the code of the class."""
    return getattr(model, "__module__", None) == "__fake__"
