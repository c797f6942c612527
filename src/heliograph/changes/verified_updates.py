"""Verified updates: the UPDATE of a save finds the row only if the row has the values that the instance remembers.

If the UPDATE finds the row, it has verified the old values, and holds the lock of the row: no query before it is
needed. If it finds none, the row is locked, read and then updated, as with `fetch="lock"`.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connections, models
from django.utils.timezone import is_naive

from heliograph.changes.locking_reads import shows_all_rows
from heliograph.changes.plans import Plan
from heliograph.databases import database_of
from heliograph.orm.kept_columns import KEPT

# The fields whose values a database compares exactly, with the type of their values. A float may be 0.0 or -0.0, and
# JSON has many texts for one value: models with such fields are locked.
_TYPES: dict[type, type] = {
    models.AutoField: int,
    models.BigAutoField: int,
    models.BigIntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.DateField: datetime.date,
    models.DateTimeField: datetime.datetime,
    models.DecimalField: Decimal,
    models.DurationField: datetime.timedelta,
    models.EmailField: str,
    models.IntegerField: int,
    models.PositiveBigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.SlugField: str,
    models.SmallAutoField: int,
    models.SmallIntegerField: int,
    models.TextField: str,
    models.TimeField: datetime.time,
    models.URLField: str,
    models.UUIDField: UUID,
}


class Verification(NamedTuple):
    """The condition that the row has certain values."""

    sql: str
    params: list[Any]


def verification(plan: Plan, using: str, old: Sequence[Any]) -> Verification | None:
    """Return the condition that the row has the old values of a plan; None if no UPDATE can verify them."""
    if not plan.verifies:
        return None
    connection = connections[using]
    columns = _columns_of(plan, connection)
    if columns is None or (KEPT and not KEPT.keys().isdisjoint(plan.fields)):
        return None
    values = [old[at] for at in columns.positions]
    if not all(map(_is_exact, columns.types, values)):
        return None
    pairs = zip(columns.fields, values, strict=True)
    return Verification(columns.sql, [one.get_db_prep_value(value, connection, prepared=True) for one, value in pairs])


def _is_exact(kind: type, value: Any) -> bool:
    """Return whether a value has the type of its field, so that the database has the same value."""
    if isinstance(value, datetime.datetime) and is_naive(value) is settings.USE_TZ:
        return False
    return value is None or type(value) is kind


# --- the condition, which is made once for each connection --------------------------------------------------------


class _Columns(NamedTuple):
    """The columns that are compared: where they are in the plan, and the fields that have their values."""

    sql: str
    positions: Sequence[int]
    fields: Sequence[Any]
    types: Sequence[type]


# The attribute of a connection with the columns of each plan.
_COLUMNS = "_heliograph_verified_columns"


def _columns_of(plan: Plan, connection: Any) -> _Columns | None:
    known: WeakKeyDictionary[Plan, _Columns | None] = connection.__dict__.setdefault(_COLUMNS, WeakKeyDictionary())
    if plan not in known:
        known[plan] = _compared(plan, connection)
    return known[plan]


def _compared(plan: Plan, connection: Any) -> _Columns | None:
    meta = plan.model._meta
    if meta.parents or meta.select_on_save or plan.special or not shows_all_rows(plan.model._base_manager):
        return None
    positions = [at for at, field in enumerate(plan.fields) if field.attname in plan.locked]
    fields = [_target(plan.fields[at]) for at in positions]
    conditions = [_condition(plan.fields[at], one, connection) for at, one in zip(positions, fields, strict=True)]
    known = [one for one in conditions if one is not None]
    if not known or len(known) < len(conditions):
        return None
    return _Columns(" AND ".join(known), positions, fields, [_TYPES[type(one)] for one in fields])


def _target(field: Any) -> Any:
    """Return the field that has the values of a foreign key: it may refer to the foreign key of another model."""
    while field.remote_field is not None:
        field = field.target_field
    return field


def _condition(field: Any, target: Any, connection: Any) -> str | None:
    if type(target) not in _TYPES:
        return None
    quote = connection.ops.quote_name
    column = f"{quote(field.model._meta.db_table)}.{quote(field.column)}"
    return database_of(connection).same(column, target.get_internal_type(), target)
