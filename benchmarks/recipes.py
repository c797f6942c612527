"""Recipes, beside the receivers that tutorials write by hand for the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import count as counting
from typing import Any

from benchmarks import databases, pristine, project
from benchmarks.compared_recipes import (
    CHANGES,
    CREATE,
    DELETE,
    DELETES,
    OF_NEW_ROWS,
    RECIPES,
    SAVE,
    SAVES,
    Fields,
    NothingConnected,
    Recipe,
    values,
)
from benchmarks.facts import Candidate, Column, Group, beside_django
from benchmarks.timing import Call
from benchmarks.writes import Operation, queries, seconds

APPS = ("heliograph.outbox", "heliograph.recipes.webhooks")
LIMIT = 1.5


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the tables in one database: a recipe, or the receivers by hand, or neither."""

    name: str
    recipe: Recipe
    operations: Collection[str]
    is_declared: bool
    alias: str
    models: Sequence[Any]

    @property
    def model(self) -> Any:
        """The model whose rows are written."""
        return self.models[0]

    @property
    def tables(self) -> Sequence[str]:
        """The tables that are written."""
        return [model._meta.db_table for model in self.models]

    def new_rows(self, count: int) -> list[Any]:
        """Return rows to be saved, for which there is something to do."""
        return [self.model(**{**values(number), **self.recipe.given}) for number in range(count)]

    def old_rows(self, count: int) -> list[Any]:
        """Return rows that were written unnoticed."""
        rows = (self.model(**values(number)) for number in range(count))
        pristine.queryset()(self.model, using=self.alias).bulk_create(rows)
        return [*self.model.objects.order_by("pk")]

    def changed_rows(self, count: int) -> list[Any]:
        """Return such rows with other values, of which each recipe has to take notice."""
        rows = self.old_rows(count)
        for row in rows:
            changes = {"title": f"Green {row.title}", "status": "paid", "thumbnail": f"{row.thumbnail}.png"}
            for name, value in (changes | self.recipe.given).items():
                setattr(row, name, value)
        return rows

    def empty(self) -> None:
        """Remove all rows, also from the outbox."""
        from django.core import mail

        from heliograph.outbox.models import Delivery

        mail.outbox = []
        for model in (*self.models[::-1], Delivery):
            table = model._meta.db_table
            is_server = self.alias == project.POSTGRESQL
            databases.execute(self.alias, f"TRUNCATE {table} CASCADE" if is_server else f"DELETE FROM {table}")

    def in_transaction(self, write: Callable[..., object], rows: Sequence[Any]) -> None:
        """Write rows in one transaction, each by a call."""
        atomic = _atomic(self.is_declared)
        with atomic(using=self.alias):
            self.each(write, rows)

    def each(self, write: Callable[..., object], rows: Sequence[Any]) -> None:
        """Write rows, each by a call."""
        for row in rows:
            write(row, using=self.alias)


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _times()
    yield _queries()


# --- the tables -------------------------------------------------------------------------------------------------


def _times() -> Group:
    return Group(
        "recipes",
        "Recipes",
        "A row for each recipe, and above it one for the receivers of `pre_save`, `post_save`, `pre_delete` and"
        " `post_delete` that tutorials write by hand for the same, as its page shows them. All rows write one model,"
        " whose fields are those that any of them needs, in a SQLite database in a file and in PostgreSQL: both as"
        " durable as they are by default. A thousand new rows are saved in one transaction; or twenty in autocommit,"
        " each with its commit, of which the time is for one; or a hundred rows are deleted in one transaction, each"
        " by its `delete()`. After each round, the rows are counted for which the recipe has done its work. All rows"
        " but those of recipes are Django as it ships: with its own dispatcher, and a second copy of its methods, which"
        " the patches do not reach. What a recipe leaves to a worker of the outbox (`mail`, `search_index`, `webhook`,"
        " and the files of `clean_up_files`) is not done here, and by hand it is: into memory, where a request or a"
        " mail would take milliseconds. `webhook` has no row by hand, which would be such a request. `generate, of"
        " the key` computes a value of the key that the database makes, and `generate` one that needs no key.",
        tuple(
            Column(_title(operation, alias), partial(_timed, operation, alias))
            for alias in databases.available()
            for operation in TIMED
        ),
        tuple(
            beside_django(_title(operation, alias), LIMIT, recipe.name)
            for alias in databases.available()
            for operation in TIMED
            if operation.name in (SAVES, DELETES)
            for recipe in RECIPES
            if operation.name in _timed_operations(recipe)
        ),
        base=NothingConnected.name,
        apps=APPS,
    )


def _queries() -> Group:
    alias = databases.available()[-1]
    return Group(
        "recipes_queries",
        f"Recipes: queries on {databases.TITLES[alias]}",
        "The queries of the table above, with BEGIN, COMMIT and the rows of the outbox; those of a hundred saves of"
        " rows with another title, status and file; and those of a thousand rows in one call, in autocommit. An empty"
        " cell is a write of which no signal is sent, or with which the recipe has nothing to do.",
        tuple(Column(operation.name, partial(counted, operation, alias)) for operation in COUNTED),
        base=NothingConnected.name,
        unit="queries",
        apps=APPS,
    )


