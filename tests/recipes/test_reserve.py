"""Reserve: each kind of write takes from a stock what it should, wholly or not at all, beside what tutorials write."""

import pickle
from contextlib import suppress
from decimal import Decimal

import django
import pytest
from django.core import serializers
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F, Q, Sum

from heliograph import Durable, OnCommit, Signal, changed, has, mute, trace
from heliograph.outbox.models import Delivery
from heliograph.outbox.work.runner import drain
from heliograph.recipes import OutOfStock, keep, reserve
from heliograph.recipes.declarations import declarations
from heliograph.recipes.reserved.stocks import items_changed
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import (
    BasketLine,
    CodedLine,
    Goods,
    Item,
    PurchaseLine,
    PurchaseLineProxy,
    Sale,
    WrappedItem,
)
from tests.helpers.attempts import at_once as tried_at_once
from tests.helpers.errors import MishapError
from tests.helpers.patched import patched_methods
from tests.helpers.statements import statements, verbs
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(databases=["default", "other"])

in_autocommit = pytest.mark.django_db(transaction=True, databases=["default", "other"])

VALID = has(is_cancelled=False)


@Signal.define
def stock_low(sender, *, product: Goods, left: int) -> None:
    """Few units are left."""


@pytest.fixture
def reserved():
    return reserve(PurchaseLine, "quantity", from_="goods.stock", when=VALID)


@pytest.fixture
def goods():
    """Two products of which there are ten each."""
    return [Goods.objects.create(name=name, stock=10, kilos=10) for name in ("Tea", "Oil")]


def line(of, quantity=1, **values):
    return PurchaseLine.objects.create(goods=of, quantity=quantity, **values)


def with_values(one, **values):
    for name, value in values.items():
        setattr(one, name, value)
    return one


def left():
    return [*Goods.objects.order_by("pk").values_list("stock", flat=True)]


def refused(write):
    """Return the error with which a write is refused."""
    with pytest.raises(OutOfStock) as caught, transaction.atomic():
        write()
    return caught.value


# --- each kind of write -------------------------------------------------------------------------------------------

# Of a line of three teas, what each write leaves of ten teas and ten oils.
WRITES = {
    "create": (lambda one, tea, oil: line(tea, 2), [5, 10]),
    "get_or_create": (lambda one, tea, oil: PurchaseLine.objects.get_or_create(goods=oil, quantity=2), [7, 8]),
    "line without a product": (lambda one, tea, oil: line(None, 2), [7, 10]),
    "line that is cancelled": (lambda one, tea, oil: line(oil, 2, is_cancelled=True), [7, 10]),
    "proxy": (lambda one, tea, oil: PurchaseLineProxy.objects.create(goods=oil, quantity=4), [7, 6]),
    "bulk_create": (
        lambda one, tea, oil: PurchaseLine.objects.bulk_create(
            [PurchaseLine(goods=tea, quantity=1), PurchaseLine(goods=oil, quantity=2), PurchaseLine(goods=tea)]
        ),
        [5, 8],
    ),
    "upsert": (
        lambda one, tea, oil: PurchaseLine.objects.bulk_create(
            [PurchaseLine(pk=one.pk, goods=tea, quantity=5), PurchaseLine(pk=one.pk + 1, goods=oil, quantity=1)],
            **conflict("pk", update=["quantity"]),
        ),
        [5, 9],
    ),
    "rows in conflict are ignored": (
        lambda one, tea, oil: PurchaseLine.objects.bulk_create(
            [PurchaseLine(pk=one.pk, goods=tea, quantity=5), PurchaseLine(pk=one.pk + 1, goods=oil, quantity=1)],
            ignore_conflicts=True,
        ),
        [7, 9],
    ),
    "more": (lambda one, tea, oil: with_values(one, quantity=5).save(), [5, 10]),
    "less": (lambda one, tea, oil: with_values(one, quantity=1).save(update_fields=["quantity"]), [9, 10]),
    "F()": (lambda one, tea, oil: with_values(one, quantity=F("quantity") + 1).save(), [6, 10]),
    "other fields": (lambda one, tea, oil: with_values(one, status="sent").save(), [7, 10]),
    "fields that are not saved": (
        lambda one, tea, oil: with_values(one, quantity=9).save(update_fields=["status"]),
        [7, 10],
    ),
    "instance made by hand": (lambda one, tea, oil: PurchaseLine(pk=one.pk, goods=oil, quantity=2).save(), [10, 8]),
    "deferred copy": (
        lambda one, tea, oil: with_values(PurchaseLine.objects.only("status").get(), quantity=4).save(),
        [6, 10],
    ),
    "moved": (lambda one, tea, oil: with_values(one, goods=oil).save(), [10, 7]),
    "moved to nothing": (lambda one, tea, oil: with_values(one, goods=None).save(), [10, 10]),
    "cancelled": (lambda one, tea, oil: with_values(one, is_cancelled=True).save(), [10, 10]),
    "cancelled and moved": (lambda one, tea, oil: with_values(one, is_cancelled=True, goods=oil).save(), [10, 10]),
    "cancelled and back": (
        lambda one, tea, oil: [with_values(one, is_cancelled=value).save() for value in (True, False)],
        [7, 10],
    ),
    "bulk_update": (
        lambda one, tea, oil: PurchaseLine.objects.bulk_update([with_values(one, quantity=4, goods=oil)], ["goods"]),
        [10, 7],
    ),
    "update": (lambda one, tea, oil: PurchaseLine.objects.update(quantity=6), [4, 10]),
    "update by F()": (lambda one, tea, oil: PurchaseLine.objects.update(quantity=F("quantity") * 2 + 1), [3, 10]),
    "update that moves": (lambda one, tea, oil: PurchaseLine.objects.update(goods=oil, quantity=4), [10, 6]),
    "update that cancels": (lambda one, tea, oil: PurchaseLine.objects.update(is_cancelled=True), [10, 10]),
    "update of a related manager": (lambda one, tea, oil: one.purchase.lines.update(is_cancelled=True), [10, 10]),
    "delete": (lambda one, tea, oil: one.delete(), [10, 10]),
    "delete of a query": (lambda one, tea, oil: PurchaseLine.objects.all().delete(), [10, 10]),
    "cascade": (lambda one, tea, oil: one.purchase.delete(), [10, 10]),
    "cascade of a query": (lambda one, tea, oil: Sale.objects.all().delete(), [10, 10]),
    "deletion of the product": (lambda one, tea, oil: tea.delete(), [10]),
}


