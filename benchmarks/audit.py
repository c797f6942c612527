"""The audit log, beside packages that log changes too, and beside a receiver that does nothing with them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import count as counting
from time import perf_counter
from typing import Any

from benchmarks import auditors, databases, pristine, project
from benchmarks.auditors import ROUTER, Auditor, EmptyBatch, Heliograph, Nobody
from benchmarks.facts import Candidate, Column, Group, Place, beside, beside_django
from benchmarks.timing import Call

ATOMIC, AUTOCOMMIT = "a save in atomic()", "a save in autocommit"
SAME_ATOMIC, SAME_AUTOCOMMIT = "a save of nothing in atomic()", "a save of nothing in autocommit"
SAVES, UPDATE, CREATE = "1,000 saves in a transaction", "update() of 10,000", "bulk_create() of 10,000"

LIMITS = {
    project.POSTGRESQL: {ATOMIC: 1.35, AUTOCOMMIT: 1.6, SAME_ATOMIC: 1.05, SAME_AUTOCOMMIT: 1.1, SAVES: 1.3},
    project.FILE: {ATOMIC: 1.9, AUTOCOMMIT: 2.2, SAVES: 1.6},
}
OF_BULK = 1.3


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table in one database."""

    auditor: Auditor
    alias: str
    model: Any
    atomic: Callable[..., Any]

    def fill(self, count: int) -> list[Any]:
        """Write so many rows unnoticed, and return them."""
        databases.execute(self.alias, f"DELETE FROM {self.model._meta.db_table}")
        rows = (self.model(name=f"Tea {number}", price=number % 90, stock=number) for number in range(count))
        pristine.queryset()(self.model, using=self.alias).bulk_create(rows)
        return [*self.model.objects.order_by("pk")]


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of rows."""

    name: str
    rows: int
    rounds: int
    prepare: Callable[[Entry, int], Call]
    entries: int  # how many entries of a log it makes
    times: int = 1  # how often it is done in a round, of which the result is for one
    is_bulk: bool = False


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    aliases = databases.available()
    yield Group(
        "audit",
        "The audit log",
        "A row with a text, a decimal and a number is saved with another number, or as it is; in a transaction of its"
        " own, in autocommit, or a thousand rows in one transaction; or ten thousand rows are updated or created by one"
        " call. SQLite in a file and PostgreSQL, both as durable as they are by default. The first row is Django as it"
        " ships; the second is a receiver with `BeforeCommit(batch=True)` that does nothing, which has to know what"
        " changed, and not what a stale copy has overwritten. After each round, the entries are counted. Packages that"
        " are not told of bulk writes have no figure there. django-pghistory has triggers in the database.",
        tuple(Column(_title(one, alias), partial(_timed, one, alias)) for alias in aliases for one in OPERATIONS),
        tuple(_targets(aliases)),
        base=Nobody.name,
        apps=auditors.apps(),
    )


def _targets(aliases: Sequence[str]) -> Iterator[Place]:
    for alias in aliases:
        for one in OPERATIONS:
            if one.is_bulk:
                yield beside(EmptyBatch.name, _title(one, alias), OF_BULK, Heliograph.name)
            elif one.name in LIMITS[alias]:
                yield beside_django(_title(one, alias), LIMITS[alias][one.name], Heliograph.name)


def _title(operation: Operation, alias: str) -> str:
    return f"{operation.name}, {databases.TITLES[alias]}"


def _timed(operation: Operation, alias: str) -> list[Candidate]:
    return [
        Candidate(entry.auditor.name, partial(_seconds, operation, entry), operation.rounds, loops=1)
        for entry in _entries()
        if entry.alias == alias and (entry.auditor.hears_bulk or not operation.is_bulk)
    ]


def _seconds(operation: Operation, entry: Entry, loops: int) -> float:
    """Return the seconds of one write, after which the log must have its entries."""
    ROUTER.alias = entry.alias
    write = operation.prepare(entry, operation.rows)
    before = entry.auditor.logged(entry.model, entry.alias)
    gc.collect()
    start = perf_counter()
    write()
    seconds = perf_counter() - start
    after = entry.auditor.logged(entry.model, entry.alias)
    # Of a save that changes nothing, some packages have an entry.
    is_right = before is None or after == before + operation.entries or operation.entries == 0
    assert is_right, f"{entry.auditor.name} has {after} entries after {before} and {operation.name}"
    return seconds / operation.times


# --- the operations ---------------------------------------------------------------------------------------------


def _in_blocks(entry: Entry, count: int, change: int = 1) -> Call:
    rows = entry.fill(count)

    def write() -> None:
        for row in rows:
            row.stock += change
            with entry.atomic(using=entry.alias):
                row.save(using=entry.alias)

    return write


def _in_autocommit(entry: Entry, count: int, change: int = 1) -> Call:
    rows = entry.fill(count)

    def write() -> None:
        for row in rows:
            row.stock += change
            row.save(using=entry.alias)

    return write


def _in_one_transaction(entry: Entry, count: int) -> Call:
    rows = entry.fill(count)

    def write() -> None:
        with entry.atomic(using=entry.alias):
            for row in rows:
                row.stock += 1
                row.save(using=entry.alias)

    return write


def _update(entry: Entry, count: int) -> Call:
    from django.db.models import F

    entry.fill(count)
    return lambda: entry.model.objects.update(stock=F("stock") + 1)


def _create(entry: Entry, count: int) -> Call:
    entry.fill(0)
    rows = [entry.model(name=f"Tea {number}", price=number % 90, stock=number) for number in range(count)]
    return lambda: entry.model.objects.bulk_create(rows)


OPERATIONS = (
    Operation(ATOMIC, 50, 12, _in_blocks, 50, times=50),
    Operation(AUTOCOMMIT, 50, 12, _in_autocommit, 50, times=50),
    Operation(SAME_ATOMIC, 50, 12, partial(_in_blocks, change=0), 0, times=50),
    Operation(SAME_AUTOCOMMIT, 50, 12, partial(_in_autocommit, change=0), 0, times=50),
    Operation(SAVES, 1_000, 5, _in_one_transaction, 1_000),
    Operation(UPDATE, 10_000, 5, _update, 10_000, is_bulk=True),
    Operation(CREATE, 10_000, 5, _create, 10_000, is_bulk=True),
)


# --- the models -------------------------------------------------------------------------------------------------


@cache
def _entries() -> list[Entry]:
    from django.db import router

    aliases = databases.migrated()
    router.routers.append(ROUTER)
    return [_entry(one, alias) for one in auditors.auditors() for alias in aliases if alias in one.databases]


_numbers = counting()


def _entry(auditor: Auditor, alias: str) -> Entry:
    from django.db import connections, models, transaction
    from django.db.models.manager import BaseManager

    manager = BaseManager.from_queryset(pristine.queryset())() if auditor.is_plain else models.Manager()
    meta = type("Meta", (), {"app_label": project.Shops.label, "base_manager_name": "objects"})
    fields = {
        "name": models.CharField(max_length=100),
        "price": models.DecimalField(max_digits=8, decimal_places=2),
        "stock": models.IntegerField(),
    }
    attributes = {"__module__": __name__, "Meta": meta, "objects": manager.db_manager(alias), **fields}
    methods = {**auditor.attributes(), **auditors.methods_of(auditor)}
    model = type(f"Tea{next(_numbers)}", (models.Model,), {**attributes, **methods})
    tables = [model, *auditor.connect(model, alias)]
    with connections[alias].schema_editor() as schema:
        for one in tables:
            schema.create_model(one)
    auditor.install(model, alias)
    atomic = pristine.transaction().atomic if auditor.is_plain else transaction.atomic
    return Entry(auditor, alias, model, atomic)
