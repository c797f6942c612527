"""The statements that insert change sets and their entries: one for all of them where the database can."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connections
from django.db.models.constants import OnConflict

from heliograph.audit.acts import Act
from heliograph.audit.bulk_columns import Entries
from heliograph.audit.digests import KindColumns, digests_of, new_salts, number_of
from heliograph.audit.log_tables import APP
from heliograph.databases import database_of
from heliograph.databases.general import Database

# So many entries, or so many characters of them, are one statement.
MOST_ENTRIES = 10_000
MOST_CHARACTERS = 2_000_000

# So many entries are given as VALUES: a database plans that faster than it takes a table of texts apart.
FEW = 4


def insert_all(using: str, parts: Sequence[tuple[Act, Entries]]) -> None:
    """Insert a change set for each act, with its entries, in the open transaction."""
    if len(parts) == 1:
        [(act, entries)] = parts
        if database_of(connections[using]).inserts_within and len([*_chunks(entries)]) == 1:
            _insert_at_once(using, act, entries)
            return
    kinds = {kind for _, entries in parts for kind in entries.kinds}
    if kinds:
        _insert_kinds(using, kinds)
    first = None
    for act, entries in parts:
        number = _insert_set(using, act, first, entries)
        first = first or number


def _chunks(entries: Entries) -> Iterator[Entries]:
    """Yield entries in parts, each of which is one statement."""
    start = size = 0
    for at, text in enumerate(entries.texts):
        size += len(text)
        if at > start and (at - start >= MOST_ENTRIES or size > MOST_CHARACTERS):
            yield entries.part(start, at)
            start, size = at, len(text)
    yield entries.part(start) if start else entries


def _insert_at_once(using: str, act: Act, entries: Entries) -> None:
    statements, kinds = _statements(using), sorted({*entries.kinds})
    into_entries, values = _into_entries(using, entries, None)
    into_sets, into_kinds = f"{statements.into_sets} RETURNING id", statements.into_kinds(len(kinds))
    with connections[using].cursor() as cursor:
        sql = f"WITH change_set AS ({into_sets}), kinds AS ({into_kinds}) {into_entries}"
        cursor.execute(sql, [*_values_of_set(using, None, act), *_values_of(kinds), *values])


def _insert_kinds(using: str, kinds: Collection[KindColumns]) -> None:
    """Insert the kinds that are not there: in one order, so that no two transactions wait for each other."""
    with connections[using].cursor() as cursor:
        cursor.execute(_statements(using).into_kinds(len(kinds)), _values_of(sorted(kinds)))


def _insert_set(using: str, act: Act, first: int | None, entries: Entries) -> int:
    """Insert a change set with its entries, and return its number."""
    connection, into_sets = connections[using], _statements(using).into_sets
    is_returned = database_of(connection).inserts_within
    with connection.cursor() as cursor:
        cursor.execute(f"{into_sets} RETURNING id" if is_returned else into_sets, _values_of_set(using, first, act))
        number: int = cursor.fetchone()[0] if is_returned else cursor.lastrowid
        for chunk in _chunks(entries):
            cursor.execute(*_into_entries(using, chunk, number))
    return number


def _values_of_set(using: str, first: int | None, act: Act) -> list[Any]:
    _, at = database_of(connections[using]).time_of_insertion()
    return [*at, first, *act.columns()]


def _values_of(kinds: Iterable[KindColumns]) -> list[Any]:
    return [value for kind in kinds for value in (number_of(kind), *kind)]


def _into_entries(using: str, entries: Entries, number: int | None) -> tuple[str, list[Any]]:
    """Return the statement that inserts entries, and its parameters.

    `number` is that of their change set; None if the same statement inserts it.
    """
    into = _statements(using).into_entries
    of_set, given = ("(SELECT id FROM change_set)", []) if number is None else ("%s", [number])
    salts = new_salts(len(entries.texts))
    columns = entries.keys, entries.texts, salts, digests_of(salts, entries.texts)
    if len(salts) > FEW:
        table, values = _as_table(using, entries.kinds, columns)
        return f"{into} SELECT {of_set}, {table}", [*given, *values]
    rows = zip(map(number_of, entries.kinds), *columns, strict=True)
    markers = ", ".join([f"({of_set}, %s, %s, %s, %s, %s)"] * len(salts))
    return f"{into} VALUES {markers}", [value for row in rows for value in (*given, *row)]


def _as_table(using: str, kinds: Sequence[KindColumns], columns: Sequence[Sequence[str]]) -> tuple[str, list[Any]]:
    """Return the kinds and these columns of entries as the rest of a SELECT; one kind of all is one parameter."""
    connection, database = connections[using], database_of(connections[using])
    numbers = {kind: number_of(kind) for kind in {*kinds}}
    of_kind, given = "%s", [*numbers.values()]
    if len(numbers) > 1:
        of_kind, given = f"CAST(c4 AS {database.bigint})", []
        columns = *columns, [str(numbers[kind]) for kind in kinds]
    table, texts = database.table_of_texts(connection, columns)
    return f"{of_kind}, c0, c1, c2, c3 FROM {table}", [*given, *texts]


# --- the texts of statements --------------------------------------------------------------------------------------


class _Statements(NamedTuple):
    """The beginnings of the statements on a database."""

    into_sets: str
    into_entries: str
    kinds: tuple[str, str]  # before and after the values

    def into_kinds(self, count: int) -> str:
        """Return the statement that inserts so many kinds, as far as they are not there."""
        return f"{self.kinds[0]} VALUES {', '.join(['(%s, %s, %s, %s)'] * count)} {self.kinds[1]}"


@cache
def _statements(using: str) -> _Statements:
    connection, database = connections[using], database_of(connections[using])
    change_sets, of_kinds, entries = (_table(database, name) for name in ("ChangeSet", "Kind", "Entry"))
    insert, ignore = connection.ops.insert_statement(OnConflict.IGNORE), connection.ops.on_conflict_suffix_sql
    return _Statements(
        f"INSERT INTO {change_sets} ({_names(database, *_OF_SETS)})"
        f" VALUES ({database.time_of_insertion()[0]}, {', '.join(['%s'] * (len(_OF_SETS) - 1))})",
        f"INSERT INTO {entries} ({_names(database, *_OF_ENTRIES)})",
        (
            f"{insert} {of_kinds} ({_names(database, *_OF_KINDS)})",
            ignore([], OnConflict.IGNORE, [], []),
        ),
    )


_OF_SETS = ("at", "first", "actor", "actor_label", "reason", "context", "salts", "digests")
_OF_KINDS = ("id", "model", "action", "fields")
_OF_ENTRIES = ("change_set_id", "kind_id", "object", "changes", "salt", "digest")


def _table(database: Database, model: str) -> str:
    return database.quoted(apps.get_model(APP, model)._meta.db_table)


def _names(database: Database, *names: str) -> str:
    return ", ".join(map(database.quoted, names))