@pytest.mark.parametrize("is_in_atomic", [True, False])
@pytest.mark.parametrize("name", WRITES)
def test_r4_each_kind_of_write_takes_what_it_wants_more_and_gives_back_what_it_wants_less(
    reserved, goods, name, is_in_atomic
):
    write, expected = WRITES[name]
    one = line(goods[0], 3, purchase=Sale.objects.create())
    assert left() == [7, 10]
    if is_in_atomic:
        with transaction.atomic():
            write(one, *goods)
    else:
        write(one, *goods)
    assert left() == expected


def test_what_a_transaction_writes_is_added_up(reserved, goods):
    with transaction.atomic():
        line(goods[0], 30).delete()
        one = line(goods[0], 20)
        with_values(one, quantity=2, goods=goods[1]).save()
        line(goods[1], 3)
        assert left() == [10, 10]
    assert left() == [10, 5]


def test_a_product_takes_one_statement(reserved, goods):
    def buy():
        with transaction.atomic():
            for one in [*goods, *goods, *goods]:
                line(one)

    assert [sql.split()[0] for sql in statements(buy) if "app_goods" in sql and "FOR UPDATE" not in sql] == (
        ["UPDATE", "UPDATE"]
    )


@in_autocommit
def test_a_save_in_autocommit_is_a_transaction_with_its_update(reserved, goods):
    found = [one for one in verbs(lambda: line(goods[0])) if one != "SET"]
    locks = ["SELECT"] if connection.vendor == "mysql" else []
    assert [one for one in found if one not in ("BEGIN", "COMMIT")] == [*locks, "INSERT", "UPDATE"]


def test_a_rolled_back_savepoint_takes_nothing(reserved, goods):
    with transaction.atomic():
        line(goods[0], 2)
        with suppress(MishapError), transaction.atomic():
            line(goods[0], 3)
            raise MishapError
    assert left() == [8, 10]


def test_rows_of_another_database_take_from_its_stocks(reserved, goods):
    Goods.objects.using("other").create(pk=goods[0].pk, stock=5)
    lines = PurchaseLine.objects.using("other")
    lines.create(goods_id=goods[0].pk, quantity=2)
    lines.bulk_create([PurchaseLine(goods_id=goods[0].pk, quantity=2)])
    assert (left(), Goods.objects.using("other").get().stock) == ([10, 10], 1)


