"""Updates that set primary keys: the rows with the old keys are deleted, the rows with the new keys are created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.changes.rows import Created, Deleted, Rows, Updated
from heliograph.changes.values import UNKNOWN
from heliograph.transactions.deleted_values import with_values


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
    gone = [with_values(one, _old(went, at)) for at, one in enumerate(went.instances)]
    return [stayed, Deleted(rows.model, rows.using, went.pks, gone), Created.of(rows.model, rows.using, went.instances)]


def _old(rows: Rows, at: int) -> Mapping[str, Any]:
    compared: Any = rows.comparison(at)
    return dict(zip(compared.plan.names, compared.old, strict=True))


def _new_key(rows: Updated, at: int) -> Any:
    """Return the present key of a row, or UNKNOWN if only the database knows it."""
    compared = rows.comparison(at)
    values = dict(zip(compared.plan.names, compared.new, strict=True))  # of a field that is there twice, the new value
    key: Sequence[Any] = [values[one.attname] for one in compared.plan.fields[: compared.plan.keys]]
    if UNKNOWN in key:
        return UNKNOWN
    return key[0] if len(key) == 1 else tuple(key)
