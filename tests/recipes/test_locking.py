"""Kept fields on MariaDB: parents are locked before their children are written; elsewhere nothing is."""

import re

import pytest
from django.db import connection, transaction
from django.db.models import Count, Sum

from heliograph.recipes import keep
from heliograph.signals import pre_save
from tests.app.models import Cart, City, Item, Shopper, Transfer, Visit, Wallet, WrappedItem
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


@pytest.fixture
def gifts(carts):
    """Figures of two models that items refer to, of which one refers to the other."""
    shoppers = [Shopper.objects.create() for _ in range(3)]
    for cart, shopper in zip(carts, shoppers, strict=False):
        Cart.objects.filter(pk=cart.pk).update(shopper=shopper)
    declared = keep(Shopper, gifts_count=Count("gifts"), carts_count=Count("carts"))
    yield carts, shoppers
    declared.disconnect()


def locked(write, model):
    """Return the tables and keys that a write locks before it writes a row of a model."""
    with transaction.atomic():
        sent = statements(write)
    table = model._meta.db_table
    first = next(at for at, sql in enumerate(sent) if sql.startswith((f"INSERT INTO `{table}`", f"UPDATE `{table}`")))
    locks = (re.search(r"FROM `app_(\w+)` WHERE `app_\w+`.`id` IN \(([^)]*)\) ORDER BY", sql) for sql in sent[:first])
    return [(found[1], *map(int, found[2].split(","))) for found in locks if found and found[1] != "item"]


@pytest.mark.skipif(not IS_NEEDED, reason="it is about the locks of MariaDB and MySQL")
def test_a_parent_above_another_one_is_locked_after_it_and_with_its_parents(gifts):
    (cart, other), (first, second, third) = gifts
    expected = [("cart", cart.pk), ("shopper", first.pk, third.pk)]
    assert locked(lambda: Item.objects.create(cart=cart, giver=third), Item) == expected
    item = Item.objects.get()
    expected = [("cart", cart.pk), ("shopper", first.pk, second.pk, third.pk)]
    assert locked(lambda: changed(item, giver=second).save(), Item) == expected
    assert locked(lambda: changed(item, cart=other).save(), Item) == [("cart", cart.pk, other.pk)]


@pytest.mark.skipif(not IS_NEEDED, reason="it is about the locks of MariaDB and MySQL")
def test_the_parents_of_all_children_of_a_write_are_locked_if_one_of_them_moves(carts):
    declared = keep(Cart, total=Sum("items__price", default=0))
    stays, moves = (Item.objects.create(cart=cart, price=1) for cart in carts)
    third = Cart.objects.create()
    changed(stays, price=2), changed(moves, cart=third)
    found = locked(lambda: Item.objects.bulk_update([stays, moves], ["price", "cart"]), Item)
    declared.disconnect()
    assert found == [("cart", *(cart.pk for cart in carts), third.pk)]


@pytest.mark.skipif(not IS_NEEDED, reason="it is about the locks of MariaDB and MySQL")
def test_the_parents_of_a_child_that_gets_another_key_are_locked(carts):
    item = Item.objects.create(cart=carts[0])
    found = locked(lambda: Item.objects.filter(pk=item.pk).update(id=item.pk + 1_000_000), Item)
    assert found == [("cart", carts[0].pk)]


@pytest.mark.skipif(not IS_NEEDED, reason="it is about the locks of MariaDB and MySQL")
def test_the_old_parent_of_a_row_over_which_an_inheriting_child_is_saved_is_locked_too(carts):
    item = Item.objects.create(cart=carts[0])
    found = locked(lambda: WrappedItem(item_ptr_id=item.pk, cart=carts[1]).save(), Item)
    assert found == [("cart", *(cart.pk for cart in carts))]


@pytest.mark.skipif(not IS_NEEDED, reason="it is about the locks of MariaDB and MySQL")
def test_the_parents_of_two_foreign_keys_are_locked_in_one_order():
    declared = keep(Wallet, sent=Sum("outgoing__amount", default=0), received=Sum("incoming__amount"))
    first, second = Wallet.objects.create(title="a"), Wallet.objects.create(title="b")
    with transaction.atomic():
        sent = statements(lambda: Transfer.objects.create(source=second, target=first, amount=1))
    declared.disconnect()
    lock = next(sql.replace("-", "") for sql in sent if sql.endswith("FOR UPDATE") and "wallet" in sql)
    assert [part for part in (first.pk.hex, second.pk.hex, "ORDER BY") if part not in lock] == []


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
