"""Stocks with a total: `manage.py recipes` finds and mends a stock that is not what the items have left of it."""

from decimal import Decimal

import pytest
from django.db.models import F

from heliograph import has, mute
from heliograph.recipes import reserve, subjects
from heliograph.recipes.declarations import check_rows, declarations
from heliograph.recipes.reserved import totals
from tests.app.models import BasketLine, Goods, PurchaseLine
from tests.helpers.recipes_command import run
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

in_threads = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reserved():
    return reserve(PurchaseLine, "quantity", from_="goods.stock", when=has(is_cancelled=False), total="received")


def goods(*received):
    return [Goods.objects.create(stock=number, received=number) for number in received]


def test_a_stock_that_is_right_is_verified(reserved):
    tea, _ = goods(10, 20)
    PurchaseLine.objects.create(goods=tea, quantity=3)
    PurchaseLine.objects.create(goods=tea, quantity=3, is_cancelled=True)
    Goods.objects.filter(pk=tea.pk).update(stock=F("stock") + 5, received=F("received") + 5)
    assert run("verify") == (0, ["1 verified, 0 wrong"])


def test_a_stock_that_is_wrong_is_named_and_mended(reserved):
    tea, oil = goods(10, 20)
    with mute(PurchaseLine):
        PurchaseLine.objects.create(goods=tea, quantity=3)
    Goods.objects.filter(pk=oil.pk).update(stock=7)
    lines = [f"app.Goods.stock of {tea.pk} is 10, not 7", f"app.Goods.stock of {oil.pk} is 7, not 20"]
    assert run("verify") == (1, [*lines, "1 verified, 2 wrong"])
    assert run("verify", "--repair") == (0, [*(f"{one}, and is mended" for one in lines), "1 verified, 2 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])


def test_all_declarations_of_a_stock_count(reserved):
    reserve(BasketLine, "quantity", from_="goods.stock")
    (tea,) = goods(10)
    PurchaseLine.objects.create(goods=tea, quantity=3)
    BasketLine.objects.create(goods=tea, quantity=2)
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    described = "    app.Goods.stock: received, less app.PurchaseLine.quantity, app.BasketLine.quantity"
    assert described in run("list")[1]


def test_items_that_are_older_than_the_declaration_are_filled_in():
    (tea,) = goods(10)
    PurchaseLine.objects.create(goods=tea, quantity=3)
    reserve(PurchaseLine, "quantity", from_="goods.stock", total="received")
    assert [one.id for one in check_rows(None, databases=["default"])] == ["heliograph.W202"]
    assert run("backfill") == (0, ["1 verified, 1 filled"])
    assert check_rows(None, databases=["default"]) == []
    assert Goods.objects.get().stock == 7


def test_a_sample_does_not_read_products_with_too_many_items(reserved, monkeypatch):
    monkeypatch.setattr(totals, "FEW", 2)
    (tea,) = goods(10)
    PurchaseLine.objects.bulk_create([PurchaseLine(goods=tea) for _ in range(3)])
    Goods.objects.update(stock=1)
    (subject,) = reserved.subjects
    assert subject.sample("default").size == 0
    PurchaseLine.objects.first().delete()
    assert len(subject.sample("default").found) == 1


def test_decimals_are_compared_as_they_are_stored():
    reserve(PurchaseLine, "kilos", from_="goods.kilos", total="kilos_received")
    tea = Goods.objects.create(kilos=Decimal("0.30"), kilos_received=Decimal("0.30"))
    for _ in range(2):
        PurchaseLine.objects.create(goods=tea, kilos=Decimal("0.10"))
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    Goods.objects.update(kilos=1)
    assert run("verify", "--repair")[0] == 0
    assert Goods.objects.filter(kilos=Decimal("0.10")).exists()


def buy(products):
    """Return what buys each product a few times."""

    def buy():
        for one in products * 5:
            PurchaseLine.objects.create(goods_id=one.pk, quantity=2)

    return buy


@in_threads
def test_stocks_are_mended_while_others_buy(reserved, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 2)
    products = goods(*[200] * 6)

    def spoil_and_mend():
        for _ in range(5):
            Goods.objects.update(stock=F("stock") - 7)
            run("verify", "--repair")

    at_once(*[buy(products)] * 3, spoil_and_mend)
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert [*Goods.objects.values_list("stock", flat=True)] == [170] * 6


@in_threads
def test_stocks_that_are_right_are_right_while_others_buy(reserved):
    products = goods(*[200] * 6)
    *_, found = at_once(*[buy(products)] * 3, lambda: [run("verify") for _ in range(10)])
    assert found == [(0, ["1 verified, 0 wrong"])] * 10


def test_a_total_that_is_no_number_of_the_product_is_refused():
    with pytest.raises(TypeError, match=r"app\.Goods has no field 'recieved' with a column\. Did you mean 'received'"):
        reserve(PurchaseLine, "quantity", from_="goods.stock", total="recieved")
    assert declarations == []