def _title(operation: Operation[Entry], alias: str) -> str:
    return f"{operation.name}, {databases.TITLES[alias]}"


# --- the measuring ----------------------------------------------------------------------------------------------


def _timed(operation: Operation[Entry], alias: str) -> list[Candidate]:
    return [
        Candidate(entry.name, partial(seconds, operation, entry, _check), operation.rounds, loops=1)
        for entry in _entries()
        if entry.alias == alias and operation.name in entry.operations and _is_timed(operation, entry.recipe)
    ]


def _is_timed(operation: Operation[Entry], recipe: Recipe) -> bool:
    return isinstance(recipe, NothingConnected) or operation.name in _timed_operations(type(recipe))


def _timed_operations(recipe: type[Recipe]) -> Collection[str]:
    """Return the writes of new rows; the deletions only for a recipe that is about nothing else."""
    return [name for name in recipe.operations if name in OF_NEW_ROWS] or recipe.operations


def counted(operation: Operation[Entry], alias: str) -> list[Candidate]:
    """Return what counts the queries of a write, for each row of the table."""
    return [
        Candidate(entry.name, partial(queries, operation, entry, _check), rounds=1, loops=1)
        for entry in _entries()
        if entry.alias == alias and operation.name in entry.operations
    ]


def _check(operation: Operation[Entry], entry: Entry) -> None:
    rows, left = entry.model.objects.all(), 0 if operation.name in (DELETES, DELETE) else operation.rows
    found = [rows.count(), rows.filter(entry.recipe.done).count()]
    assert found == [left, left], f"{entry.name} has done its work for {found[1]} of {found[0]} after {operation.name}"


# --- the operations ---------------------------------------------------------------------------------------------


def _saves(entry: Entry, rows: int) -> Call:
    return partial(entry.in_transaction, entry.model.save, entry.new_rows(rows))


def _save(entry: Entry, rows: int) -> Call:
    return partial(entry.each, entry.model.save, entry.new_rows(rows))


def _changes(entry: Entry, rows: int) -> Call:
    return partial(entry.in_transaction, entry.model.save, entry.changed_rows(rows))


def _deletes(entry: Entry, rows: int) -> Call:
    return partial(entry.in_transaction, entry.model.delete, entry.old_rows(rows))


def _create(entry: Entry, rows: int) -> Call:
    return partial(entry.model.objects.bulk_create, entry.new_rows(rows))


def _delete(entry: Entry, rows: int) -> Call:
    entry.old_rows(rows)
    return lambda: entry.model.objects.all().delete()


_SAVES = Operation(SAVES, 1_000, 2, _saves)
_SAVE = Operation(SAVE, 20, 3, _save, times=20)
_DELETES = Operation(DELETES, 100, 4, _deletes)
TIMED = (_SAVES, _SAVE, _DELETES)
COUNTED = (
    *TIMED,
    Operation(CHANGES, 100, 1, _changes),
    Operation(CREATE, 1_000, 1, _create),
    Operation(DELETE, 1_000, 1, _delete),
)


# --- the models -------------------------------------------------------------------------------------------------


@cache
def _entries() -> list[Entry]:
    """Return the rows of the tables for each database, with their models, tables and receivers."""
    aliases = databases.migrated()
    makers = [_unconnected, *(partial(make, recipe()) for recipe in RECIPES for make in (_by_hand, _declared))]
    return [make(alias) for make in makers for alias in aliases]


def _unconnected(alias: str) -> Entry:
    recipe = NothingConnected()
    return Entry(recipe.name, recipe, recipe.operations, False, alias, recipe.models(partial(_made, False, alias)))


def _by_hand(recipe: Recipe, alias: str) -> Entry:
    found = recipe.models(partial(_made, False, alias))
    recipe.connect(*found)
    operations = [name for name in recipe.operations if name in recipe.by_hand]
    return Entry(f"{recipe.name} by hand", recipe, operations, False, alias, found)


def _declared(recipe: Recipe, alias: str) -> Entry:
    found = recipe.models(partial(_made, True, alias))
    recipe.declare(*found)
    return Entry(recipe.name, recipe, recipe.operations, True, alias, found)


_numbers = counting()


def _made(is_declared: bool, alias: str, name: str, fields: Fields) -> Any:
    """Return a model that uses one database, with its table there."""
    from django.db import connections
    from django.db.models import Manager, Model
    from django.db.models.manager import BaseManager

    manager = Manager() if is_declared else BaseManager.from_queryset(pristine.queryset())()
    methods = {} if is_declared else {**pristine.saving(), **pristine.deleting()}
    meta = type("Meta", (), {"app_label": project.Shops.label, "base_manager_name": "objects"})
    attributes = {"__module__": __name__, "Meta": meta, "objects": manager.db_manager(alias)}
    made = type(f"{name}{next(_numbers)}", (Model,), {**attributes, **methods, **fields})
    with connections[alias].schema_editor() as schema:
        schema.create_model(made)
    return made


def _atomic(is_declared: bool) -> Callable[..., Any]:
    from django.db import transaction

    return transaction.atomic if is_declared else pristine.transaction().atomic
