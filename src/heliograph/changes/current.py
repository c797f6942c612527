"""The changes of an instance now: of the save under way, or else the unsaved ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from heliograph.changes.comparing import Change, Comparison
from heliograph.changes.plans import PLANS, Plan, plan_of
from heliograph.changes.under_way import Deleting, known_of, running
from heliograph.orm.kept_columns import KEPT


def comparison(instance: Any, written: Collection[str] | None = None, sender: Any = None) -> Comparison | None:
    """Compare an instance with its row: during a save, the changes of that save, else the unsaved changes.

    Returns None for a new instance, which is not saved yet or was created by this save. In a bulk write the instance
    may be of another class than the sender, such as a proxy. Raises LookupError for a model that no receiver watches.
    """
    if type(instance) not in PLANS:
        instance = without_wrapper(instance)
    saving = running(instance)
    if saving is None:
        plan, old = _remembered(instance, sender)
    elif saving.new is not None:
        return None if saving.is_created else Comparison(saving.plan, saving.old, saving.new, None, saving.using)
    else:
        plan, old = saving.plan, saving.old
    if old is plan.unknown and (instance._state.adding or not instance._is_pk_set()):
        return None
    using = instance._state.db if saving is None else saving.using
    new = plan.of_instance(instance)
    if KEPT and (saving is None or not saving.raw):
        new = plan.without_kept(new)
    return Comparison(plan, old, new, written, using)


def _remembered(instance: Any, sender: Any) -> tuple[Plan, Sequence[Any]]:
    """Return a plan for an instance, and the values that it remembers of its row."""
    plan = PLANS.get(type(instance))
    if plan is None:  # no receiver watches its class, so its instances remember nothing
        plan = PLANS.get(sender) or plan_of(type(instance))
        return plan, plan.unknown
    return plan, known_of(instance, plan)


def deleted(instance: Any, sender: Any = None) -> Comparison:
    """Compare a row that is being deleted with `NO_ROW`: its locked values, or else those its instance remembers.

    Raises LookupError for a model that no receiver watches.
    """
    instance = without_wrapper(instance)
    deleting = running(instance)
    if type(deleting) is Deleting:
        return Comparison(deleting.plan, deleting.old, deleting.new, None, deleting.using)
    plan, old = _remembered(instance, sender)
    return Comparison(plan, old, plan.nothing, None, instance._state.db)


def without_wrapper(instance: Any) -> Any:
    """Return the instance in a lazy object such as `request.user`; any other instance as it is."""
    return instance if type(instance) is instance.__class__ else instance._wrapped


def changes_of(instance: Any, *names: str) -> Mapping[str, Change]:
    """Return the changes of an instance that are not saved, as a mapping of the names of fields to `Change`.

    It has the named fields, or all fields that a receiver watches, and costs no query. During a save it has the changes
    of this save. A new instance has no changes.

    Raises LookupError for a model that no receiver watches, and FieldDoesNotExist for a field that is not watched.
    """
    if type(instance) not in PLANS:
        instance = without_wrapper(instance)
    saving = running(instance)
    if names and (saving is None or saving.plan is not None):
        _verify(plan_of(type(instance)) if saving is None else saving.plan, names)
    compared = comparison(instance)
    if compared is None:
        return {}
    return compared.changes(names) if names else compared.all_changes()


def _verify(plan: Plan, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in plan.positions:
            watched = ", ".join(field.name for field in plan.fields)
            raise FieldDoesNotExist(f"{name!r} of {plan.model._meta.label} is not watched: {watched} are.")
