"""What is changed in an instance now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from heliograph.changes.comparing import Change, Comparison
from heliograph.changes.memory import recalled, remembered
from heliograph.changes.plans import PLANS, Plan, plan_of
from heliograph.changes.saving import running


def comparison(instance: Any, written: Collection[str] | None = None) -> Comparison | None:
    """Compare an instance with its row: during a save, what that save has changed, else what is not saved yet.

    There is nothing to compare for an instance that is added, or was. Raises LookupError for a model that nobody
    watches.
    """
    saving = running(instance)
    if saving is None:
        plan = PLANS.get(type(instance)) or plan_of(type(instance))
        old = recalled(remembered(instance, plan), instance, plan)
    elif saving.new is not None:
        return None if saving.is_created else Comparison(saving.plan, saving.old, saving.new)
    else:
        plan, old = saving.plan, saving.old
    if old is plan.unknown and (instance._state.adding or not instance._is_pk_set()):
        return None
    return Comparison(plan, old, plan.of_instance(instance), written)


def without_wrapper(instance: Any) -> Any:
    """Return the instance itself, also of a lazy object, such as request.user."""
    return instance if type(instance) is instance.__class__ else instance._wrapped


def changes_of(instance: Any, *names: str) -> Mapping[str, Change]:
    """Return what is changed in an instance and not saved, without a query: of these fields, or of all watched ones.

    In an instance that was never saved, nothing is; while it is saved, this is what that save changes. Raises
    LookupError for a model that no receiver watches, FieldDoesNotExist for a field that is not watched.
    """
    if type(instance) not in PLANS:
        instance = without_wrapper(instance)
    if names:
        _verify(plan_of(type(instance)), names)
    compared = comparison(instance)
    if compared is None:
        return {}
    return compared.changes(names) if names else compared.all_changes()


def _verify(plan: Plan, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in plan.places:
            watched = ", ".join(field.name for field in plan.fields)
            raise FieldDoesNotExist(f"{name!r} of {plan.model._meta.label} is not watched: {watched} are.")