def test_a_fixture_is_left_alone(reserved, goods, tmp_path):
    one = line(goods[0], 3)
    fixture = tmp_path / "shop.json"
    fixture.write_text(serializers.serialize("json", [*Goods.objects.all(), one]))
    PurchaseLine.objects.all().delete()
    assert left() == [10, 10]
    call_command("loaddata", fixture, verbosity=0)
    assert left() == [7, 10]
    PurchaseLine.objects.get().delete()  # what it holds is given back
    assert left() == [10, 10]


@in_autocommit
async def test_async_writes_take(reserved, async_database):
    tea = await Goods.objects.acreate(name="Tea", stock=10)
    one = await PurchaseLine.objects.acreate(goods=tea, quantity=3)
    assert tea.stock == 7
    await PurchaseLine.objects.abulk_create([PurchaseLine(goods=tea, quantity=2)])
    await one.adelete()
    assert (await Goods.objects.aget()).stock == 8


def test_a_key_that_is_no_primary_key_may_be_referred_to():
    reserve(CodedLine, "quantity", from_="goods.stock")
    tea, oil = (Goods.objects.create(code=code, stock=10) for code in "ba")
    CodedLine.objects.bulk_create([CodedLine(goods=tea, quantity=3), CodedLine(goods=oil, quantity=4)])
    assert left() == [7, 6]
    assert refused(lambda: CodedLine.objects.create(goods=tea, quantity=8)).left == 7


def test_a_row_that_takes_the_place_of_another_models_row_takes_only_what_is_wanted_more(reserved, goods):
    reserve(BasketLine, "quantity", from_="goods.stock")
    kept = BasketLine.objects.create(goods=goods[0], quantity=10)
    BasketLine.objects.create(goods=goods[1])  # without a quantity
    assert left() == [0, 10]
    with transaction.atomic():
        line(goods[0], 10)
        kept.delete()
    assert left() == [0, 10]


def test_a_condition_may_have_texts_and_be_combined():
    reserve(PurchaseLine, "quantity", from_="goods.stock", when=VALID & ~has(status=["sent", "lost"]))
    tea = Goods.objects.create(stock=10)
    one = line(tea, 3)
    line(tea, 4, status="lost")
    assert left() == [7]
    PurchaseLine.objects.update(status="sent")
    assert left() == [10]
    with_values(one, status="new", quantity=2).save()
    assert left() == [8]


def test_decimals_are_exact():
    reserve(PurchaseLine, "kilos", from_="goods.kilos")
    tea = Goods.objects.create(kilos=Decimal("0.30"))
    for _ in range(3):
        line(tea, kilos=Decimal("0.10"))
    assert Goods.objects.filter(kilos=0).exists()
    assert refused(lambda: line(tea, kilos=Decimal("0.01"))).left == 0


# --- too little is left -------------------------------------------------------------------------------------------


def test_r4_what_is_not_there_is_refused_with_what_is_left(reserved, goods):
    error = refused(lambda: line(goods[0], 11))
    assert (error.product, error.wanted, error.left) == (goods[0], 11, 10)
    assert str(error) == f"{goods[0]}: 11 wanted, 10 left."
    assert (left(), PurchaseLine.objects.count()) == ([10, 10], 0)
    line(goods[0], 10)
    assert refused(lambda: line(goods[0], 1)).left == 0


MORE = {
    "save": lambda one: with_values(one, quantity=12).save(),
    "update": lambda one: PurchaseLine.objects.update(quantity=12),
    "bulk_update": lambda one: PurchaseLine.objects.bulk_update([with_values(one, quantity=12)], ["quantity"]),
    "bulk_create": lambda one: PurchaseLine.objects.bulk_create([PurchaseLine(goods=one.goods, quantity=9)]),
}


@pytest.mark.parametrize("write", MORE.values(), ids=MORE)
def test_an_item_that_wants_more_is_refused_what_it_wants_more(reserved, goods, write):
    one = line(goods[0], 3)
    assert (error := refused(lambda: write(one))).wanted == 9
    assert (error.left, left(), PurchaseLine.objects.get().quantity) == (7, [7, 10], 3)


def test_r4_an_order_of_several_products_is_taken_wholly_or_not_at_all(reserved, goods):
    def order():
        purchase = Sale.objects.create()
        line(goods[1], 11, purchase=purchase)
        line(goods[0], 2, purchase=purchase)

    assert refused(order).product == goods[1]
    assert (left(), Sale.objects.count(), PurchaseLine.objects.count()) == ([10, 10], 0, 0)


