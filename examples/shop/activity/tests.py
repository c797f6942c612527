"""The activity log."""

from datetime import date

from django.test import TestCase

from activity.models import Entry
from store.models import Customer, Order, Product
from store.services import Line, cancel_order, place_order, reprice

DAY = date(1997, 1, 1)


class EntryTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=DAY)
        cls.order = place_order(customer, DAY, [Line(product, 1250) for product in Product.objects.all()[:2]])

    def latest(self) -> tuple[str, str]:
        return Entry.objects.values_list("kind", "text").first()

    def test_what_the_catalogue_brought_in_is_logged(self):
        self.assertEqual(Entry.objects.filter(kind=Entry.Kind.RESTOCKED).count(), 60)

    def test_prices_that_a_query_changes_are_logged_together(self):
        reprice(Product.objects.filter(slug__in=["night-ferry", "janela"]), -200, DAY)
        self.assertEqual(self.latest(), ("repriced", "2 CDs went from $16.47 to $14.47 on average"))

    def test_an_update_that_changes_no_price_is_not_logged(self):
        reprice(Product.objects.all(), 0, DAY)
        Product.objects.update(year=1998)
        self.assertFalse(Entry.objects.filter(kind=Entry.Kind.REPRICED).exists())

    def test_a_new_customer_is_logged(self):
        self.assertEqual(Entry.objects.get(kind=Entry.Kind.JOINED).text, "Customer 1 joined")

    def test_an_order_is_logged(self):
        self.assertEqual(self.latest(), ("placed", "Customer 1 ordered 2 CDs for $25.00"))

    def test_a_cancelled_order_is_logged(self):
        cancel_order(self.order)
        self.assertEqual(self.latest(), ("cancelled", "Customer 1 cancelled 2 CDs for $25.00"))

    def test_also_by_one_who_does_not_know_what_it_came_to(self):
        cancel_order(Order(pk=self.order.pk, customer=self.order.customer, placed_on=DAY))
        self.assertEqual(self.latest(), ("cancelled", "Customer 1 cancelled 2 CDs for $25.00"))

    def test_nothing_leads_to_the_page_of_a_cancelled_order(self):
        address = self.order.get_absolute_url()
        cancel_order(self.order)
        self.assertFalse(Entry.objects.filter(path=address).exists())
