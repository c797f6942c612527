"""Reserve under many buyers at the same time, in real threads, beside what tutorials write."""

import threading
from collections import Counter
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import Count, F, Sum

from heliograph import OnCommit, Signal, has
from heliograph.recipes import OutOfStock, keep, reserve
from heliograph.signals import post_save, pre_save
from tests.app.models import Cart, Goods, Item, PurchaseLine, Sale
from tests.helpers.retrying import Retrying
from tests.helpers.statements import statements
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True)

THREADS, EACH = 16, 10  # 160 buyers: a server has not many more connections than threads
# On MariaDB the check of a foreign key locks the product, when the item is written.
is_mysql = connection.vendor == "mysql"

stock_low = Signal(name="tests.stock_low")


@pytest.fixture
def reserved():
    return reserve(
        PurchaseLine, "quantity", from_="goods.stock", when=has(is_cancelled=False), low=5, low_signal=stock_low
    )


def goods(*stocks):
    return [Goods.objects.create(stock=stock) for stock in stocks]


def left():
    return [*Goods.objects.order_by("pk").values_list("stock", flat=True)]


def all_buyers(buy):
    """Let 160 buyers buy, each thread one after the other; return the error of each that was refused."""

    def shop():
        return [error for _ in range(EACH) if (error := refusal(buy)) is not None]

    return [error for errors in at_once(*[shop] * THREADS) for error in errors]


def refusal(buy):
    try:
        buy()
    except OutOfStock as error:
        return error
    return None


def order(*lines):
    """Order quantities of products, in a transaction."""
    with transaction.atomic():
        purchase = Sale.objects.create()
        for one, quantity in lines:
            PurchaseLine.objects.create(purchase=purchase, goods_id=one.pk, quantity=quantity)


WAYS = {
    "in autocommit": lambda tea: PurchaseLine.objects.create(goods_id=tea.pk),
    "in a transaction": lambda tea: order((tea, 1)),
    "by bulk_create": lambda tea: PurchaseLine.objects.bulk_create([PurchaseLine(goods_id=tea.pk)]),
}


@pytest.mark.parametrize("buy", WAYS.values(), ids=WAYS)
def test_r4_of_160_buyers_100_succeed_and_60_are_refused_with_what_is_left(reserved, listen, buy):
    (tea,) = goods(100)
    lows = listen(stock_low, delivery=OnCommit())
    refused = all_buyers(lambda: buy(tea))
    assert [(error.product, error.wanted, error.left) for error in refused] == [(tea, 1, 0)] * 60
    assert (left(), PurchaseLine.objects.count()) == ([0], 100)
    assert [one.payload["left"] for one in lows] == [4]


def test_r4_of_160_buyers_of_three_33_succeed_and_one_is_left(reserved):
    (tea,) = goods(100)
    refused = all_buyers(lambda: order((tea, 3)))
    assert {error.left for error in refused} == {1}
    assert (left(), PurchaseLine.objects.count(), Sale.objects.count()) == ([1], 33, 33)


def test_r4_of_160_buyers_of_several_products_each_has_all_or_nothing(reserved):
    tea, oil, salt = goods(100, 70, 200)

    def buy():
        with transaction.atomic():
            purchase = Sale.objects.create()
            PurchaseLine.objects.bulk_create(
                [PurchaseLine(purchase=purchase, goods_id=one.pk) for one in (salt, oil, tea)]
            )

    refused = all_buyers(buy)
    assert {error.product for error in refused} == {oil}
    assert (left(), PurchaseLine.objects.count()) == ([30, 0, 130], 210)


def opposite_orders(write):
    """Order two products in both orders in eight threads, twenty times each; return what had to be tried again."""
    tea, oil = goods(1000, 1000)
    tries = [Retrying() for _ in range(8)]

    def shop(at, retrying):
        chosen = (tea, oil) if at % 2 else (oil, tea)
        return lambda: [retrying.atomic(lambda: write(*chosen)) for _ in range(20)]

    at_once(*(shop(at, retrying) for at, retrying in enumerate(tries)))
    assert left() == [840, 840]
    return [dict(one.errors) for one in tries if one.errors]


def in_bulk(*products):
    PurchaseLine.objects.bulk_create([PurchaseLine(goods_id=one.pk) for one in products])


