"""The statistics: customers, days, totals, pages, reports."""

import json
from dataclasses import astuple
from datetime import date

from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from heliograph import receiver
from heliograph.audit import history
from heliograph.recipes.webhooks.models import Endpoint, Message
from heliograph.signals import request_finished, template_rendered
from heliograph.testing import OutboxTests
from standardwebhooks import Webhook

from analytics import received, reports
from analytics.models import CustomerStatistics, DailyStatistics, PageViews, Report
from analytics.months import Month, months
from analytics.receivers import make_report
from analytics.signals import night_fell
from analytics.totals import totals
from bookstore import services
from bookstore.models import Book
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


class ReportTests(OutboxTests, TestCase):
    @classmethod
    def setUpTestData(cls):
        customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=JANUARY)
        place_order(customer, JANUARY, [Line(Product.objects.first(), 1000)])

    def sold(self) -> list[tuple[int, ...]]:
        return list(Report.objects.values_list("orders", "purchases", "cents"))

    def test_a_worker_makes_the_report_of_a_day_after_its_night_has_fallen(self):
        call_command("nightly", JANUARY.isoformat())
        self.signals.assert_sent(night_fell, day=JANUARY, times=1)
        self.outbox.assert_enqueued(make_report, day=JANUARY, key="1997-01-31")
        self.assertEqual(self.sold(), [])
        self.outbox.drain()
        self.assertEqual(self.sold(), [(1, 0, 1000)])

    def test_today_is_reported_if_no_day_is_named(self):
        call_command("nightly")
        self.outbox.assert_enqueued(make_report, day=timezone.localdate())

    def test_the_books_of_a_day_count_but_for_purchases_that_were_cancelled(self):
        reader, book = User.objects.create_user("ada"), Book.objects.create(title="One", cents=500, stock=9, received=9)
        services.buy(reader, book, 2)
        services.cancel(services.buy(reader, book))
        reports.make(timezone.localdate())
        self.assertEqual(self.sold(), [(0, 1, 1000)])

    def test_a_night_that_falls_twice_has_one_report_and_one_webhook(self):
        for _ in range(2):
            reports.close([JANUARY])
            self.outbox.drain()
        self.assertEqual(Report.objects.count(), 1)
        self.assertEqual(Message.objects.filter(event="report.made").count(), 1)
        self.assertEqual(history(Report.objects.get()).count(), 1)

    def test_a_report_that_has_changed_is_announced_as_such(self):
        reports.make(JANUARY)
        place_order(Customer.objects.get(), JANUARY, [Line(Product.objects.first(), 500)])
        reports.make(JANUARY)
        self.outbox.drain()
        events = [(one.event, json.loads(one.body)["data"]["cents"]) for one in Message.objects.all()]
        self.assertEqual(events, [("report.made", 1000), ("report.changed", 1500)])

    def test_a_night_that_is_rolled_back_has_no_report(self):
        with transaction.atomic():
            reports.close([JANUARY])
            transaction.set_rollback(True)
        self.outbox.assert_not_enqueued(make_report)

    def test_a_visitor_lets_the_night_fall_and_sees_the_chart(self):
        self.assertContains(self.client.post("/reports/fall/", follow=True), "A worker makes the report of today.")
        reports.close([JANUARY])
        self.outbox.drain()
        self.assertContains(self.client.get("/reports/"), "<title>31 Jan 1997: $10.00</title>")

    def test_the_page_of_reports_is_made_of_these_templates(self):
        names = []

        @receiver(template_rendered)
        def record(sender, template, **kwargs):
            names.append(template.name)

        self.addCleanup(template_rendered.disconnect, record)
        reports.make(JANUARY)
        self.client.get("/reports/")
        self.assertIn("analytics/reports.html", names)
        self.assertIn("backoffice/parts/bars.html", names)


class WebhookTests(TestCase):
    def setUp(self):
        received.LAST.clear()
        received.offer("http://127.0.0.1/reports/webhooks/receive/")

    def post(self, secret: str) -> int:
        body, at = json.dumps({"type": "report.made", "data": {"day": "1997-01-31"}}), timezone.now()
        signature = Webhook(secret).sign("msg_1", at, body)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signature,
        }
        answer = self.client.post("/reports/webhooks/receive/", body, content_type="application/json", headers=headers)
        return answer.status_code

    def test_a_request_with_the_right_signature_is_shown(self):
        self.assertEqual(self.post(Endpoint.objects.get().secret), 204)
        page = self.client.get("/reports/webhooks/")
        self.assertContains(page, "signature verified")
        self.assertContains(page, "1997-01-31")

    def test_a_request_that_somebody_else_has_signed_is_refused(self):
        self.assertEqual(self.post(Endpoint().secret), 400)
        page = self.client.get("/reports/webhooks/")
        self.assertContains(page, "signature refused")
        self.assertNotContains(page, "1997-01-31")

    def test_without_an_endpoint_all_are_refused(self):
        secret = Endpoint.objects.get().secret
        Endpoint.objects.all().delete()
        self.assertEqual(self.post(secret), 400)

    def test_no_request_is_shown_before_one_has_come(self):
        self.assertContains(self.client.get("/reports/webhooks/"), "No request yet.")
