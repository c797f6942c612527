"""The store: slugs, shelves, inventory, orders."""

from datetime import date

from django.db import transaction
from django.test import TestCase
from heliograph import capture

from store.models import Artist, Customer, Genre, Inventory, Order, OrderItem, Product
from store.receivers import OPENING_STOCK, REORDER_POINT, REORDER_QUANTITY
from store.services import Line, cancel_order, place_order
from store.signals import order_placed, order_totalled

DAY = date(1997, 1, 1)


class CatalogueTests(TestCase):
    def test_a_new_shop_has_the_catalogue_with_its_opening_stock(self):
        self.assertEqual(Product.objects.count(), 60)
        self.assertEqual(set(Inventory.objects.values_list("on_hand", flat=True)), {OPENING_STOCK})

    def test_a_product_is_named_in_addresses_by_its_title(self):
        self.assertEqual(Product.objects.get(title="Relay Station No. 4").slug, "relay-station-no-4")

    def test_an_address_stays_when_the_title_changes(self):
        product = Product.objects.get(slug="night-ferry")
        product.title = "Day Ferry"
        product.save()
        self.assertEqual(product.slug, "night-ferry")

    def test_a_product_put_on_a_shelf_is_counted_there(self):
        jazz = Genre.objects.get(name="Jazz")
        Product.objects.get(slug="night-ferry").genres.add(jazz)
        self.assertEqual(Genre.objects.get(name="Jazz").albums, jazz.albums + 1)

    def test_a_shelf_that_is_cleared_is_empty(self):
        Genre.objects.get(name="Jazz").products.clear()
        self.assertEqual(Genre.objects.get(name="Jazz").albums, 0)

    def test_a_product_that_is_added_has_an_inventory(self):
        artist = Artist.objects.create(name="The Newcomers")
        product = Product.objects.create(artist=artist, title="Hello", year=1998)
        self.assertEqual(product.inventory.on_hand, 0)


class OrderTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.product = Product.objects.get(slug="night-ferry")
        cls.customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=DAY)

    def order(self, *prices: int) -> Order:
        return place_order(self.customer, DAY, [Line(self.product, cents) for cents in prices])

    def on_hand(self) -> int:
        return Inventory.objects.get(product=self.product).on_hand

    def test_an_order_comes_to_the_sum_of_its_items(self):
        order = self.order(1467, 1466)
        self.assertEqual((order.cds, order.cents), (2, 2933))

    def test_what_it_comes_to_is_stored(self):
        order = Order.objects.get(pk=self.order(1467, 1466).pk)
        self.assertEqual((order.cds, order.cents), (2, 2933))

    def test_orders_are_added_up_once_a_transaction(self):
        with capture(order_totalled) as sent, transaction.atomic():
            orders = [self.order(1467, 1466), self.order(1499)]
            self.assertEqual(len(sent), 0)
        self.assertEqual([one.kwargs["order"] for one in sent], orders)

    def test_an_item_that_is_added_or_taken_away_changes_the_sum(self):
        order = self.order(1467, 1466)
        OrderItem.objects.create(order=order, product=self.product, cents=1000)
        order.items.first().delete()
        order.refresh_from_db()
        self.assertEqual((order.cds, order.cents), (2, 2466))

    def test_an_order_of_nothing_is_none(self):
        with self.assertRaisesMessage(ValueError, "Customer 1 orders nothing: an order has one line at least."):
            self.order()

    def test_a_sold_cd_leaves_the_shelf(self):
        self.order(1499, 1499)
        self.assertEqual(self.on_hand(), OPENING_STOCK - 2)

    def test_the_cds_of_a_cancelled_order_return_to_the_shelf(self):
        cancel_order(self.order(1499, 1499))
        self.assertEqual(self.on_hand(), OPENING_STOCK)

    def test_a_product_that_runs_low_is_restocked(self):
        self.order(*[1499] * (OPENING_STOCK - REORDER_POINT + 1))
        self.assertEqual(self.on_hand(), REORDER_POINT + REORDER_QUANTITY - 1)

    def test_an_order_is_told_when_its_items_are_there(self):
        with capture(order_placed) as sent:
            order = self.order(1499, 1499)
        sent.assert_sent(order=order)
        self.assertEqual(OrderItem.objects.filter(order=order).count(), 2)