def one_by_one(*products):
    for one in products:
        PurchaseLine.objects.create(goods_id=one.pk)


def one_by_one_in_order(*products):
    one_by_one(*sorted(products, key=lambda one: one.pk))


def locked_and_one_by_one(*products):
    rows = Goods.objects.filter(pk__in=[one.pk for one in products]).order_by("pk")
    list(rows.select_for_update() if is_mysql else rows[:0])
    one_by_one(*products)


@pytest.mark.parametrize("write", [in_bulk, one_by_one_in_order, locked_and_one_by_one])
def test_r4_no_two_orders_deadlock(reserved, write):
    assert opposite_orders(write) == []


def test_r4_no_two_orders_deadlock_that_write_their_items_one_by_one_in_any_order(reserved):
    """On MariaDB they may, since the key of an item locks the product; the order is as right, if it is tried again."""
    errors = opposite_orders(one_by_one)
    assert errors == [] or is_mysql
    assert {kind for one in errors for kind in one} <= {"deadlock"}


def come_and_go(retrying, name, first, second):
    """Order two products fifteen times; each time cancel, delete or move an earlier item."""
    mine = PurchaseLine.objects.filter(status=name)
    lines = [{"goods_id": one.pk, "quantity": 2, "status": name} for one in (second, first)]
    for step in range(15):
        retrying.atomic(lambda: PurchaseLine.objects.bulk_create([PurchaseLine(**line) for line in lines]))
        one = mine.order_by("pk")[step % 3]
        if step % 3 == 0:
            retrying.run(lambda one=one: mine.filter(pk=one.pk).update(is_cancelled=True))
        elif step % 3 == 1:
            retrying.run(one.delete)
        else:
            one.goods_id = first.pk
            retrying.run(one.save)


def test_r4_orders_that_come_and_go_leave_what_the_items_that_stay_have_not_taken(reserved):
    keep(Goods, sold=Sum("lines__quantity", default=0))  # which locks the same rows
    products, tries = goods(200, 200, 200), [Retrying() for _ in range(8)]
    at_once(
        *(
            partial(come_and_go, retrying, str(at), products[at % 3], products[(at + 1) % 3])
            for at, retrying in enumerate(tries)
        )
    )
    held = Counter({one.pk: 0 for one in products})
    for key, quantity in PurchaseLine.objects.filter(is_cancelled=False).values_list("goods", "quantity"):
        held[key] += quantity
    assert left() == [200 - held[one.pk] for one in products]
    assert [dict(one.errors) for one in tries if one.errors] == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="it has one writer at a time")
