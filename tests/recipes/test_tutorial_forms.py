"""Each promise of kept fields beside what tutorials write: the same writes, and only the kept field is right."""

import datetime
import threading
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import Count, F, Sum
from django.utils import timezone

from heliograph.signals import pre_save
from tests.app.models import Cart, DailyRevenue, Item, Payment
from tests.helpers.threads import LONG, at_once, in_thread
from tests.helpers.writes import conflict
from tests.recipes.tutorial_forms import FORMS, ON_THE_PAGE

pytestmark = pytest.mark.django_db(transaction=True)

FIGURES = {"items_count": Count("items"), "total": Sum(F("items__price") * F("items__quantity"), default=0)}
REVENUE = {"revenue": Sum("amount", default=0), "payments": Count("*")}


@pytest.fixture
def tutorial(connect):
    """Connect the receivers of a form: `tutorial("recount", sender=Item)`."""

    def tutorial(form, sender):
        for signal, receiver, options in FORMS[form]:
            connect(signal, receiver, sender=sender, **options)

    return tutorial


# --- threads in an order ------------------------------------------------------------------------------------------


class Overtaken:
    """Two threads that write: the first one stops where it is about to save a parent, until the second one is done."""

    def __init__(self, connect):
        self.has_stopped, self.may_go_on = threading.Event(), threading.Event()
        connect(pre_save, self.stop, sender=Cart)

    def stop(self, sender, **kwargs):
        if threading.current_thread().name == "first":
            self.has_stopped.set()
            assert self.may_go_on.wait(LONG)

    def run(self, first, second):
        thread = threading.Thread(target=self.lead, args=[first], name="first")
        thread.start()
        assert self.has_stopped.wait(LONG)
        in_thread(second)
        self.may_go_on.set()
        thread.join()

    def lead(self, write):
        try:
            write()
        finally:
            self.has_stopped.set()  # a kept field saves no parent
            connections.close_all()


# --- writes -------------------------------------------------------------------------------------------------------


def new(cart, **values):
    return Item.objects.create(cart_id=cart.pk, price=2, **values)


def insert_in_two_threads(first, second, overtaken):
    overtaken.run(lambda: new(first), lambda: new(first))


def move(first, second, overtaken):
    item = new(first)
    item.cart = second
    item.save()


def move_by_update(first, second, overtaken):
    new(first)
    Item.objects.update(cart=second)


def insert_in_bulk(first, second, overtaken):
    Item.objects.bulk_create([Item(cart=first, price=3), Item(cart=second, price=4)])


def insert_with_conflicts(first, second, overtaken):
    item = new(first)
    Item.objects.bulk_create(
        [Item(pk=item.pk, cart=second), Item(cart=first)], **conflict("pk", update=["cart", "price"])
    )


def delete_through_a_stale_copy(first, second, overtaken):
    item = new(first)
    stale = Item.objects.get(pk=item.pk)
    item.cart = second
    item.save()
    stale.delete()


def delete_twice(first, second, overtaken):
    item = new(first)
    copy = Item.objects.get(pk=item.pk)
    item.delete()
    copy.delete()


def change_the_quantity(first, second, overtaken):
    item = new(first, quantity=2)
    item.quantity = 5
    item.save()


def change_prices_by_update(first, second, overtaken):
    new(first, quantity=2)
    Item.objects.update(price=F("price") + Decimal("0.10"))


def save_a_stale_parent(first, second, overtaken):
    stale = Cart.objects.get(pk=first.pk)
    new(first)
    stale.title = "new"
    stale.save()


def save_a_stale_parent_that_waits(first, second, overtaken):
    stale = Cart.objects.get(pk=first.pk)
    overtaken.run(stale.save, lambda: new(first))


def update_stale_parents_in_bulk(first, second, overtaken):
    stale = [*Cart.objects.all()]
    new(first)
    Cart.objects.bulk_update(stale, ["title", "items_count"])


def upsert_stale_parents(first, second, overtaken):
    stale = [*Cart.objects.all()]
    new(first)
    Cart.objects.bulk_create(stale, **conflict("pk", update=["title", "items_count"]))


def copy_a_parent(first, second, overtaken):
    new(first)
    copy = Cart.objects.get(pk=first.pk)
    copy.pk, copy._state.adding = None, True
    copy.save()


