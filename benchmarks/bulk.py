"""Bulk writes: what it costs to receive every row, and what it costs where nobody wants to."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from itertools import count as counting
from time import perf_counter
from typing import Any

from benchmarks import databases, peers, project
from benchmarks.facts import Candidate, Column, Group, Place, beside_django
from benchmarks.listeners import CREATE, UPDATE, UPDATE_EACH, Listener, OfSave, OfWrite, Row, Shipped, WithoutReceivers
from benchmarks.receivers import Receiver
from benchmarks.timing import Call, repeated

NO_RECEIVERS = 1.02  # it should be 1: what is allowed above it is what two runs of the same differ by
SLOW_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Operation:
    """A write of many rows, and how much longer it may take with a receiver."""

    name: str
    rows: int
    rounds: int
    prepare: Callable[[Any, int], Call]  # returns the write of so many rows of a model
    limits: dict[str, float]


@dataclass(frozen=True, slots=True)
class Product:
    """A model that somebody listens to, and the rows that it has received."""

    listener: Listener
    model: Any
    received: list[Row] = field(default_factory=list)
    receivers: list[Receiver | None] = field(default_factory=list)


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _bulk()
    yield _without_receivers()


# --- ten thousand rows ------------------------------------------------------------------------------------------


def _bulk() -> Group:
    return Group(
        "bulk",
        "Bulk: ten thousand rows",
        "A table of eleven columns, with an index on `stock` beside the one on the primary key, in a SQLite database in"
        " a file and in PostgreSQL: both as durable as they are by default, each write in autocommit with its commit."
        ' `update(stock=F("stock") + 1)` and `bulk_create()` write ten thousand rows, `bulk_update()`, which takes'
        " seconds for as many, one thousand. The receiver is called once, with all rows, and reads the primary key, the"
        " old stock and the new one of each. That of the third row listens to `post_update`, `post_bulk_create` or"
        " `post_bulk_update`; that of the fourth one to `post_save`, with"
        ' `bulk=True, when=created | changed("stock"), delivery=BeforeCommit(batch=True)`.'
        " After each round, what was received is compared with what the table had and has. The first row is Django as"
        " it ships: a second copy of its querysets, which the patches do not reach. The second one is a model without"
        " receivers while all the others listen to theirs. django-bulk-tracker loads all rows before the update and"
        " after it, and calls its receivers after the commit.",
        tuple(
            Column(_column(operation, alias), partial(_received, operation, alias))
            for alias in databases.available()
            for operation in OPERATIONS
        ),
        tuple(
            target
            for alias in databases.available()
            for operation in OPERATIONS
            for target in _targets(operation, alias)
        ),
        base=Shipped.name,
    )


def _targets(operation: Operation, alias: str) -> Iterator[Place]:
    column, limit = _column(operation, alias), operation.limits[alias]
    yield beside_django(column, NO_RECEIVERS, WithoutReceivers.name)
    yield from (beside_django(column, limit, kind.name) for kind in (OfWrite, OfSave))


def _column(operation: Operation, alias: str) -> str:
    return f"{operation.name}, {databases.TITLES[alias]}"


def _received(operation: Operation, alias: str) -> list[Candidate]:
    return [_candidate(_product(one, operation, alias), operation, alias) for one in peers.listeners()]


def _candidate(product: Product, operation: Operation, alias: str) -> Candidate:
    rounds = SLOW_ROUNDS if product.listener.is_slow else operation.rounds
    run = partial(_timed, product, operation, alias)
    return Candidate(product.listener.name, run, rounds, loops=1)


def _timed(product: Product, operation: Operation, alias: str, loops: int) -> float:
    """Return the seconds of one write, whose rows must be those that were received."""
    write = operation.prepare(product.model, operation.rows)
    before = _stocks(product.model)
    product.received.clear()
    gc.collect()
    databases.vacuum(alias, product.model._meta.db_table)
    start = perf_counter()
    write()
    seconds = perf_counter() - start
    _check(product, operation, before)
    return seconds


def _check(product: Product, operation: Operation, before: dict[Any, int]) -> None:
    after = _stocks(product.model)
    written = {(pk, before.get(pk), stock) for pk, stock in after.items() if before.get(pk) != stock}
    assert len(written) == operation.rows, f"{product.listener.name} writes {len(written)} rows"
    if product.listener.receives:
        received = product.received
        assert len(received) == operation.rows, f"{product.listener.name} receives {len(received)} rows"
        assert set(received) == written, f"{product.listener.name} receives {sorted(set(received) - written)[:3]}"


def _stocks(model: Any) -> dict[Any, int]:
    return dict(model.objects.values_list("pk", "stock"))


# --- the operations ---------------------------------------------------------------------------------------------


def _update(model: Any, rows: int) -> Call:
    from django.db.models import F

    return lambda: model.objects.update(stock=F("stock") + 1)


def _create(model: Any, rows: int) -> Call:
    databases.execute(model.objects.db, f"DELETE FROM {model._meta.db_table}")
    products = _products(model, rows)
    return lambda: model.objects.bulk_create(products)


def _update_each(model: Any, rows: int) -> Call:
    products = list(model.objects.all())
    for product in products:
        product.stock += 1
    return lambda: model.objects.bulk_update(products, ["stock"])


OPERATIONS = (
    Operation(UPDATE, 10_000, 80, _update, {project.FILE: 2.5, project.POSTGRESQL: 1.6}),
    Operation(CREATE, 10_000, 20, _create, {project.FILE: 1.3, project.POSTGRESQL: 1.3}),
    Operation(UPDATE_EACH, 1_000, 20, _update_each, {project.FILE: 1.2, project.POSTGRESQL: 1.2}),
)


# --- where nobody listens ---------------------------------------------------------------------------------------


def _without_receivers() -> Group:
    calls: dict[str, Callable[[Any], Call]] = {
        "update() of one": _updating_one,
        "bulk_create() of ten": _creating_ten,
        "bulk_update() of ten": _updating_ten,
        "delete() of none": _deleting_none,
    }
    return Group(
        "bulk_without_receivers",
        "Bulk: a model nobody listens to",
        "Small writes, of which what they cost beside the rows is the larger part, in a SQLite database in memory, in"
        " autocommit. Django is the copy of the table above; the model of the second row has no receivers while those"
        " of others receive all bulk writes. The ratio should be 1; what is allowed above it is what two runs of the"
        " same differ by.",
        tuple(Column(name, partial(_writes_without_receivers, call)) for name, call in calls.items()),
        tuple(beside_django(name, NO_RECEIVERS, WithoutReceivers.name) for name in calls),
        base=Shipped.name,
        processes=4,
    )


def _writes_without_receivers(call: Callable[[Any], Call]) -> list[Candidate]:
    _listening()
    return [repeated(one.listener.name, call(one.model), rounds=600) for one in _two()]


def _updating_one(model: Any) -> Call:
    from django.db.models import F

    (pk,) = model.objects.values_list("pk", flat=True)[:1]
    return lambda: model.objects.filter(pk=pk).update(stock=F("stock") + 1)


def _creating_ten(model: Any) -> Call:
    products = _products(model, 10)

    def create() -> None:
        for product in products:
            product.pk = None
        model.objects.bulk_create(products)

    return create


def _updating_ten(model: Any) -> Call:
    products = list(model.objects.all()[:10])
    return lambda: model.objects.bulk_update(products, ["stock"])


def _deleting_none(model: Any) -> Call:
    return lambda: model.objects.filter(pk=0).delete()


@cache
def _two() -> list[Product]:
    """Return Django's model and ours, without receivers."""
    products = [_made(one, "default") for one in (Shipped(), WithoutReceivers())]
    for product in products:
        _fill(product.model, 10)
    return products


