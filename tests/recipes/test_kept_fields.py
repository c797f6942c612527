"""Kept fields: right after every kind of write, on the database of the test settings."""

from contextlib import suppress
from decimal import Decimal

import pytest
from django.core import serializers
from django.db import connection, transaction
from django.db.models import Avg, Count, F, Max, Q, Sum
from django.test.utils import CaptureQueriesContext

from heliograph import created
from heliograph.recipes import keep
from heliograph.recipes.verbs import chosen
from heliograph.signals import post_save
from tests.app.models import Cart, City, Item, ItemProxy, Node, Shopper, Transfer, Visit, Wallet, WrappedItem

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def kept():
    """Keep fields for the time of a test: `kept(Cart, items_count=Count("items"))`."""
    declared = []

    def declare(model, **fields):
        declared.append(keep(model, **fields))
        return declared[-1]

    yield declare
    for declaration in declared:
        declaration.disconnect()


@pytest.fixture
def carts(kept):
    """Three carts, with kept fields of every kind."""
    kept(
        Cart,
        items_count=Count("items"),
        dear_count=Count("items", filter=Q(items__is_dear=True)),
        noted_count=Count("items", filter=Q(items__note="yes")),
        total=Sum(F("items__price") * F("items__quantity"), default=0),
        mean_price=Avg("items__price"),
        best_price=Max("items__price"),
    )
    return [Cart.objects.create() for _ in range(3)]


def assert_right():
    """Compare all kept fields with their truth."""
    for subject in chosen([]):
        assert [str(one) for one in subject.verify("default")] == []


WRITES = {
    "create": lambda a, b: Item.objects.create(cart=a, price="1.10", quantity=3),
    "create without a parent": lambda a, b: Item.objects.create(price="1.10"),
    "bulk_create": lambda a, b: Item.objects.bulk_create([Item(cart=one, price=2, note="yes") for one in (a, b, a)]),
    "bulk_create with conflicts": lambda a, b: Item.objects.bulk_create(
        [Item(pk=1_000_001, cart=b, price=7), Item(pk=1_500_000, cart=b)], **upsert(["cart", "price"])
    ),
    "bulk_create that ignores conflicts": lambda a, b: Item.objects.bulk_create(
        [Item(pk=1_000_001, cart=b, price=7), Item(pk=1_500_000, cart=b)], ignore_conflicts=True
    ),
    "save": lambda a, b: changed_item(quantity=5, is_dear=True).save(),
    "save(update_fields)": lambda a, b: changed_item(quantity=5, price=9).save(update_fields=["quantity"]),
    "save of an expression": lambda a, b: changed_item(price=F("price") + 1).save(),
    "move": lambda a, b: changed_item(cart=b).save(),
    "move away": lambda a, b: changed_item(cart=None).save(),
    "update": lambda a, b: Item.objects.filter(price__gt=1).update(price=F("price") + 1, note="yes"),
    "update that moves": lambda a, b: Item.objects.filter(cart=a).update(cart=b),
    "update of a key": lambda a, b: Item.objects.filter(pk=1_000_001).update(id=1_300_000),
    "bulk_update": lambda a, b: Item.objects.bulk_update([changed_item(cart=b, price=4)], ["cart", "price"]),
    "delete": lambda a, b: Item.objects.get(pk=1_000_001).delete(),
    "delete of a query": lambda a, b: Item.objects.filter(cart=a).delete(),
    "cascade": lambda a, b: a.delete(),
    "related manager": lambda a, b: b.items.add(Item.objects.get(pk=1_000_001)),
    "clear": lambda a, b: a.items.clear(),
    "proxy": lambda a, b: ItemProxy.objects.create(cart=a, price=3),
    "proxy moves": lambda a, b: ItemProxy.objects.filter(pk=1_000_001).update(cart=b),
    "child by inheritance": lambda a, b: WrappedItem.objects.create(cart=a, price=3),
    "child by inheritance moves": lambda a, b: inherited(a, cart=b).save(),
    "child by inheritance of a row": lambda a, b: WrappedItem(item_ptr_id=1_000_001, cart=a, price=8).save(),
    "child by inheritance is deleted": lambda a, b: inherited(a).delete(),
    "child by inheritance is updated": lambda a, b: inherited(a) and WrappedItem.objects.update(cart=b),
    "child by inheritance is updated elsewhere": lambda a, b: inherited(a) and WrappedItem.objects.update(paper="x"),
}


def upsert(names):
    unique = [] if connection.vendor == "mysql" else ["pk"]
    return {"update_conflicts": True, "update_fields": names, "unique_fields": unique or None}


def changed_item(**values):
    item = Item.objects.get(pk=1_000_001)
    for name, value in values.items():
        setattr(item, name, value)
    return item