COUNTS = ["recount", "add one", "add one by F()"]
TOTALS = ["recompute", "add the price", "add the price by F()"]
WRITES = {
    "R1": [
        (insert_in_two_threads, ["recount", "recompute", "add one"]),
        (move, [*COUNTS, "add up", "recompute"]),
        (move_by_update, [*COUNTS, "add up", "recompute"]),
        (insert_in_bulk, [*COUNTS, "add up", "recompute"]),
        (insert_with_conflicts, [*COUNTS, "add up", "recompute"]),
        (delete_through_a_stale_copy, ["recount", "add up", "recompute"]),
        (delete_twice, ["add one", "add one by F()"]),
        (copy_a_parent, [*COUNTS, "add up", "recompute"]),
    ],
    "R2": [
        (change_the_quantity, ["add the price", "add the price by F()"]),
        (change_prices_by_update, TOTALS),
    ],
    "R3": [
        (save_a_stale_parent, [*COUNTS, "add up", *TOTALS]),
        (save_a_stale_parent_that_waits, [*COUNTS, "add up", *TOTALS]),
        (update_stale_parents_in_bulk, [*COUNTS, "add up"]),
        (upsert_stale_parents, [*COUNTS, "add up"]),
    ],
}
ALL = [pytest.param(write, id=f"{case} {write.__name__}") for case, writes in WRITES.items() for write, _ in writes]
CONTROLS = [
    pytest.param(write, form, id=f"{case} {write.__name__}, {form}")
    for case, writes in WRITES.items()
    for write, forms in writes
    for form in forms
]


COUNT, TOTAL = slice(0, 1), slice(1, 2)
# The figures that a form keeps, if it does not keep both.
KEPT_BY = {**dict.fromkeys(ON_THE_PAGE, COUNT), "add the price": TOTAL, "add the price by F()": TOTAL}


def figures():
    """Return the stored figures of all carts, and what they should be."""
    names = [*FIGURES]
    stored = [*Cart.objects.order_by("pk").values_list(*names)]
    truths = [
        Cart.objects.order_by("pk").annotate(truth=one).values_list("truth", flat=True) for one in FIGURES.values()
    ]
    return stored, [*zip(*truths, strict=True)]


@pytest.fixture
def carts(db):
    return [Cart.objects.create() for _ in range(2)]


@pytest.mark.parametrize("write", ALL)
def test_r1_r2_r3_a_kept_field_is_right_where_tutorials_are_wrong(keeping, connect, write, carts):
    keeping.keep(Cart, **FIGURES)
    write(*carts, Overtaken(connect))
    assert keeping.wrong() == []


@pytest.mark.parametrize(("write", "form"), CONTROLS)
def test_control_r1_r2_r3_what_tutorials_write_is_wrong(tutorial, connect, write, form, carts):
    tutorial(form, Item)
    write(*carts, Overtaken(connect))
    stored, truth = figures()
    kept = KEPT_BY.get(form, slice(None))
    assert [one[kept] for one in stored] != [one[kept] for one in truth]


# --- the revenue of a day -----------------------------------------------------------------------------------------


def at(day, hour=12):
    """Return a time of a day in June 2024, in the zone of the site."""
    return datetime.datetime(2024, 6, day, hour, tzinfo=timezone.get_default_timezone())


class TogetherRead:
    """Threads that all read the row of a day before one of them saves it."""

    def __init__(self, connect, number):
        self.all_have_read = threading.Barrier(number, timeout=LONG)
        connect(pre_save, self.wait, sender=DailyRevenue)

    def wait(self, sender, instance, **kwargs):
        if not instance._state.adding:
            self.all_have_read.wait()


def first_sale_of_a_day_by_eight_threads(connect):
    TogetherRead(connect, 8)

    def sell():
        Payment.objects.create(amount=5, paid_at=at(1))

    at_once(*[sell] * 8)


def refund_that_moves(connect):
    payment = Payment.objects.create(amount=5, paid_at=at(1))
    payment.amount, payment.is_refund, payment.paid_at = -5, True, at(2)
    payment.save()


def sale_late_in_the_evening(connect):
    Payment.objects.create(amount=5, paid_at=at(1, hour=23).astimezone(datetime.UTC))


def sales_that_are_deleted(connect):
    Payment.objects.create(amount=5, paid_at=at(1))
    Payment.objects.all().delete()


SALES = [first_sale_of_a_day_by_eight_threads, refund_that_moves, sale_late_in_the_evening, sales_that_are_deleted]


@pytest.mark.parametrize("sell", SALES)
def test_r17_the_revenue_of_a_day_is_right_where_tutorials_are_wrong(keeping, connect, sell):
    keeping.keep_days(Payment, "paid_at", DailyRevenue, **REVENUE)
    sell(connect)
    assert keeping.wrong() == []


@pytest.mark.parametrize("sell", SALES)
def test_control_r17_the_revenue_of_a_day_is_wrong_in_tutorials(tutorial, connect, sell):
    tutorial("add to the day", Payment)
    sell(connect)
    revenue = {row.day: (row.revenue, row.payments) for row in DailyRevenue.objects.exclude(payments=0)}
    assert revenue != revenue_by_day()


def revenue_by_day():
    """Return the revenue and the number of payments of each day, in the zone of the site."""
    found = {}
    for payment in Payment.objects.all():
        day = payment.paid_at.astimezone(timezone.get_default_timezone()).date()
        revenue, number = found.get(day, (0, 0))
        found[day] = (revenue + payment.amount, number + 1)
    return found
