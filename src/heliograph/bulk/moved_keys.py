"""Updates that set primary keys: the rows with the old keys are deleted, the rows with the new keys are created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.changes.plans import plan_for
from heliograph.changes.rows import Created, Deleted, Rows, Updated, normalised
from heliograph.changes.values import UNKNOWN


def sets_keys(rows: Rows) -> bool:
    """Return whether rows were written by an update that sets primary keys."""
    return isinstance(rows, Updated) and rows.plan.has_new_keys


def apart(rows: Rows) -> list[Rows]:
    """Return the rows of a write in groups: updated, deleted and created rows.

    A row is identified by its key. So a row with a new key is deleted under its old key, with its old values, and
    created under the new one. Deletions come before creations, since a key may pass from one row to another.
    """
    if not isinstance(rows, Updated):
        return [rows]
    keys = [_new_key(rows, at) for at in range(len(rows))]
    moved = [at for at, (old, new) in enumerate(zip(rows.pks, keys, strict=True)) if new not in (old, UNKNOWN)]
    if not moved:
        return [rows]
    stayed, went = rows.only(sorted({*range(len(rows))}.difference(moved))), rows.only(moved)
    return [stayed, _deleted(went), _created(went)]


def _deleted(went: Updated) -> Deleted:
    """Return the rows under their old keys; a field that the update has not set has the value of the instance."""
    names = [one.attname for one in went.model._meta.concrete_fields]
    table = []
    for at, instance in enumerate(went.instances):
        compared = went.comparison(at)
        values = instance.__dict__ | dict(zip(compared.plan.names, compared.old, strict=True))
        table.append([values.get(name, UNKNOWN) for name in names])
    return Deleted(went.model, went.using, went.pks, table)


def _created(went: Updated) -> Created:
    """Return the rows under their new keys, with the values that the update has written."""
    keys = went.model._meta.pk_fields
    plan = plan_for(went.model, [one for one in went.plan.fields if one not in keys])
    news = [_new(went, at) for at in range(len(went))]
    values = [[new[name] for name in plan.names] for new in news]
    pks = [normalised(went.model, plan.key_of(row)) for row in values]
    return Created(went.model, went.using, went.instances, pks, plan, values, are_sent=False)


def _new_key(rows: Updated, at: int) -> Any:
    """Return the present key of a row, or UNKNOWN if only the database knows it."""
    values, plan = _new(rows, at), rows.plan
    key: Sequence[Any] = [values[one.attname] for one in plan.fields[: plan.keys]]
    if UNKNOWN in key:
        return UNKNOWN
    return key[0] if len(key) == 1 else tuple(key)


def _new(rows: Updated, at: int) -> Mapping[str, Any]:
    """Return the new values of a row by attribute; of a key that is there twice, the new one."""
    compared = rows.comparison(at)
    return dict(zip(compared.plan.names, compared.new, strict=True))