@in_autocommit
def test_in_autocommit_the_save_itself_is_refused(reserved, goods):
    one = PurchaseLine(goods=goods[0], quantity=11)
    with pytest.raises(OutOfStock):
        one.save()
    assert (one.pk, PurchaseLine.objects.count(), left()) == (None, 0, [10, 10])


@in_autocommit
def test_a_transaction_ends_with_the_error_and_does_not_reach_what_follows(reserved, goods):
    reached = []

    def view():
        with transaction.atomic():
            line(goods[0], 11)
            reached.append("the block goes on: what is taken is known at its end")
        reached.append("never")

    with pytest.raises(OutOfStock):
        view()
    assert len(reached) == 1


def test_the_error_is_one_that_forms_understand(reserved, goods):
    error = refused(lambda: line(goods[0], 11))
    assert isinstance(error, ValidationError)
    assert (error.code, error.messages) == ("out_of_stock", [str(error)])
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.wanted, copy.left) == (str(error), 11, 10)


# --- once ---------------------------------------------------------------------------------------------------------


def test_r4_a_cancelled_order_gives_back_once(reserved, goods):
    purchase = Sale.objects.create()
    one = line(goods[0], 3, purchase=purchase)
    copies = [PurchaseLine.objects.get(pk=one.pk) for _ in range(2)]
    for copy in copies:
        with_values(copy, is_cancelled=True).save()
    purchase.lines.update(is_cancelled=True)
    one.delete()
    copies[0].delete()
    assert left() == [10, 10]


def test_r4_a_copy_that_is_older_than_its_row_gives_back_what_the_row_has_taken(reserved, goods):
    one = line(goods[0], 3)
    stale = PurchaseLine.objects.get(pk=one.pk)
    with_values(one, goods=goods[1], quantity=5).save()
    assert left() == [10, 5]
    stale.delete()
    assert left() == [10, 10]


@in_autocommit
def test_r4_a_retried_delivery_takes_once(reserved, goods, receive):
    paid = Signal(name="shop.paid")

    @receive(paid, delivery=Durable(retry=tried_at_once(3)))
    def ship_a_present(sender, delivery, **kwargs):
        line(Goods.objects.get(name="Tea"), 2)
        if delivery.attempt < 3:
            raise MishapError

    paid.send(sender=None, using="default")
    drain()
    assert (Delivery.objects.get().attempts, left(), PurchaseLine.objects.count()) == (3, [8, 10], 1)


# --- low stock ----------------------------------------------------------------------------------------------------


@pytest.fixture
def low(listen):
    """Return the products, and what is left of them, each time that stock is low."""
    reserve(PurchaseLine, "quantity", from_="goods.stock", when=VALID, low=5, low_signal=stock_low)
    received = listen(stock_low, delivery=OnCommit())
    return lambda: [(one.payload["product"].name, one.payload["left"]) for one in received]


def test_r4_low_stock_is_reported_once_for_each_crossing(low, goods):
    line(goods[0], 5)
    assert low() == []  # five are left
    line(goods[0], 1)
    assert low() == [("Tea", 4)]
    line(goods[0], 1)
    line(goods[1], 1)
    assert low() == [("Tea", 4)]
    Goods.objects.update(stock=F("stock") + 10)
    line(goods[0], 12)
    assert low() == [("Tea", 4), ("Tea", 1)]


def test_low_stock_is_reported_for_the_whole_transaction(low, goods):
    with transaction.atomic():
        one = line(goods[0], 9)
        line(goods[1], 3)
        line(goods[1], 3)
        with_values(one, quantity=5).save()
        assert low() == []
    assert low() == [("Oil", 4)]


def test_units_that_are_given_back_are_no_crossing(low, goods):
    line(goods[0], 4)
    with mute(PurchaseLine):
        one = line(goods[0], 1)
    Goods.objects.update(stock=1)
    one.delete()
    assert (low(), left()) == ([], [2, 1])


def test_a_transaction_that_is_refused_reports_no_low_stock(low, goods):
    def buy():
        line(goods[0], 6)
        line(goods[1], 11)

    refused(buy)
    assert low() == []


