"""The pages: each answers, and shows what the receivers keep."""

from datetime import date

from django.test import SimpleTestCase, TestCase
from django.urls import reverse

from analytics.models import DailyStatistics
from analytics.months import Month
from backoffice import covers
from backoffice.charts import bars, calendars
from store.models import Customer, Product
from store.services import Line, place_order, reprice

DAY = date(1997, 3, 1)


class EmptyShopTests(TestCase):
    def test_every_page_answers_before_anything_was_sold(self):
        for name in ("home", "customers", "orders", "products", "statistics", "activity"):
            with self.subTest(name):
                self.assertEqual(self.client.get(reverse(name)).status_code, 200)


class PageTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.product = Product.objects.get(slug="night-ferry")
        cls.customers = [
            Customer.objects.create(number=number, cdnow_number=1000 - number, joined_on=DAY) for number in range(1, 40)
        ]
        cls.order = place_order(cls.customers[11], DAY, [Line(cls.product, 123450)])

    def test_the_overview_shows_the_total(self):
        self.assertContains(self.client.get("/"), "$1,234.50")

    def test_a_customer_has_a_page_with_their_orders(self):
        self.assertContains(self.client.get("/customers/12/"), self.order.get_absolute_url())

    def test_customers_are_found_by_the_beginning_of_their_number(self):
        found = self.client.get("/customers/", {"q": "12"}).context["object_list"]
        self.assertEqual([row.customer.number for row in found], [12])

    def test_customers_are_sorted_by_what_they_spent(self):
        found = self.client.get("/customers/", {"sort": "spent"}).context["object_list"]
        self.assertEqual(found[0].customer.number, 12)

    def test_an_unknown_sort_is_by_number(self):
        found = self.client.get("/customers/", {"sort": "; drop table"}).context["object_list"]
        self.assertEqual(found[0].customer.number, 1)

    def test_the_second_page_of_customers_keeps_the_sort(self):
        page = self.client.get("/customers/", {"sort": "recent", "page": 2})
        self.assertContains(page, "?sort=recent&amp;page=1")

    def test_an_order_has_a_page_with_its_cds(self):
        self.assertContains(self.client.get(self.order.get_absolute_url()), "Night Ferry")

    def test_a_genre_shows_its_own_products_only(self):
        page = self.client.get("/products/", {"genre": "jazz"})
        self.assertContains(page, "After the Last Set")
        self.assertNotContains(page, "Night Ferry")

    def test_a_product_has_a_page_with_its_sales(self):
        self.assertContains(self.client.get(self.product.get_absolute_url()), self.order.get_absolute_url())

    def test_the_page_of_a_product_says_what_it_cost_before(self):
        reprice(Product.objects.all(), -250, DAY)
        page = self.client.get(self.product.get_absolute_url())
        self.assertContains(page, "<dd>$14.47</dd>", html=True)
        self.assertInHTML('<td class="number">$16.97</td><td class="number">$14.47</td>', page.content.decode())

    def test_a_month_has_a_page(self):
        self.assertContains(self.client.get("/statistics/1997/3/"), "March 1997")

    def test_a_month_without_sales_has_none(self):
        self.assertEqual(self.client.get("/statistics/1999/3/").status_code, 404)

    def test_the_activity_is_shown_by_kind(self):
        entries = self.client.get("/activity/", {"kind": "placed"}).context["object_list"]
        self.assertEqual([entry.text for entry in entries], ["Customer 12 ordered 1 CD for $1,234.50"])


class DrawingTests(SimpleTestCase):
    def test_the_scale_of_a_chart_has_round_numbers(self):
        chart = bars.of_months([Month(DAY, 1, 1, 4_347_210)])
        self.assertEqual([line.text for line in chart.lines], ["$0", "$10k", "$20k", "$30k", "$40k", "$50k"])

    def test_the_tallest_bar_stays_below_the_top_of_the_scale(self):
        chart = bars.of_months([Month(DAY, 1, 1, cents) for cents in (0, 4_347_210)])
        self.assertGreaterEqual(chart.bars[1].y, bars.TOP)

    def test_a_calendar_shows_the_days_without_sales_too(self):
        sold = [DailyStatistics(day=date(1997, 3, day), orders=orders) for day, orders in ((1, 0), (4, 9))]
        (year,) = calendars.of_days(sold)
        self.assertEqual([cell.shade for cell in year.cells], [0, 0, 0, 4])

    def test_a_calendar_of_cancelled_orders_only_is_pale(self):
        (year,) = calendars.of_days([DailyStatistics(day=DAY)])
        self.assertEqual([cell.shade for cell in year.cells], [0])

    def test_a_cover_is_always_the_same(self):
        self.assertEqual(covers.draw("night-ferry"), covers.draw("night-ferry"))
