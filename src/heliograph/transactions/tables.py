"""Tables: the identity of a row, which is a table of a database, in a schema where that can differ, and a key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from django.db.models.options import Options

from heliograph.changes.rows import normalised
from heliograph.dispatch.reentrancy import RowId, key_of, of_class
from heliograph.transactions.schemas import Path, path_of, schema_of


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a database: of one schema, where the connection may turn from one schema to another.

    Two tables with one name, that were found by two search paths, are compared by the schemas they are in. That takes
    a query, which is made once for each of them, and never where there is one search path.
    """

    alias: str | None  # of the database
    name: str
    path: Path | None  # the schemas that were searched for it; None where nobody has set that

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
    """A table that has a part of what an instance stands for: its own, or that of a multi-table parent."""

    table: Table
    model: Any
    has_same_key: bool  # as the instance

    def key(self, instance: Any) -> Any:
        """Return the key of the instance's row in this table, as the database gives it; None if nobody knows it."""
        key = key_of(instance) if self.has_same_key else getattr(instance, self.model._meta.pk.attname, None)
        return None if key is None else normalised(self.model, key)


# The attribute of a model's `_meta` that has its parts, by alias and search path: they go with the model.
_PARTS = "_heliograph_parts"
_MOST = 100  # of these: a site may have thousands of schemas


def _parts(model: Any, alias: str | None, path: Path | None) -> tuple[Part, ...]:
    known: dict[Any, tuple[Part, ...]] = vars(model._meta).setdefault(_PARTS, {})
    parts = known.get((alias, path))
    if parts is None:
        if len(known) >= _MOST:
            known.clear()
        tables = ((Table(alias, one._meta.db_table, path), one, is_same) for one, is_same in _with_parents(model))
        parts = known[alias, path] = tuple(Part(*one) for one in tables)
    return parts


def _with_parents(model: Any, has_same_key: bool = True) -> Iterator[tuple[Any, bool]]:
    """Yield the concrete model of a model, and those of its multi-table parents."""
    options = model._meta.concrete_model._meta
    yield options.model, has_same_key
    for parent, link in options.parents.items():
        if link is not None and not parent._meta.proxy:
            yield from _with_parents(parent, has_same_key and link.primary_key)


def parts_of(model: Any, using: str | None) -> tuple[Part, ...]:
    """Return the tables that have an instance of a model as the connection is now: its own is the first."""
    return _parts(model, using, namespace_of(using))


def namespace_of(using: str | None) -> Path | None:
    """Return the search path of a database now; None for a value that names no database."""
    return path_of(using) if isinstance(using, str) else None


def table_of(model: Any, using: str) -> Table:
    """Return the table of a model as the connection is now; a proxy has that of its concrete model."""
    return parts_of(model, using)[0].table


def rows_in(model: Any, table: Table, keys: Collection[Any]) -> set[RowId]:
    """Return the rows with these keys of a model, in its table and in those of parents that have the same keys."""
    parts = _parts(model, table.alias, table.path)
    return {(part.table, key) for part in parts if part.has_same_key for key in keys}


def identity_of(kind: Any, using: str | None, path: Path | None) -> Callable[[Any], Collection[RowId]]:
    """Return how to tell the rows of an instance of a class, in the tables that a search path leads to."""
    options = vars(kind).get("_meta")
    if not isinstance(options, Options) or options.abstract:
        return of_class(kind, using)
    return partial(_rows, _parts(kind, using if isinstance(using, str) else None, path))


def _rows(parts: tuple[Part, ...], instance: Any) -> list[tuple[Hashable, Any]]:
    return [(part.table, key) for part in parts if (key := part.key(instance)) is not None]