def test_low_stock_is_reported_of_each_declaration_that_asks(low, goods, listen):
    other_low = Signal(name="shop.other_low")
    reserve(BasketLine, "quantity", from_="goods.stock", low=8, low_signal=other_low)
    received = listen(other_low)
    BasketLine.objects.create(goods=goods[0], quantity=3)
    assert ([one.payload["left"] for one in received], low()) == ([7], [])
    BasketLine.objects.create(goods=goods[0], quantity=3)
    assert (len(received), low()) == (1, [("Tea", 4)])


@in_autocommit
def test_a_durable_receiver_of_low_stock_is_stored_with_the_transaction(goods, receive):
    reserve(PurchaseLine, "quantity", from_="goods.stock", low=5, low_signal=stock_low)
    reordered = []

    @receive(stock_low, delivery=Durable())
    def reorder(sender, product, left, **kwargs):
        reordered.append((product.name, left))

    with transaction.atomic():
        line(goods[0], 6)
        transaction.set_rollback(True)
    assert Delivery.objects.count() == 0
    line(goods[0], 7)
    assert Delivery.objects.count() == 1
    drain()
    assert reordered == [("Tea", 3)]


# --- the product in memory ----------------------------------------------------------------------------------------


def test_the_product_of_a_written_item_has_what_is_left(reserved, goods):
    tea, oil = goods
    one = line(tea, 3)
    assert tea.stock == 7
    PurchaseLine.objects.bulk_create([PurchaseLine(goods=oil, quantity=4)])
    assert (oil.stock, one.goods.stock) == (6, 7)
    one.delete()
    assert tea.stock == 10
    refused(lambda: line(tea, 11))
    assert tea.stock == 10


def test_a_product_that_is_older_than_its_row_does_not_write_the_stock_back(reserved, goods):
    stale = Goods.objects.get(pk=goods[0].pk)
    line(goods[0], 3)
    with_values(stale, name="Green tea").save()
    assert (left(), stale.stock, Goods.objects.get(pk=stale.pk).name) == ([7, 10], 7, "Green tea")
    Goods.objects.bulk_update([with_values(stale, stock=50, name="Tea")], ["stock", "name"])
    Goods(pk=stale.pk, name="Tea", stock=50).save()
    assert left() == [7, 10]


def test_the_shop_changes_a_stock_by_an_update(reserved, goods):
    line(goods[0], 3)
    Goods.objects.filter(pk=goods[0].pk).update(stock=F("stock") + 50)
    Goods.objects.create(stock=4)
    assert left() == [57, 10, 4]


def test_a_kept_field_of_the_same_items_is_right_too(reserved, goods):
    keep(Goods, sold=Sum("lines__quantity", default=0))
    line(goods[0], 3)
    refused(lambda: line(goods[0], 8))
    assert [*Goods.objects.order_by("pk").values_list("stock", "sold")] == [(7, 3), (10, 0)]


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_patch_and_no_receiver(no_kept_error):
    signals = [post_save, post_delete, pre_save]
    before = patched_methods(), [[*one.receivers] for one in signals]
    first = reserve(PurchaseLine, "quantity", from_="goods.stock", low=5, low_signal=stock_low)
    second = reserve(BasketLine, "quantity", from_="goods.stock")
    assert (first.disconnect(), first.disconnect()) == (True, False)
    tea = Goods.objects.create(stock=10)
    line(tea, 3)
    BasketLine.objects.create(goods=tea, quantity=2)
    assert left() == [8]
    second.disconnect()
    assert (patched_methods(), [[*one.receivers] for one in signals]) == before
    assert items_changed.receivers == []


def test_r18_muted_it_does_nothing(reserved, goods):
    with mute(PurchaseLine):
        line(goods[0], 11).delete()
        PurchaseLine.objects.bulk_create([PurchaseLine(goods=goods[0], quantity=11)])
    assert left() == [10, 10]


def test_r18_a_trace_shows_it_by_its_name(reserved, goods):
    with trace() as flow:
        line(goods[0])
    assert "reserve(app.PurchaseLine.quantity)" in str(flow)


def test_a_declaration_reads_as_it_was_written(reserved):
    assert reserved.text == ("reserve(app.PurchaseLine, 'quantity', from_='goods.stock', when=has(is_cancelled=False))")


def test_models_may_be_named_and_be_proxies(goods):
    reserve("app.PurchaseLineProxy", "quantity", from_="goods.stock")
    line(goods[0], 3)
    assert left() == [7, 10]