def inherited(first, **values):
    item = WrappedItem.objects.create(cart=first, price=3)
    for name, value in values.items():
        setattr(item, name, value)
    return item


@pytest.mark.parametrize("is_atomic", [False, True], ids=["autocommit", "atomic"])
@pytest.mark.parametrize("name", WRITES)
@pytest.mark.django_db(transaction=True)
def test_r1_r2_kept_fields_are_right_after_every_kind_of_write(carts, name, is_atomic):
    first, second, _ = carts
    Item.objects.create(pk=1_000_001, cart=first, price="2.50", quantity=2, note="yes")
    Item.objects.create(pk=1_000_002, cart=first, price="0.30", is_dear=True)
    assert_right()
    if is_atomic:
        with transaction.atomic():
            WRITES[name](first, second)
    else:
        WRITES[name](first, second)
    assert_right()


def test_r1_a_rolled_back_savepoint_takes_its_count_along(carts):
    first = carts[0]
    with transaction.atomic():
        Item.objects.create(cart=first)
        with suppress(ZeroDivisionError), transaction.atomic():
            Item.objects.create(cart=first)
            raise ZeroDivisionError
    assert Cart.objects.get(pk=first.pk).items_count == 1


def test_r2_decimals_keep_their_places(carts):
    for _ in range(100):
        Item.objects.create(cart=carts[0], price="0.10")
    assert [*Cart.objects.filter(total=10).values_list("total", flat=True)] == [Decimal("10.00")]


def test_r2_an_average_of_none_is_null(carts):
    item = Item.objects.create(cart=carts[0], price=3)
    assert Cart.objects.get(pk=carts[0].pk).mean_price == 3
    item.delete()
    assert Cart.objects.get(pk=carts[0].pk).mean_price is None


def test_r3_the_save_of_a_stale_parent_leaves_the_kept_field_alone(carts):
    stale = Cart.objects.get(pk=carts[0].pk)
    Item.objects.create(cart_id=stale.pk)
    stale.title = "new"
    stale.save()
    assert Cart.objects.values_list("title", "items_count").get(pk=stale.pk) == ("new", 1)


def test_r3_a_parent_made_with_a_key_leaves_the_kept_field_alone(carts):
    Item.objects.create(cart=carts[0])
    Cart(pk=carts[0].pk, title="new").save()
    assert Cart.objects.values_list("title", "items_count").get(pk=carts[0].pk) == ("new", 1)


def test_r3_the_parent_that_is_cached_on_a_child_is_right_after_the_transaction(carts):
    with transaction.atomic():
        Item.objects.create(cart=carts[0], price=3)
        Item.objects.create(cart=carts[0], price=4)
    assert (carts[0].items_count, carts[0].total) == (2, 7)


@pytest.mark.django_db(transaction=True)
async def test_r3_async_code_reads_the_parent_that_is_cached_on_its_child(kept, async_database):
    kept(Cart, items_count=Count("items"))
    cart = await Cart.objects.acreate()
    await Item.objects.acreate(cart=cart)
    assert cart.items_count == 1


COPIES = {
    "with no key, as a new row": lambda copy: (setattr(copy, "pk", None), setattr(copy._state, "adding", True)),
    "with no key": lambda copy: setattr(copy, "pk", None),
    "with a key of its own": lambda copy: setattr(copy, "pk", 7000),
}


