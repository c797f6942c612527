"""The write that a test says has happened: its instance counts as being written, so that its changes are known."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db.models.signals import ModelSignal

from heliograph.catalogue import title
from heliograph.changes.comparing import Comparison
from heliograph.changes.plans import PLANS, plan_of_all
from heliograph.changes.under_way import Deleting, InBulk
from heliograph.changes.values import is_same
from heliograph.conditions import DELETIONS
from heliograph.testing.verified_arguments import verify_changes

# The old and the new value of each field that is changed, by its name.
Changes = Mapping[str, tuple[Any, Any]]


def write_of(payload: Mapping[str, Any], changes: Changes | None) -> AbstractContextManager[object]:
    """Return the block of a write that a payload is about; an empty block for other signals.

    Without `changes`, fields of the instance that were assigned and not saved count as changed. Raises TypeError for
    changes of anything but the update of an instance.
    """
    signal, instance = payload["signal"], payload.get("instance")
    is_about_row = instance is not None and isinstance(signal, ModelSignal)
    if changes is not None and is_about_row and not payload.get("created") and signal not in DELETIONS:
        return InBulk(instance, compared(instance, changes))
    if changes is not None:
        raise TypeError(f"changes= is for the update of an instance, which {title(signal)} with these values is not.")
    if is_about_row and signal in DELETIONS and type(instance) in PLANS:
        return Deleting(instance, PLANS[type(instance)], payload["using"], vars(instance))
    return InBulk(instance, None) if is_about_row and payload.get("created") else nullcontext()


def compared(instance: Any, changes: Changes) -> Comparison:
    """Compare a row before and after these changes, the last of which the instance has already.

    Raises FieldDoesNotExist for an unknown field, and ValueError if the instance has another value than the new one.
    """
    verify_changes(changes)
    plan = plan_of_all(type(instance))
    new = plan.of_instance(instance)
    old = [*new]
    for name, (before, after) in changes.items():
        field = instance._meta.get_field(name)
        at = plan.positions[field.name]
        if not is_same(field, new[at], _column(field, after)):
            raise ValueError(
                f"changes= says that {name} becomes {after!r}, and the instance has {new[at]!r}: set it first."
            )
        old[at] = _column(field, before)
    return Comparison(plan, old, new)


def _column(field: Any, value: Any) -> Any:
    """Return the value in the column of a field; an instance stands for its key."""
    return getattr(value, field.target_field.attname) if hasattr(value, "_meta") else value
