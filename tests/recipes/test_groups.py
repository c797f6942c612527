"""Kept groups: one row for each group of other rows, made with the first of them."""

import datetime
import threading
from decimal import Decimal
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import NotSupportedError, OperationalError, connection, transaction
from django.db.models import Avg, Count, F, Q, Sum
from django.db.models.functions import Lower, TruncDate, TruncMonth
from django.utils import timezone

from heliograph.recipes import keep_groups
from heliograph.recipes.declarations import declarations
from heliograph.recipes.kept.site_days import SiteDate
from heliograph.recipes.verbs import chosen
from tests.app.models import Cart, CartFigures, DailyRevenue, Item, Payment

pytestmark = pytest.mark.django_db(transaction=True)
DAY = {"day": TruncDate("paid_at")}
FIELDS = {
    "revenue": Sum("amount", default=0),
    "payments": Count("*"),
    "refunds": Count("pk", filter=Q(is_refund=True)),
    "mean": Avg("amount"),
}


@pytest.fixture
def kept():
    declaration = keep_groups(Payment, into=DailyRevenue, by=DAY, **FIELDS)
    yield declaration
    declaration.disconnect()


def at(day, hour=12):
    """Return a time of a day in June 2024, in the zone of the site."""
    return datetime.datetime(2024, 6, day, hour, tzinfo=timezone.get_default_timezone())


def pay(amount, day=1, hour=12, **values):
    return Payment.objects.create(amount=amount, paid_at=at(day, hour), **values)


def days():
    return {row.day.day: (row.revenue, row.payments) for row in DailyRevenue.objects.all()}


def drift():
    return [str(one) for subject in chosen([]) for one in subject.verify("default")]


def test_r17_the_first_payment_of_a_day_makes_its_row(kept):
    pay(5)
    pay(3)
    pay(2, day=2)
    assert days() == {1: (8, 2), 2: (2, 1)}
    assert drift() == []


def test_r17_a_payment_that_moves_to_another_day_moves_its_amount(kept):
    payment = pay(5)
    pay(3)
    payment.paid_at = at(2)
    payment.save()
    assert days() == {1: (3, 1), 2: (5, 1)}
    Payment.objects.update(paid_at=at(3), amount=F("amount") + 1)
    assert days() == {1: (0, 0), 2: (0, 0), 3: (10, 2)}
    Payment.objects.all().delete()
    assert days()[3] == (0, 0)
    assert drift() == []


def test_r17_the_day_is_that_of_the_sites_zone(kept):
    with timezone.override("Pacific/Auckland"):
        pay(5, hour=0)
        pay(3, hour=23)
    assert days() == {1: (8, 2)}


def test_r17_the_truth_is_by_the_sites_zone_too(kept):
    pay(5, hour=0)
    pay(3, hour=23)
    with timezone.override("Pacific/Auckland"):
        assert drift() == []


