"""Kept fields on MariaDB: parents are locked before their children are written; elsewhere nothing is."""

import pytest
from django.db import connection, transaction
from django.db.models import Count

from heliograph.recipes import keep
from heliograph.signals import pre_save
from tests.app.models import Cart, City, Item, Shopper, Visit, WrappedItem
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db

IS_NEEDED = connection.vendor == "mysql"
LOCK_ITEMS, LOCK_CARTS, WRITE = "items are locked", "carts are locked", "items are written"


@pytest.fixture
def carts():
    declared = keep(Cart, items_count=Count("items"))
    yield [Cart.objects.create() for _ in range(2)]
    declared.disconnect()


def steps(write):
    """Return what is locked before the first child is written, and that."""
    with transaction.atomic():
        found = [step for sql in statements(write) if (step := _step(sql)) is not None]
    return found[: found.index(WRITE) + 1]


def _step(sql):
    if sql.startswith(("INSERT INTO `app_item`", "UPDATE `app_item`")):
        return WRITE
    if sql.startswith(('INSERT INTO "app_item"', 'UPDATE "app_item"')) and "WHERE 0 = 1" not in sql:
        return WRITE
    if not sql.endswith("FOR UPDATE"):  # which is the lock of MariaDB
        return None
    return LOCK_CARTS if sql.startswith("SELECT `app_cart`") else LOCK_ITEMS


def changed(item, **values):
    for name, value in values.items():
        setattr(item, name, value)
    return item


NEW = {
    "create": lambda one, other: Item.objects.create(cart=one),
    "bulk_create": lambda one, other: Item.objects.bulk_create([Item(cart=one), Item(cart=other)]),
    "a child by inheritance": lambda one, other: WrappedItem.objects.create(cart=one),
}
MOVES = {
    "save": lambda one, other: changed(Item.objects.get(), cart=other).save(),
    "update": lambda one, other: Item.objects.update(cart=other),
    "bulk_update": lambda one, other: Item.objects.bulk_update([changed(Item.objects.get(), cart=other)], ["cart"]),
}
OTHERS = {
    "save": lambda one, other: changed(Item.objects.get(), price=5).save(),
    "update": lambda one, other: Item.objects.update(price=5),
    "bulk_update": lambda one, other: Item.objects.bulk_update([changed(Item.objects.get(), price=5)], ["price"]),
    "a child without a parent": lambda one, other: Item.objects.create(),
}


@pytest.mark.parametrize("write", NEW.values(), ids=NEW)
def test_the_parents_of_new_children_are_locked_before(carts, write):
    assert steps(lambda: write(*carts)) == ([LOCK_CARTS, WRITE] if IS_NEEDED else [WRITE])


@pytest.mark.parametrize("write", MOVES.values(), ids=MOVES)
def test_a_child_that_moves_is_locked_and_then_its_parents(carts, write):
    Item.objects.create(cart=carts[0])
    found = steps(lambda: write(*carts))
    assert [step for step in found if step != LOCK_ITEMS] == ([LOCK_CARTS, WRITE] if IS_NEEDED else [WRITE])
    assert (found[0] == LOCK_ITEMS) is IS_NEEDED


@pytest.mark.parametrize("write", OTHERS.values(), ids=OTHERS)
def test_no_parent_is_locked_for_a_child_that_stays_where_it_is(carts, write):
    Item.objects.create(cart=carts[0])
    assert LOCK_CARTS not in steps(lambda: write(*carts))


def test_parents_are_found_by_the_column_that_the_foreign_key_refers_to():
    declared = keep(City, visits_count=Count("visits"))
    city = City.objects.create(code="rome")
    with transaction.atomic():
        sent = statements(lambda: Visit.objects.create(city=city))
    declared.disconnect()
    assert [sql for sql in sent if sql.endswith("FOR UPDATE") and "'rome'" in sql] == sent[:IS_NEEDED]


def test_the_receivers_are_there_only_where_they_are_needed():
    def of_children():
        return [one for one in pre_save._table.connections() if one.sender is Cart]

    declared = keep(Shopper, carts_count=Count("carts"))
    connected = of_children()
    declared.disconnect()
    assert (len(connected), of_children()) == (IS_NEEDED, [])
