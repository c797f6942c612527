"""The statistics: customers, days, totals, pages."""

from dataclasses import astuple
from datetime import date

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from heliograph.signals import request_finished

from analytics.models import CustomerStatistics, DailyStatistics, PageViews
from analytics.months import Month, months
from analytics.totals import totals
from store.models import Customer, OrderItem, Product
from store.services import Line, cancel_order, place_order

JANUARY, MARCH = date(1997, 1, 31), date(1997, 3, 1)


class StatisticsTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=JANUARY)
        cls.lines = [Line(product, 1000) for product in Product.objects.all()[:2]]
        cls.first = place_order(cls.customer, JANUARY, cls.lines)
        cls.second = place_order(cls.customer, MARCH, cls.lines[:1])

    def of_all(self) -> tuple[int, ...]:
        return astuple(totals())

    def of_customer(self) -> tuple[object, ...]:
        return CustomerStatistics.objects.values_list("orders", "cds", "cents", "first", "last").get()

    def test_a_customer_has_the_sums_of_their_orders(self):
        self.assertEqual(self.of_customer(), (2, 3, 3000, JANUARY, MARCH))

    def test_a_day_has_the_sums_of_its_orders(self):
        day = DailyStatistics.objects.get(day=JANUARY)
        self.assertEqual((day.orders, day.cds, day.cents), (1, 2, 2000))

    def test_the_totals_have_the_sums_of_all_orders(self):
        self.assertEqual(self.of_all(), (1, 2, 3, 3000))

    def test_a_month_has_the_sums_of_its_days(self):
        self.assertEqual(months(), [Month(date(1997, 1, 1), 1, 2, 2000), Month(date(1997, 3, 1), 1, 1, 1000)])

    def test_a_cancelled_first_order_moves_the_first_purchase(self):
        cancel_order(self.first)
        self.assertEqual(self.of_customer(), (1, 1, 1000, MARCH, MARCH))

    def test_without_orders_there_is_no_first_purchase(self):
        cancel_order(self.first)
        cancel_order(self.second)
        self.assertEqual(self.of_customer(), (0, 0, 0, None, None))

    def test_a_cancelled_order_leaves_the_totals_and_its_day(self):
        cancel_order(self.first)
        self.assertEqual(DailyStatistics.objects.get(day=JANUARY).cents, 0)
        self.assertEqual(totals().cents, 1000)

    def test_a_deleted_customer_takes_all_orders_along(self):
        self.customer.delete()
        self.assertEqual(self.of_all(), (0, 0, 0, 0))

    def test_they_are_updated_once_a_transaction(self):
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            for day in (JANUARY, MARCH):
                place_order(self.customer, day, self.lines)
        updates = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "analytics_daily')]
        self.assertEqual(len(updates), 1)
        self.assertEqual(self.of_all(), (1, 4, 7, 7000))

    def test_an_order_that_is_rolled_back_is_not_counted(self):
        with transaction.atomic():
            place_order(self.customer, MARCH, self.lines)
            transaction.set_rollback(True)
        self.assertEqual(self.of_all(), (1, 2, 3, 3000))

    def test_nor_is_one_that_is_cancelled_in_the_same_transaction(self):
        with transaction.atomic():
            cancel_order(place_order(self.customer, MARCH, self.lines))
        self.assertEqual(self.of_all(), (1, 2, 3, 3000))
        self.assertEqual(self.of_customer(), (2, 3, 3000, JANUARY, MARCH))

    def test_they_are_right_whatever_is_done_first(self):
        with transaction.atomic():
            cancel_order(self.first)
            customer = Customer.objects.create(number=2, cdnow_number=5, joined_on=MARCH)
            place_order(customer, MARCH, self.lines)
        self.assertEqual(self.of_all(), (2, 2, 3, 3000))
        self.assertEqual(customer.statistics.cds, 2)

    def test_an_order_of_which_an_item_is_taken_away_is_summed_up_again(self):
        OrderItem.objects.filter(order=self.first).first().delete()
        self.assertEqual(self.of_all(), (1, 2, 2, 2000))

    def test_every_page_that_is_served_is_counted(self):
        request_finished.send(sender=WSGIHandler)
        request_finished.send(sender=WSGIHandler)
        self.assertEqual(PageViews.objects.get().pages, 2)