ZONES = ["America/Chicago", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut", "Asia/Kolkata", "UTC"]


def hard_times(zone):
    """Return times of many years, and times around each change of a zone's offset and each midnight about then."""
    choose = Random(zone)
    some = [datetime.datetime(choose.randrange(1972, 2090), 1, 1, tzinfo=datetime.UTC) for _ in range(12)]
    hours = [one + datetime.timedelta(hours=number) for one in some for number in range(0, 366 * 24, 3)]
    local = [one.astimezone(ZoneInfo(zone)) for one in hours]
    changed = [after for before, after in pairwise(local) if before.utcoffset() != after.utcoffset()]
    around = [datetime.timedelta(minutes=number) for number in range(-36 * 60, 36 * 60, 29)]
    near = [one + by for one in choose.sample(changed, min(8, len(changed))) for by in around]
    return [*choose.sample(local, 200), *near]


@pytest.mark.parametrize("zone", ZONES)
def test_r17_a_day_is_the_same_in_python_and_in_the_database_also_without_its_tables_of_time_zones(zone):
    Payment.objects.bulk_create([Payment(amount=1, paid_at=one) for one in hard_times(zone)])
    rows = Payment.objects.annotate(day=SiteDate("paid_at", tzinfo=ZoneInfo(zone))).values_list("paid_at", "day")
    assert [one for one in rows if one[0].astimezone(ZoneInfo(zone)).date() != one[1]] == []


@pytest.mark.skipif(connection.vendor != "mysql", reason="other databases have time zones")
def test_times_that_are_not_stored_in_utc_are_refused_without_tables_of_time_zones(monkeypatch):
    if connection.features.has_zoneinfo_database:
        pytest.skip("the tables of time zones are loaded")
    monkeypatch.setattr(connection, "timezone_name", "Europe/Oslo")
    days = Payment.objects.annotate(day=SiteDate("paid_at", tzinfo=ZoneInfo("Asia/Tokyo")))
    with pytest.raises(NotSupportedError, match=r"stored in Europe/Oslo.*mysql_tzinfo_to_sql"):
        days.first()


def test_bulk_writes_reach_all_their_days(kept):
    payments = [Payment(amount=n, paid_at=at(n), is_refund=n % 2 == 0) for n in range(1, 8)]
    Payment.objects.bulk_create(payments)
    assert days() == {n: (n, 1) for n in range(1, 8)}
    assert drift() == []


def test_r17_eight_threads_that_make_the_first_sale_of_a_day_make_one_row(kept):
    errors, start = [], threading.Barrier(8)

    def sell():
        try:
            start.wait(60)
            for day in (1, 2, 3):
                with transaction.atomic():
                    pay(Decimal("0.10"), day=day)
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert days() == dict.fromkeys((1, 2, 3), (Decimal("0.80"), 8))
    assert drift() == []


def test_verify_finds_a_day_without_a_row_and_repair_makes_it():
    pay(5)
    declaration = keep_groups(Payment, into=DailyRevenue, by=DAY, revenue=Sum("amount", default=0))
    try:
        assert [one.stored for one in declaration.subjects[0].verify("default")] == ["missing"]
        assert [*declaration.subjects[0].verify("default", repair=True)]
        assert drift() == []
        assert days()[1][0] == 5
    finally:
        declaration.disconnect()


# --- groups by a foreign key ----------------------------------------------------------------------------------------


@pytest.fixture
def kept_by_cart():
    declaration = keep_groups(Item, into=CartFigures, by={"cart": "cart"}, items=Count("*"))
    yield
    declaration.disconnect()


def figures():
    return [*CartFigures.objects.order_by("cart").values_list("cart", "items")]


def test_r17_the_first_child_of_a_parent_makes_its_row(kept_by_cart):
    cart = Cart.objects.create()
    Item.objects.create(cart=cart)
    assert figures() == [(cart.pk, 1)]
    assert drift() == []


def test_r17_a_parent_that_is_deleted_takes_its_row_along(kept_by_cart):
    carts = [Cart.objects.create() for _ in range(2)]
    items = Item.objects.bulk_create([Item(cart=cart) for cart in carts * 2])
    carts[0].delete()
    assert figures() == [(carts[1].pk, 2)]
    with transaction.atomic():
        Item.objects.filter(pk=items[1].pk).delete()
        carts[1].delete()
    assert figures() == []


def test_the_row_of_a_group_that_was_deleted_is_made_again_with_all_its_rows(kept_by_cart):
    cart = Cart.objects.create()
    Item.objects.bulk_create([Item(cart=cart) for _ in range(2)])
    CartFigures.objects.all().delete()
    Item.objects.create(cart=cart)
    assert figures() == [(cart.pk, 3)]


REFUSED = [
    (
        {"into": Cart, "by": {"title": "is_refund"}, "items_count": Count("*")},
        "two transactions could both make the row of a group. Let app.Cart have UniqueConstraint(fields=['title'],"
        " name=...).",
    ),
    ({"into": DailyRevenue, "by": {"date": "paid_at"}, "payments": Count("*")}, "['date'] are none."),
    (
        {"into": DailyRevenue, "by": {"day": TruncMonth("paid_at")}, "payments": Count("*")},
        "which Python may compute otherwise than the database. Group by integers, booleans, dates, decimals, foreign"
        " keys, or by TruncDate() of a DateTimeField.",
    ),
    (
        {"into": DailyRevenue, "by": {"day": Lower("paid_at")}, "payments": Count("*")},
        "which Python may compute otherwise than the database.",
    ),
    ({"into": DailyRevenue, "by": DAY, "payments": Count("payer")}, "app.Payment has no field 'payer'."),
    (
        {"into": DailyRevenue, "by": DAY, "revenue": Sum("amount")},
        "Sum of no children is NULL, and app.DailyRevenue.revenue cannot be NULL. Give it null=True, or say Sum(...,"
        " default=0).",
    ),
]


@pytest.mark.parametrize(("options", "text"), REFUSED)
def test_groups_that_cannot_be_kept_right_are_refused(options, text):
    with pytest.raises(TypeError) as raised:
        keep_groups(Payment, **options)
    assert str(raised.value).startswith("keep_groups(app.Payment, into=app.")
    assert text in str(raised.value)
    assert declarations == []
