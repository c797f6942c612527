"""The identity of a row: its primary key and its table; the identity of a table: its database, schema and name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from django.db.models.options import Options

from heliograph.changes.parents import with_parents
from heliograph.changes.rows import normalised
from heliograph.dispatch.reentrancy import RowId, key_of, of_class
from heliograph.transactions.schemas import Path, may_have_schemas, path_of, schema_of


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a database, and of one schema if the connection may change its search path (PostgreSQL).

    Two tables with the same name and different search paths are equal if they are in the same schema. This comparison
    takes one query for each table; it is never needed while there is only one search path.
    """

    alias: str | None  # of the database
    name: str
    path: Path | None  # the schemas that were searched for the table; None if no code has set a search path

    @cached_property
    def schema(self) -> str | None:
        """The first schema of the search path that has this table; None where no schema has it."""
        return schema_of(self.alias, self.path, self.name)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Table) or (self.alias, self.name) != (other.alias, other.name):
            return False
        return self.path == other.path or self.schema == other.schema

    def __hash__(self) -> int:
        return hash((self.alias, self.name))


@dataclass(frozen=True)
class Part:
    """A table with a row of an instance: the table of its model, or of a multi-table parent."""

    table: Table
    model: Any
    has_same_key: bool  # whether the row has the primary key of the instance

    def key(self, instance: Any) -> Any:
        """Return the key of the instance's row in this table, as the database gives it; None if it is not known."""
        key = key_of(instance) if self.has_same_key else getattr(instance, self.model._meta.pk.attname, None)
        return None if key is None else normalised(self.model, key)


# The attribute of a model's `_meta` with its parts by alias and search path: they are freed together with the model.
_PARTS = "_heliograph_parts"
_MOST = 100  # entries for each model, since a site may have thousands of schemas


def _parts(model: Any, alias: str | None, path: Path | None) -> tuple[Part, ...]:
    known: dict[Any, tuple[Part, ...]] = vars(model._meta).setdefault(_PARTS, {})
    parts = known.get((alias, path))
    if parts is None:
        if len(known) >= _MOST:
            known.clear()
        tables = ((Table(alias, one._meta.db_table, path), one, is_same) for one, is_same in with_parents(model))
        parts = known[alias, path] = tuple(Part(*one) for one in tables)
    return parts


def parts_of(model: Any, using: str | None) -> tuple[Part, ...]:
    """Return the tables with rows of an instance of a model, under the present search path; its own table first."""
    return _parts(model, using, namespace_of(using))


def namespace_of(using: str | None) -> Path | None:
    """Return the present search path of a database; None for a value that is not an alias."""
    return path_of(using) if isinstance(using, str) and may_have_schemas(using) else None


def table_of(model: Any, using: str) -> Table:
    """Return the table of a model under the present search path; a proxy has the table of its concrete model."""
    path = path_of(using) if may_have_schemas(using) else None  # as namespace_of() does
    return _parts(model, using, path)[0].table


def rows_in(model: Any, table: Table, keys: Collection[Any]) -> set[RowId]:
    """Return the rows of a model with these keys: in its own table, and in its parents' tables with the same keys.

    A row that has no key yet is none.
    """
    parts = _parts(model, table.alias, table.path)
    return {(part.table, key) for part in parts if part.has_same_key for key in keys if key is not None}


def identity_of(kind: Any, using: str | None, path: Path | None) -> Callable[[Any], Collection[RowId]]:
    """Return a function that identifies the rows of instances of a class, in the tables of this search path."""
    options = vars(kind).get("_meta")
    if not isinstance(options, Options) or options.abstract:
        return of_class(kind, using)
    return partial(_rows, _parts(kind, using if isinstance(using, str) else None, path))


def _rows(parts: tuple[Part, ...], instance: Any) -> list[tuple[Hashable, Any]]:
    return [(part.table, key) for part in parts if (key := part.key(instance)) is not None]
