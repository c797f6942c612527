"""Kept fields, beside other ways to keep figures of the children in the row of the parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from itertools import count as counting
from threading import Barrier
from typing import Any

from benchmarks import databases, peers, pristine, project
from benchmarks.facts import HELIOGRAPH, Candidate, Column, Group, Place, beside, beside_django
from benchmarks.keepers import (
    CREATE,
    DELETE,
    GIFTS,
    SAVE,
    SAVES,
    TOTAL,
    UPDATE,
    WRITERS,
    ByHand,
    Keeper,
    NothingKept,
    Trigger,
)
from benchmarks.timing import Call
from benchmarks.writes import Operation, queries, seconds

ORDERS, THREADS = 20, 8
SLOW_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Shop:
    """Orders with their items, in one database, and what keeps their figures."""

    keeper: Keeper
    alias: str
    order: Any
    item: Any

    @property
    def tables(self) -> Sequence[str]:
        """The tables that are written."""
        return [model._meta.db_table for model in (self.order, self.item)]

    def new_items(self, count: int, orders: int = ORDERS) -> list[Any]:
        """Return so many items, which are to be saved."""
        parents = list(self.order.objects.order_by("pk")[:orders])
        return [
            self.item(
                order=parents[number % orders],
                name="Darjeeling First Flush",
                price=Decimal("2.50"),
                quantity=1 + number % 3,
                is_gift=number % 4 == 0,
            )
            for number in range(count)
        ]

    def empty(self) -> None:
        """Remove all items."""
        is_server = self.alias == project.POSTGRESQL
        databases.execute(self.alias, f"{'TRUNCATE' if is_server else 'DELETE FROM'} {self.item._meta.db_table}")
        databases.execute(self.alias, f"UPDATE {self.order._meta.db_table} SET total = 0, gifts = 0")

    def fill(self, count: int) -> None:
        """Write so many items unnoticed, and the figures that belong to them."""
        pristine.queryset()(self.item, using=self.alias).bulk_create(self.new_items(count))
        for order, total, gifts in self.true_figures():
            pristine.queryset()(self.order, using=self.alias).filter(pk=order).update(total=total, gifts=gifts)

    def true_figures(self) -> list[tuple[Any, ...]]:
        """Return the key of each order, with what its figures should be."""
        return [*self.order.objects.annotate(sum=TOTAL, count=GIFTS).values_list("pk", "sum", "count")]

    def save(self, items: Sequence[Any]) -> None:
        """Save items."""
        for item in items:
            item.save(using=self.alias)

    def save_in_transaction(self, items: Sequence[Any]) -> None:
        """Save items in one transaction."""
        with self.keeper.atomic()(using=self.alias):
            self.save(items)


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _single()
    yield _bulk()
    yield _queries()


# --- the tables -------------------------------------------------------------------------------------------------


def _single() -> Group:
    return Group(
        "kept",
        "Kept fields: saves",
        'Twenty orders keep two figures of their items, `Sum(F("items__price") * F("items__quantity"), default=0)` and'
        ' `Count("items", filter=Q(items__is_gift=True))`, in a SQLite database in a file and in PostgreSQL: both as'
        " durable as they are by default. A thousand new items are saved in one transaction; or fifty in autocommit,"
        " each with its commit; or eight threads save twenty-five each, in autocommit and all of one order. The time in"
        " autocommit is for one item, all threads taken together. After each round, the figures of all orders are"
        " compared with what `annotate()` gives. All rows but Heliograph's are Django as it ships: with its own"
        " dispatcher, and a second copy of its methods, which the patches do not reach. By hand, a receiver of"
        ' `post_save` writes `F("total") + ...`, or it computes both figures anew by `aggregate()`. In autocommit that'
        " is a transaction of its own, so an error between the two leaves a wrong figure. So may two threads of which"
        " each computes the figures before it writes them: these have none for eight threads.",
        _columns(SINGLE),
        tuple(target for alias in databases.available() for target in _single_targets(alias)),
        base=NothingKept.name,
    )


def _single_targets(alias: str) -> Iterator[Place]:
    saves, save, writers = (_title(operation, alias) for operation in SINGLE)
    yield beside_django(saves, 1.5)
    yield beside(ByHand.name, saves, 0.45)
    yield beside(ByHand.name, save, 2.0)
    yield beside(ByHand.name, writers, 1.67)  # 0.6 times as many a second


def _bulk() -> Group:
    return Group(
        "kept_bulk",
        "Kept fields: ten thousand rows",
        "The orders of the table above, and ten thousand items in one call, in autocommit with its commit."
        ' `update(quantity=F("quantity") + 1)` changes the total of each order, and `delete()` deletes all items. An'
        " empty cell is a write of which no signal is sent, except that `delete()` takes django-computedfields several"
        " statements for each row, too many to be measured.",
        _columns(BULK),
        tuple(target for alias in databases.available() for target in _bulk_targets(alias)),
        base=NothingKept.name,
    )


def _bulk_targets(alias: str) -> Iterator[Place]:
    create, update, delete = (_title(operation, alias) for operation in BULK)
    yield beside_django(create, 1.3)
    yield beside_django(update, 3.0)
    yield beside(Trigger.name, delete, 2.0)


def _queries() -> Group:
    alias = databases.available()[-1]
    counted = [operation for operation in (*SINGLE, *BULK) if operation.name != WRITERS]
    return Group(
        "kept_queries",
        f"Kept fields: queries on {databases.TITLES[alias]}",
        "The queries of the two tables above, with BEGIN and COMMIT. What a trigger does is not counted.",
        tuple(Column(operation.name, partial(_counted, operation, alias)) for operation in counted),
        (Place(f"{HELIOGRAPH}, {SAVE}: queries", 4, lambda table: table.cells[HELIOGRAPH, SAVE]),),
        base=NothingKept.name,
        unit="queries",
    )


def _columns(operations: Sequence[Operation[Shop]]) -> tuple[Column, ...]:
    return tuple(
        Column(_title(operation, alias), partial(_timed, operation, alias))
        for alias in databases.available()
        for operation in operations
    )


def _title(operation: Operation[Shop], alias: str) -> str:
    return f"{operation.name}, {databases.TITLES[alias]}"


# --- the measuring ----------------------------------------------------------------------------------------------


def _timed(operation: Operation[Shop], alias: str) -> list[Candidate]:
    return [
        Candidate(shop.keeper.name, partial(seconds, operation, shop, _check), _rounds(operation, shop), loops=1)
        for shop in _shops_of(operation, alias)
    ]


def _counted(operation: Operation[Shop], alias: str) -> list[Candidate]:
    return [
        Candidate(shop.keeper.name, partial(queries, operation, shop, _check), rounds=1, loops=1)
        for shop in _shops_of(operation, alias)
    ]


def _rounds(operation: Operation[Shop], shop: Shop) -> int:
    return SLOW_ROUNDS if operation.name in shop.keeper.slow else operation.rounds


def _check(operation: Operation[Shop], shop: Shop) -> None:
    rows, left = shop.item.objects.count(), 0 if operation.name == DELETE else operation.rows
    assert rows == left, f"{shop.keeper.name} leaves {rows} rows after {operation.name}"
    if shop.keeper.keeps:
        kept, true = {*shop.order.objects.values_list("pk", "total", "gifts")}, {*shop.true_figures()}
        assert kept == true, f"{shop.keeper.name} keeps {kept - true} for {true - kept} after {operation.name}"


# --- the operations ---------------------------------------------------------------------------------------------


def _saves(shop: Shop, rows: int) -> Call:
    return partial(shop.save_in_transaction, shop.new_items(rows))


def _save(shop: Shop, rows: int) -> Call:
    return partial(shop.save, shop.new_items(rows))


def _writers(shop: Shop, rows: int) -> Call:
    """Let threads connect, and return the call that begins their writes and waits for the end of all."""
    items, barrier, pool = shop.new_items(rows, orders=1), Barrier(THREADS + 1), ThreadPoolExecutor(THREADS)
    futures = [pool.submit(_save_apart, shop, items[first::THREADS], barrier) for first in range(THREADS)]
    pool.shutdown(wait=False)
    barrier.wait()

    def write() -> None:
        barrier.wait()
        for future in futures:
            future.result()

    return write


def _save_apart(shop: Shop, items: Sequence[Any], barrier: Barrier) -> None:
    from django.db import connections

    connections[shop.alias].ensure_connection()
    barrier.wait()
    barrier.wait()
    shop.save(items)
    connections[shop.alias].close()


def _create(shop: Shop, rows: int) -> Call:
    return partial(shop.item.objects.bulk_create, shop.new_items(rows))


def _update(shop: Shop, rows: int) -> Call:
    from django.db.models import F

    shop.fill(rows)
    return lambda: shop.item.objects.update(quantity=F("quantity") + 1)


def _delete(shop: Shop, rows: int) -> Call:
    shop.fill(rows)
    return lambda: shop.item.objects.all().delete()


SINGLE = (
    Operation(SAVES, 1_000, 5, _saves),
    Operation(SAVE, 50, 6, _save, times=50),
    Operation(WRITERS, 25 * THREADS, 4, _writers, times=25 * THREADS),
)
BULK = (
    Operation(CREATE, 10_000, 6, _create),
    Operation(UPDATE, 10_000, 6, _update),
    Operation(DELETE, 10_000, 6, _delete),
)


# --- the models -------------------------------------------------------------------------------------------------


def _shops_of(operation: Operation[Shop], alias: str) -> list[Shop]:
    return [shop for shop in _shops() if shop.alias == alias and operation.name in shop.keeper.operations]


@cache
def _shops() -> list[Shop]:
    """Return a shop for each keeper and database."""
    for alias in databases.available():
        databases.create(alias)
    keepers = peers.keepers()
    shops = [_shop(keeper, alias) for keeper in keepers for alias in databases.available()]
    for keeper in keepers:
        keeper.start()
    return shops


_numbers = counting()


def _shop(keeper: Keeper, alias: str) -> Shop:
    """Return models that use one database, with their tables and rows there, and keep their figures."""
    from django.db import connections, models

    number = next(_numbers)
    order = _made(f"Order{number}", keeper, alias, keeper.bases(), keeper.figures())
    fields: dict[str, models.Field[Any, Any]] = {
        "order": models.ForeignKey(order, models.CASCADE, related_name="items"),
        "name": models.CharField(max_length=100),
        "price": models.DecimalField(max_digits=8, decimal_places=2),
        "quantity": models.IntegerField(),
        "is_gift": models.BooleanField(),
    }
    item = _made(f"Item{number}", keeper, alias, (), fields)
    with connections[alias].schema_editor() as schema:
        schema.create_model(order)
        schema.create_model(item)
    keeper.connect(order, item)
    pristine.queryset()(order, using=alias).bulk_create([order() for _ in range(ORDERS)])
    return Shop(keeper, alias, order, item)


def _made(name: str, keeper: Keeper, alias: str, bases: Sequence[type], fields: Any) -> Any:
    from django.db.models import Model

    meta = type("Meta", (), {"app_label": project.Shops.label, "base_manager_name": "objects"})
    attributes = {"__module__": __name__, "Meta": meta, "objects": keeper.manager().db_manager(alias)}
    return type(name, (*bases, Model), {**attributes, **keeper.attributes(), **fields})
