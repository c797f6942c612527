"""Statements of Django's cursors with effects that stay: sequences, other connections, and DDL that commits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db.models import AutoField, BigAutoField, SmallAutoField

from heliograph.databases import database_of
from heliograph.flow.effects.seen_effects import is_recording, record
from heliograph.flow.statements_in_short import in_short, is_ddl, is_write
from heliograph.orm import cursors
from heliograph.orm.steps import PatchLease, Proceed, Step
from heliograph.transactions.pending import OF_REHEARSAL

_INSERT = re.compile(r'\s*INSERT\s+(?:IGNORE\s+)?INTO\s+[`"]?(\w+)[`"]?\s*(?:\(([^)]*)\))?', re.IGNORECASE)


def record_statement(proceed: Proceed, cursor: Any, sql: Any, *args: Any) -> Any:
    """Execute a statement; where effects are recorded, record those of its effects that a rollback does not undo."""
    if not is_recording() or not is_write(str(sql)):
        return proceed(cursor, sql, *args)
    if _is_rolled_back(cursor.db):
        _record(cursor.db, str(sql))  # also if the statement fails: a number of a sequence is taken nevertheless
        return proceed(cursor, sql, *args)
    result = proceed(cursor, sql, *args)
    record("database", f"{in_short(str(sql))} on another connection to {cursor.db.alias!r}")
    return result


def _record(connection: Any, sql: str) -> None:
    if is_ddl(sql) and not connection.features.can_rollback_ddl:
        record("database", f"{in_short(sql)} on {connection.alias!r}, which commits the transaction")
    elif (column := _generated(sql)) and not database_of(connection).undoes_sequences:
        record("sequence", f"sequence of {column}")


def _is_rolled_back(connection: Any) -> bool:
    """Return whether the connection is in the block of a rehearsal, which ends with a rollback."""
    return any(hasattr(block, OF_REHEARSAL) for block in connection.atomic_blocks)


def _generated(sql: str) -> str:
    """Return the column that an INSERT lets the database number, with its table; "" if there is none."""
    inserted = _INSERT.match(sql)
    if inserted is None:
        return ""
    table, given = inserted[1], re.findall(r"\w+", inserted[2] or "")
    column = _numbered_columns().get(table)
    return "" if column is None or column in given else f"{table}.{column}"


def _numbered_columns() -> dict[str, str]:
    """Return the column of each table of a model that the database numbers."""
    fields = (model._meta.pk for model in apps.get_models(include_auto_created=True))
    numbered = (AutoField, BigAutoField, SmallAutoField)
    return {field.model._meta.db_table: str(field.column) for field in fields if isinstance(field, numbered)}


def _steps() -> Iterator[Step]:
    yield cursors.execute.step("record_effects", record_statement)
    yield cursors.execute_many.step("record_effects", record_statement)


of_statements = PatchLease(_steps)