@pytest.mark.parametrize("prepare", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("save", [Cart.save, lambda cart: Cart.objects.bulk_create([cart])], ids=["save", "bulk"])
def test_a_copy_of_a_parent_begins_without_children(carts, prepare, save):
    Item.objects.create(cart=carts[0])
    copy = Cart.objects.get(pk=carts[0].pk)
    prepare(copy)
    save(copy)
    assert Cart.objects.count() == 4
    assert copy.items_count == 0
    assert_right()


def test_bulk_writes_of_parents_leave_kept_fields_out(carts):
    Item.objects.create(cart=carts[0])
    for cart in carts:
        cart.items_count = 9
    Cart.objects.bulk_update(carts, ["title", "items_count"])
    assert_right()
    Cart.objects.bulk_create(carts, **upsert(["title", "items_count"]))
    Cart.objects.bulk_create(carts, **upsert(["items_count"]))
    assert_right()


def test_a_fixture_is_recounted(carts):
    Item.objects.create(cart=carts[0], price=2)
    text = serializers.serialize("json", [*Cart.objects.all(), *Item.objects.all()])
    Item.objects.all().delete()
    Cart.objects.all().delete()
    with transaction.atomic():
        for one in serializers.deserialize("json", text):
            one.save()
    assert_right()
    assert Cart.objects.get(pk=carts[0].pk).items_count == 1


def test_a_stale_child_is_moved_from_where_its_row_was(carts):
    first, second, third = carts
    item = Item.objects.create(cart=first)
    stale = Item.objects.get()
    item.cart = second
    item.save()
    stale.cart = third
    stale.save()
    assert [Cart.objects.get(pk=one.pk).items_count for one in carts] == [0, 0, 1]
    item.delete()
    Item(pk=stale.pk).delete() if stale.pk else None
    assert_right()


def test_a_child_that_is_changed_after_its_save_counts_as_it_was_written(carts):
    with transaction.atomic():
        item = Item.objects.create(cart=carts[0], price=2)
        item.price = 50
        (other,) = Item.objects.bulk_create([Item(cart=carts[0], price=2)])
        other.price = 70
    assert Cart.objects.get(pk=carts[0].pk).total == 4


def test_chains_settle_to_the_top(kept):
    kept(Cart, total=Sum(F("items__price") * F("items__quantity"), default=0))
    kept(Shopper, spent=Sum("carts__total", default=0), carts_count=Count("carts"))
    ada, bob = Shopper.objects.create(), Shopper.objects.create()
    with transaction.atomic():
        cart = Cart.objects.create(shopper=ada)
        Item.objects.create(cart=cart, price=5)
        Item.objects.create(cart=cart, price=3)
    assert Shopper.objects.get(pk=ada.pk).spent == 8
    Cart.objects.update(shopper=bob)
    assert [*Shopper.objects.order_by("pk").values_list("spent", "carts_count")] == [(0, 0), (8, 1)]


def test_a_model_may_count_its_own_children(kept):
    kept(Node, children_count=Count("children"))
    root = Node.objects.create()
    child = Node.objects.create(parent=root)
    Node.objects.create(parent=child)
    assert_right()
    child.delete()
    assert_right()


def test_a_foreign_key_may_refer_to_another_column_than_the_key(kept):
    kept(City, visits_count=Count("visits"))
    rome, oslo = City.objects.create(code="rome"), City.objects.create(code="oslo")
    Visit.objects.create(city=rome)
    Visit.objects.bulk_create([Visit(city=rome), Visit(city=oslo)])
    Visit.objects.filter(city=rome).update(city=oslo)
    assert City.objects.get(code="oslo").visits_count == 3
    assert_right()


def test_every_alias_has_its_own_parents(carts):
    Cart.objects.using("other").create(pk=carts[0].pk)
    Item.objects.using("other").create(cart_id=carts[0].pk)
    assert Cart.objects.get(pk=carts[0].pk).items_count == 0
    assert Cart.objects.using("other").get(pk=carts[0].pk).items_count == 1


def test_many_parents_with_different_sums_take_few_statements(kept):
    kept(Cart, total=Sum("items__price", default=0), items_count=Count("items"))
    many = Cart.objects.bulk_create([Cart() for _ in range(50)])
    many = [*Cart.objects.order_by("pk")]
    with CaptureQueriesContext(connection) as captured:
        Item.objects.bulk_create([Item(cart=cart, price=at) for at, cart in enumerate(many)])
    assert_right()
    about_carts = [one["sql"] for one in captured if "app_cart" in one["sql"]]
    assert len([sql for sql in about_carts if sql.startswith("UPDATE")]) == 1


def test_parents_whose_keys_are_uuids_get_different_sums(kept):
    kept(Wallet, sent=Sum(F("outgoing__amount") * F("outgoing__rate"), default=0))
    many = Wallet.objects.bulk_create([Wallet() for _ in range(9)])
    Transfer.objects.bulk_create([Transfer(source=one, amount=Decimal("0.10") * at) for at, one in enumerate(many)])
    Transfer.objects.update(rate=Decimal("0.0100"))
    assert_right()
    assert sum(Wallet.objects.values_list("sent", flat=True)) == Decimal("0.036")


def test_disconnect_ends_the_keeping(kept):
    declaration = kept(Cart, items_count=Count("items"))
    cart = Cart.objects.create()
    assert declaration.disconnect() is True
    Item.objects.create(cart=cart)
    cart.items_count = 7
    cart.save()
    assert Cart.objects.get().items_count == 7
    assert declaration.disconnect() is False


def test_r1_a_new_child_that_another_receiver_writes_again_is_counted_once(receive, keeping):
    @receive(post_save, sender=Item, when=created)
    def rewrite(sender, instance, **kwargs):
        instance.quantity = 5
        instance.save()

    keeping.keep(Cart, items_count=Count("items"))
    cart = Cart.objects.create()
    Item.objects.create(cart=cart)
    with transaction.atomic():
        Item.objects.create(cart=cart)
    assert Cart.objects.get().items_count == 2