@Signal.define
def of_other_names(sender, *, product: Goods) -> None:
    """A signal that does not say how many are left."""


def declared(quantity="quantity", from_="goods.stock", model=PurchaseLine, **options):
    return lambda: reserve(model, quantity, from_=from_, **options)


MISTAKES = {
    "no path": (
        declared(from_="stock"),
        "from_= takes a foreign key and a field of its model, such as 'product.stock', not 'stock'.",
    ),
    "too long a path": (declared(from_="purchase.goods.stock"), "not 'purchase.goods.stock'."),
    "unknown key": (declared(from_="good.stock"), "has no field 'good' with a column. Did you mean 'goods'?"),
    "no key": (declared(from_="status.stock"), "app.PurchaseLine.status is a CharField, and no ForeignKey."),
    "unknown stock": (declared(from_="goods.stok"), "app.Goods has no field 'stok' with a column."),
    "stock of text": (declared(from_="goods.name"), "is a CharField, and no IntegerField or DecimalField."),
    "stock of floats": (declared(from_="goods.weight"), "is a FloatField, and no IntegerField or DecimalField."),
    "unknown quantity": (declared("quantum"), "has no field 'quantum' with a column. Did you mean 'quantity'?"),
    "stock that may be NULL": (
        declared(from_="goods.spare"),
        "app.Goods.spare may be NULL, from which nothing can be taken. Give it default=0, and not null=True.",
    ),
    "decimals of an integer": (
        declared("kilos"),
        "app.PurchaseLine.kilos has 2 decimal places, and app.Goods.stock has 0. Give the stock as many.",
    ),
    "too many decimals": (
        declared("grams", "goods.kilos"),
        "app.PurchaseLine.grams has 3 decimal places, and app.Goods.kilos has 2. Give the stock as many.",
    ),
    "children by inheritance": (
        declared(model=Item, from_="cart.items_count"),
        "app.WrappedItem inherits from app.Item with a table of its own, so that its rows are created as one of them"
        " and deleted as both. Let it be a proxy, or give it a OneToOneField to app.Item.",
    ),
    "inherited columns": (
        declared(model=WrappedItem, from_="cart.items_count"),
        "'cart' is a column of app.Item, from which app.WrappedItem inherits. Use app.Item.",
    ),
    "Q": (
        declared(when=Q(is_cancelled=False)),
        "when= is asked of an item as it was and as it is. Write it with has(), such as has(is_cancelled=False), not"
        " <Q: (AND: ('is_cancelled', False))>.",
    ),
    "changed()": (declared(when=VALID | changed("status")), "such as has(is_cancelled=False), not changed('status')."),
    "low without a signal": (
        declared(low=5),
        "low= takes a number, and low_signal= the signal that is sent when fewer are left.",
    ),
    "low signal without a number": (declared(low_signal=stock_low), "low= takes a number, and low_signal= the signal"),
    "low that is no number": (declared(low=True, low_signal=stock_low), "low= takes a number"),
    "signal of other names": (
        declared(low=5, low_signal=of_other_names),
        "is sent product= and left=, and takes other names: got an unexpected keyword argument 'left'.",
    ),
}


@pytest.mark.parametrize(("declare", "text"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_work_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError) as raised:
        declare()
    assert text in str(raised.value)
    assert str(raised.value).startswith("reserve(app.")
    assert declarations == []


def test_a_condition_on_fields_that_are_not_the_items_own_is_refused():
    with pytest.raises(FieldDoesNotExist, match=r"app\.PurchaseLine has no field 'purchase__status'"):
        reserve(PurchaseLine, "quantity", from_="goods.stock", when=has(purchase__status="new"))


def test_a_second_declaration_of_the_same_items_and_stock_is_refused(reserved):
    with pytest.raises(TypeError) as raised:
        reserve(PurchaseLine, "quantity", from_="goods.stock")
    text = f"app.PurchaseLine.quantity takes from app.Goods.stock already, at {reserved.line}. Take one away."
    assert text in str(raised.value)
    assert declarations == [reserved]


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has no database cascades")
def test_a_cascade_of_the_database_is_refused():
    from tests.app.models import PageLine

    with pytest.raises(TypeError) as raised:
        reserve(PageLine, "quantity", from_="goods.stock")
    assert str(raised.value).endswith(
        "app.PageLine.page has on_delete=DB_CASCADE: the database writes items by itself, and no signal is sent. Let"
        " Django do it: on_delete=CASCADE."
    )
