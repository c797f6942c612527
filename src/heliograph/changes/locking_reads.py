"""Reading one row under its lock, by a statement that Django compiles once for each connection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.manager import BaseManager

from heliograph.changes.plans import Plan
from heliograph.changes.values import UNKNOWN

Row = Mapping[str, Any]  # values by the attributes of their fields


@dataclass(frozen=True, slots=True)
class LockingRead:
    """The statement that locks and reads a row of a model by its primary key, on one connection."""

    compiler: Any
    sql: str
    keys: Sequence[Any]  # the fields of the primary key
    names: Sequence[str]  # the attributes of the columns
    converters: Mapping[int, Any]  # what makes a value of the field of a column, by the index of the column

    def row(self, key: Any) -> Row | None:
        """Lock the row with a primary key, and return its values; None if there is no such row."""
        connection = self.compiler.connection
        with connection.cursor() as cursor:
            cursor.execute(self.sql, _parameters(self.keys, key, connection))
            rows = cursor.fetchall()
        for row in rows:
            return dict(zip(self.names, self._converted(row) if self.converters else row, strict=True))
        return None

    def _converted(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return the values of the fields; UNKNOWN for those that Django cannot read, which a save may overwrite."""
        try:
            return next(iter(self.compiler.apply_converters([row], self.converters)))
        except Exception:  # a field may raise any error for what it finds, such as a text that it cannot decrypt
            return [self._converted_alone(at, value) for at, value in enumerate(row)]

    def _converted_alone(self, at: int, value: Any) -> Any:
        converters = {0: self.converters[at]} if at in self.converters else {}
        try:
            return next(iter(self.compiler.apply_converters([[value]], converters)))[0]
        except Exception:  # as above
            return UNKNOWN


def rows_to_lock(plan: Plan, names: Collection[str], connection: Any, *, are_kept: bool) -> QuerySet[Any, Any]:
    """Return a query that locks all rows of a model, and reads the primary key and the fields with these attributes.

    `are_kept` says that the rows will be updated and not deleted. Like Django, an update finds the rows that the base
    manager shows, and a deletion finds all.
    """
    no_key = are_kept and connection.features.has_select_for_no_key_update
    found = plan.model._base_manager if are_kept else QuerySet(plan.model)
    asked = [*plan.names[: plan.keys], *(name for name in plan.names[plan.keys :] if name in names)]
    rows: QuerySet[Any, Any] = found.using(connection.alias).order_by().select_for_update(no_key=no_key)
    return rows.values_list(*asked)


# --- statements that are compiled once ----------------------------------------------------------------------------

# Django takes several times as long for a query of one row as the database does, and each save makes this query. Its
# text depends on nothing but the columns, and the key is all of its parameters.

# The attribute of a connection with its statements, by plan.
_READS = "_heliograph_locking_reads"


def read_of(plan: Plan, names: frozenset[str], connection: Any, key: Any, *, are_kept: bool) -> LockingRead | None:
    """Return the read of the row with a primary key; None if Django has to compile the query for each key."""
    parts = key if type(key) is tuple else (key,)
    if not _PLAIN.issuperset(map(type, parts)):
        return None
    reads = connection.__dict__.get(_READS)
    if reads is None:
        reads = connection.__dict__[_READS] = WeakKeyDictionary()
    of_plan = reads.setdefault(plan, {})
    which = names, are_kept, settings.USE_TZ  # without time zones, times have other converters
    if which not in of_plan:
        of_plan[which] = _compiled(plan, names, connection, key, are_kept=are_kept)
    found: LockingRead | None = of_plan[which]
    return found


def _compiled(plan: Plan, names: Collection[str], connection: Any, key: Any, *, are_kept: bool) -> LockingRead | None:
    """Compile the query for one key; None if it may be another query for another key, or at another time."""
    if are_kept and not shows_all_rows(plan.model._base_manager):
        return None
    rows = rows_to_lock(plan, names, connection, are_kept=are_kept).filter(pk=key)
    compiler, keys = rows.query.get_compiler(connection.alias), plan.fields[: plan.keys]
    sql, parameters = compiler.as_sql()
    if [*parameters] != _parameters(keys, key, connection):
        return None
    columns = [column for column, *_ in compiler.select[: compiler.col_count]]
    return LockingRead(compiler, sql, keys, rows.query.values_select, compiler.get_converters(columns))


def shows_all_rows(manager: Any) -> bool:
    """Return whether a manager has no method of its own: its filter could depend on the tenant, or on the time."""
    return type(manager).get_queryset is BaseManager.get_queryset and manager._queryset_class is QuerySet


# Keys whose class cannot have a way of its own to become a parameter or a piece of SQL.
_PLAIN = frozenset([int, str, UUID])


def _parameters(keys: Sequence[Any], key: Any, connection: Any) -> list[Any]:
    parts = key if type(key) is tuple else (key,)
    return [field.get_db_prep_value(part, connection) for field, part in zip(keys, parts, strict=True)]
