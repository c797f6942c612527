"""Kept fields where the database has other values than Python was given, or where no value was read."""

from decimal import Decimal

import pytest
from django.db.models import Count, F, Q, Sum

from tests.app.models import Cart, Item, WrappedItem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cart(keeping):
    keeping.keep(
        Cart,
        items_count=Count("items"),
        dear_count=Count("items", filter=Q(items__is_dear=True)),
        total=Sum(F("items__price") * F("items__quantity"), default=0),
    )
    return Cart.objects.create()


def test_a_decimal_with_more_places_than_its_field_is_summed_as_the_database_stores_it(keeping, cart):
    Item.objects.create(cart=cart, price=Decimal("1.005"), quantity=2)
    Item.objects.bulk_create([Item(cart=cart, price=Decimal("1.005")) for _ in range(2)])
    assert keeping.wrong() == []


def test_a_decimal_that_the_database_computes_is_summed_as_the_database_stores_it(keeping, cart):
    Item.objects.bulk_create([Item(cart=cart, price=Decimal("0.33")) for _ in range(10)])
    Item.objects.update(price=F("price") * Decimal("1.1"))
    Item.objects.filter(pk=Item.objects.first().pk).delete()
    assert keeping.wrong() == []


def test_an_update_of_a_child_by_inheritance_sets_a_column_of_the_parent_table(keeping, cart):
    WrappedItem.objects.create(cart=cart, price=3)
    WrappedItem.objects.update(price=8)
    assert keeping.wrong() == []
    WrappedItem.objects.update(price=9, paper="gold")
    assert keeping.wrong() == []