def test_units_that_others_give_back_before_the_refusal_are_taken(reserved):
    """The conditional UPDATE finds too little; before the product is read for the error, another has given back."""
    (tea,) = goods(5)
    one = PurchaseLine.objects.create(goods=tea, quantity=4)
    given = []

    def give_back(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and "app_goods" in sql and not given:
            given.append(in_thread(lambda: Goods.objects.update(stock=F("stock") + 9)))
        return result

    one.quantity = 6
    with connection.execute_wrapper(give_back):
        one.save()
    assert (given, left()) == ([1], [8])


# --- what tutorials write -----------------------------------------------------------------------------------------


def subtract_and_save(sender, instance, created, **kwargs):
    product = Goods.objects.get(pk=instance.goods_id)
    if product.stock < instance.quantity:
        raise OutOfStock(product, instance.quantity, product.stock)
    product.stock -= instance.quantity
    product.save()


def subtract_by_f(sender, instance, created, **kwargs):
    Goods.objects.filter(pk=instance.goods_id).update(stock=F("stock") - instance.quantity)


def subtract_one_after_the_other(sender, instance, created, **kwargs):
    if not Goods.objects.filter(pk=instance.goods_id, stock__gte=instance.quantity).update(
        stock=F("stock") - instance.quantity
    ):
        product = Goods.objects.get(pk=instance.goods_id)
        raise OutOfStock(product, instance.quantity, product.stock)


def test_control_r4_a_tutorial_that_subtracts_and_saves_loses_what_others_take(connect):
    (tea,) = goods(10)
    all_have_read = threading.Barrier(THREADS, timeout=LONG)

    def wait(sender, **kwargs):
        all_have_read.wait()

    connect(post_save, subtract_and_save, sender=PurchaseLine)
    connect(pre_save, wait, sender=Goods)
    errors = at_once(*[lambda: refusal(lambda: PurchaseLine.objects.create(goods_id=tea.pk))] * THREADS)
    assert errors == [None] * THREADS  # sixteen have bought one of ten
    assert left() == [9]


def test_control_r4_a_tutorial_that_subtracts_by_f_goes_below_zero(connect):
    (tea,) = goods(100)
    connect(post_save, subtract_by_f, sender=PurchaseLine)
    assert all_buyers(lambda: PurchaseLine.objects.create(goods_id=tea.pk)) == []
    assert left() == [-60]


def test_control_r4_a_tutorial_leaves_the_item_that_it_refuses_in_autocommit(connect):
    (tea,) = goods(0)
    connect(post_save, subtract_one_after_the_other, sender=PurchaseLine)
    assert refusal(lambda: PurchaseLine.objects.create(goods_id=tea.pk)) is not None
    assert PurchaseLine.objects.count() == 1


def test_control_r4_a_tutorial_deadlocks_where_two_orders_have_the_same_products(connect):
    """Each of two transactions has one product, and waits for the other's."""
    tea, oil = goods(10, 10)
    connect(post_save, subtract_by_f, sender=PurchaseLine)
    both_have_one = threading.Barrier(2, timeout=LONG)
    tries = [Retrying(), Retrying()]

    def buy(first, second, retrying):
        def write():
            one_by_one(first)
            if connection.vendor != "sqlite" and not retrying.errors:
                both_have_one.wait()
            one_by_one(second)

        return lambda: retrying.atomic(write)

    at_once(buy(tea, oil, tries[0]), buy(oil, tea, tries[1]))
    assert left() == [8, 8]
    expected = set() if connection.vendor == "sqlite" else {"deadlock"}
    assert {kind for one in tries for kind in one.errors} == expected


# --- beside another recipe that locks rows at the end of the transaction ------------------------------------------


def take_tea(tea):
    PurchaseLine.objects.create(goods_id=tea.pk)


def fill(cart):
    Item.objects.create(cart_id=cart.pk, quantity=1)


def declare_both(*, is_reserved_first):
    """Declare a stock and a kept field of other rows, in the one order or in the other."""
    declarations = [
        lambda: reserve(PurchaseLine, "quantity", from_="goods.stock"),
        lambda: keep(Cart, items_count=Count("items")),
    ]
    for declare in declarations if is_reserved_first else reversed(declarations):
        declare()


declared_in_both_orders = pytest.mark.parametrize("is_reserved_first", [True, False])


@declared_in_both_orders
@pytest.mark.parametrize("is_taken_first", [True, False])
def test_r4_a_stock_is_locked_before_a_kept_field_whichever_was_written_first(is_reserved_first, is_taken_first):
    declare_both(is_reserved_first=is_reserved_first)
    (tea,), cart = goods(1), Cart.objects.create()
    writes = [lambda: take_tea(tea), lambda: fill(cart)]

    def write():
        with transaction.atomic():
            for one in writes if is_taken_first else reversed(writes):
                one()

    updates = [sql for sql in statements(write) if sql.startswith("UPDATE")]
    assert ["app_goods" in sql for sql in updates] == [True, False]


@declared_in_both_orders
def test_r4_writers_in_opposite_orders_do_not_deadlock_with_a_kept_field(is_reserved_first):
    declare_both(is_reserved_first=is_reserved_first)
    (tea,), cart = goods(1000), Cart.objects.create()
    tries = [Retrying() for _ in range(8)]

    def shop(at, retrying):
        first, second = (lambda: take_tea(tea), lambda: fill(cart))[:: 1 if at % 2 else -1]
        return lambda: [retrying.atomic(lambda: (first(), second())) for _ in range(20)]

    at_once(*(shop(at, retrying) for at, retrying in enumerate(tries)))
    cart.refresh_from_db()
    assert (left(), cart.items_count) == ([840], 160)
    errors = [dict(one.errors) for one in tries if one.errors]
    assert errors == [] or is_mysql  # where the key of a new row locks the row to which it refers, when it is written
