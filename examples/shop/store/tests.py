"""The store: slugs, shelves, inventory, prices, orders."""

from datetime import date

from django.db import connection, transaction
from django.db.models import F
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from heliograph import capture
from heliograph.outbox import Again, Succeeded, drain
from heliograph.outbox.models import Delivery
from heliograph.signals import m2m_changes, post_update

from store.models import Artist, Customer, Genre, Inventory, Order, OrderItem, PriceChange, Product, Restock
from store.opening import OPENING_STOCK
from store.receivers import REORDER_POINT, REORDER_QUANTITY
from store.services import Line, cancel_order, place_order, reprice
from store.signals import order_placed

DAY = date(1997, 1, 1)
RUNS_LOW = OPENING_STOCK - REORDER_POINT + 1  # after so many CDs are sold


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

    def test_the_shelves_of_a_new_shop_are_counted(self):
        self.assertEqual(Genre.objects.get(name="Jazz").albums, 10)

    def test_one_that_is_deleted_leaves_its_shelf(self):
        Product.objects.get(slug="night-ferry").delete()
        self.assertEqual(Genre.objects.get(name="Rock").albums, 11)

    def test_shelves_that_are_filled_together_are_counted_once(self):
        with capture(m2m_changes) as sent:
            Genre.objects.get(name="Jazz").products.set(Product.objects.all())
        self.assertEqual(len(sent), 1)
        self.assertEqual(Genre.objects.get(name="Jazz").albums, 60)

    def test_a_product_that_is_added_has_an_inventory(self):
        product = self.new("Hello")
        product.save()
        self.assertEqual(product.inventory.on_hand, 0)

    def test_so_do_those_that_are_added_in_bulk_and_addresses_too(self):
        Product.objects.bulk_create([self.new("Hello"), self.new("Goodbye")])
        self.assertEqual(Inventory.objects.filter(product__slug__in=["hello", "goodbye"], on_hand=0).count(), 2)

    def new(self, title: str) -> Product:
        artist, _ = Artist.objects.get_or_create(name="The Newcomers")
        return Product(artist=artist, title=title, year=1998, cents=1797, priced_on=DAY)

    def test_cds_that_come_in_in_bulk_are_put_on_the_shelf(self):
        products = Product.objects.all()[:2]
        Restock.objects.bulk_create(Restock(product=product, day=DAY, quantity=5) for product in products)
        stock = Inventory.objects.filter(product__in=products).values_list("on_hand", flat=True)
        self.assertEqual(list(stock), [OPENING_STOCK + 5] * 2)


class PriceTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.product = Product.objects.get(slug="night-ferry")
        cls.rock = Product.objects.filter(genres__name="Rock")

    def kept(self) -> list[tuple[object, ...]]:
        return list(PriceChange.objects.filter(product=self.product).values_list("day", "old", "new"))

    def test_a_product_costs_what_the_catalogue_says(self):
        self.assertEqual((self.product.cents, self.kept()), (1697, []))

    def test_what_is_repriced_by_a_query_is_kept_with_what_it_cost_before(self):
        self.assertEqual(reprice(self.rock, -250, DAY), 12)
        self.product.refresh_from_db()
        self.assertEqual((self.product.cents, self.product.priced_on), (1447, DAY))
        self.assertEqual(self.kept(), [(DAY, 1697, 1447)])
        self.assertEqual(PriceChange.objects.count(), 12)

    def test_the_receivers_of_the_query_hear_all_of_its_products_at_once(self):
        with capture(post_update) as sent:
            reprice(self.rock, -250, DAY)
        (only,) = sent
        self.assertEqual(len(only.kwargs["batch"].changes("cents")), 12)

    def test_what_is_repriced_by_a_save_is_kept_too(self):
        self.product.cents, self.product.priced_on = 1297, DAY
        self.product.save()
        self.assertEqual(self.kept(), [(DAY, 1697, 1297)])

    def test_what_is_repriced_twice_in_a_transaction_is_kept_once(self):
        with transaction.atomic():
            reprice(self.rock, -250, DAY)
            reprice(self.rock, 50, DAY)
        self.assertEqual(self.kept(), [(DAY, 1697, 1497)])

    def test_what_costs_the_same_again_at_the_end_of_a_transaction_is_not_kept(self):
        with transaction.atomic():
            reprice(self.rock, -250, DAY)
            reprice(self.rock, 250, DAY)
        self.assertEqual(self.kept(), [])

    def test_nor_is_what_is_deleted_in_the_same_transaction(self):
        with transaction.atomic():
            reprice(self.rock, -250, DAY)
            self.product.delete()
        self.assertEqual(PriceChange.objects.count(), 11)

    def test_nor_is_what_is_rolled_back(self):
        with transaction.atomic():
            reprice(self.rock, -250, DAY)
            transaction.set_rollback(True)
        self.assertEqual(self.kept(), [])


class OrderTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.product = Product.objects.get(slug="night-ferry")
        cls.customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=DAY)

    def order(self, *prices: int) -> Order:
        return place_order(self.customer, DAY, [Line(self.product, cents) for cents in prices])

    def on_hand(self) -> int:
        return Inventory.objects.get(product=self.product).on_hand

    def sell(self, cds: int) -> None:
        self.order(*[1499] * cds)

    def reorders(self) -> list[type]:
        """Let a worker restock, at once whatever it has to wait for, and return how its attempts end."""
        restocking = Delivery.objects.filter(queue="wholesale")
        restocking.update(due_at=F("created_at"))
        return [type(outcome) for outcome in drain(queues=["wholesale"])]

    def test_an_order_comes_to_the_sum_of_its_items(self):
        order = self.order(1467, 1466)
        self.assertEqual((order.cds, order.cents), (2, 2933))

    def test_what_it_comes_to_is_stored(self):
        order = Order.objects.get(pk=self.order(1467, 1466).pk)
        self.assertEqual((order.cds, order.cents), (2, 2933))

    def test_an_order_is_added_up_once_a_transaction(self):
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            order = self.order(1467, 1466)
            OrderItem.objects.create(order=order, product=self.product, cents=1000)
            order.items.first().delete()
        updates = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "store_order"')]
        self.assertEqual(len(updates), 1)
        self.assertEqual((order.cds, order.cents), (2, 2466))

    def test_an_item_that_is_added_or_taken_away_changes_the_sum(self):
        order = self.order(1467, 1466)
        OrderItem.objects.create(order=order, product=self.product, cents=1000)
        order.items.first().delete()
        order.refresh_from_db()
        self.assertEqual((order.cds, order.cents), (2, 2466))

    def test_an_item_that_moves_changes_the_sums_of_both_orders(self):
        orders = [self.order(1467, 1466), self.order(1000)]
        item = orders[0].items.first()
        item.order = orders[1]
        item.save()
        sums = Order.objects.order_by("pk").values_list("cds", "cents")
        self.assertEqual(list(sums), [(1, 1466), (2, 2467)])

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
        self.sell(RUNS_LOW)
        self.assertEqual(self.on_hand(), REORDER_POINT - 1)
        self.assertEqual(self.reorders(), [Again])  # the line is busy
        self.assertEqual(self.on_hand(), REORDER_POINT - 1)
        self.assertEqual(self.reorders(), [Succeeded])
        self.assertEqual(self.on_hand(), REORDER_POINT - 1 + REORDER_QUANTITY)

    def test_it_is_restocked_once_however_long_that_takes(self):
        self.sell(RUNS_LOW)
        self.sell(REORDER_QUANTITY - 1)
        self.assertEqual(self.on_hand(), REORDER_POINT - REORDER_QUANTITY)
        self.assertEqual((self.reorders(), self.reorders()), ([Again], [Succeeded]))
        self.assertEqual((self.on_hand(), self.reorders()), (REORDER_POINT, []))

    def test_nothing_is_coming_once_it_is_here(self):
        self.sell(RUNS_LOW)
        coming = Inventory.objects.values_list("coming", flat=True)
        self.assertEqual(coming.get(product=self.product), REORDER_QUANTITY)
        self.reorders()
        self.reorders()
        self.assertEqual(coming.get(product=self.product), 0)

    def test_what_is_rolled_back_restocks_nothing(self):
        with transaction.atomic():
            self.sell(RUNS_LOW)
            transaction.set_rollback(True)
        self.assertEqual(self.reorders(), [])

    def test_an_order_is_told_when_its_items_are_there(self):
        with capture(order_placed) as sent:
            order = self.order(1499, 1499)
        sent.assert_sent(order=order)
        self.assertEqual(OrderItem.objects.filter(order=order).count(), 2)