@cache
def _listening() -> list[Product]:
    """Listen to other models from now on, and return what does."""
    products = [_made(one, "default") for one in (OfWrite(), OfSave())]
    for product in products:
        for operation in OPERATIONS:
            _listen(product, operation)
    return products


# --- the models and their databases -----------------------------------------------------------------------------


def _product(listener: Listener, operation: Operation, alias: str) -> Product:
    """Return a model with its table, and its receiver."""
    databases.create(alias)
    product = _made(listener, alias)
    _fill(product.model, operation.rows)
    _listen(product, operation)
    return product


def _listen(product: Product, operation: Operation) -> None:
    product.receivers.append(product.listener.connect(product.model, operation.name, product.received))


_numbers = counting()


def _made(listener: Listener, alias: str) -> Product:
    """Return a model whose manager uses one database, and its table there."""
    from django.db import connections, models

    fields: dict[str, models.Field[Any, Any]] = {
        "number": models.CharField(max_length=20),
        "title": models.CharField(max_length=100),
        "description": models.TextField(),
        "price": models.DecimalField(max_digits=10, decimal_places=2),
        "cost": models.DecimalField(max_digits=10, decimal_places=2),
        "stock": models.IntegerField(db_index=True),
        "weight": models.FloatField(),
        "is_on_sale": models.BooleanField(),
        "available_from": models.DateField(),
        "updated_at": models.DateTimeField(),
    }
    meta = type("Meta", (), {"app_label": "benchmarks"})
    objects = listener.manager().db_manager(alias)
    attributes = {"__module__": __name__, "Meta": meta, "objects": objects, **fields, **listener.attributes()}
    model: Any = type(f"Product{next(_numbers)}", (*listener.bases(), models.Model), attributes)
    with connections[alias].schema_editor() as schema:
        schema.create_model(model)
    return Product(listener, model)


def _products(model: Any, count: int) -> list[Any]:
    """Return new instances."""
    values: dict[str, Any] = {
        "title": "Darjeeling First Flush",
        "description": "A light tea of the first harvest, in tins of a hundred grams.",
        "price": Decimal("12.90"),
        "cost": Decimal("7.35"),
        "weight": 0.1,
        "is_on_sale": False,
        "available_from": date(2026, 5, 4),
        "updated_at": datetime(2026, 5, 6, 8, 15, 30, tzinfo=UTC),
    }
    return [model(number=f"T-{number}", stock=number % 1_000, **values) for number in range(count)]


def _fill(model: Any, count: int) -> None:
    model.objects.bulk_create(_products(model, count))
