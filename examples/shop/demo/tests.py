"""The demonstration: what is replayed, and what is seen of it."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from django.contrib.auth.models import User
from django.core import mail
from django.core.management.base import OutputWrapper
from django.db import transaction
from django.template.loader import render_to_string
from django.test import RequestFactory, SimpleTestCase, TestCase
from heliograph import capture, observe, trace
from heliograph.dispatch import Called
from heliograph.outbox import drain
from heliograph.outbox.models import Delivery, State

from activity.receivers import log_orders
from analytics.models import CustomerStatistics, DailyStatistics
from bookstore.models import Book
from demo import flow, inline, progress, report
from demo.beside import BESIDE
from demo.deliveries import Deliveries, deliveries
from demo.inline import standing_in
from demo.purchases import Purchase, read
from demo.queries import Meter, Queries, Taken, compare, in_all, with_inline_receivers
from demo.recording import Recorder, Recording
from demo.replay import MISTAKE_EVERY, ONE_BY_ONE, Place, replay
from demo.workers import Work, waiting
from store.models import Customer, Inventory, Order, Product
from store.services import place_order
from store.signals import order_placed

WORK = Work(waiting=5, made=2, held=2, seconds=0.5)
CONFIRMED = Deliveries(
    "mailing.receivers.confirm_order", 4, 1, 0, fewest=1, most=2, attempts=6, errors={"LostWorkerError": 1}
)
LINES = [f"00004 0001 199701{day:02}  2   29.33" for day in range(1, 3)]


class PurchaseTests(SimpleTestCase):
    def test_prices_add_up_to_the_value_to_the_cent(self):
        prices = Purchase.parse("00004 0001 19970101  3  29.33").prices()
        self.assertEqual(prices, [978, 978, 977])

    def test_a_line_that_is_no_purchase_is_named(self):
        with TemporaryDirectory() as folder:
            path = Path(folder, "broken.txt")
            path.write_text("00004 0001 19970101 2 29.33\n00004 0001 19970118 2\n")
            with self.assertRaisesMessage(ValueError, "Line 2 of broken.txt is no purchase: '00004 0001 19970118 2'"):
                read(path)


class ReplayTests(TestCase):
    def test_the_recorder_counts_sends_and_runs(self):
        recorder = Recorder()
        with observe(recorder):
            list(replay([Purchase.parse(line) for line in LINES]))
        sends = {sent.signal: sent for sent in recorder.sends()}
        placed = sends["store.signals.order_placed"]
        self.assertEqual(placed.times, 2)
        self.assertIn(("activity.receivers.log_orders", 2), [(runs.receiver, runs.times) for runs in placed.runs])
        self.assertRegex(placed.runs[-1].place, r"^\w+/receivers\.py:\d+$")

    def test_the_flow_shows_an_effect_below_its_cause(self):
        with trace() as traced:
            list(replay([Purchase.parse(LINES[0])]))
        steps = [(step.depth, step.text) for step in flow.steps(traced)]
        at = steps.index((0, "django.db.models.signals.post_save from Order"))
        self.assertRegex(steps[at + 1][1], r"^keep\(analytics\.DailyStatistics\.orders, .*\.\.\.\)$")
        at = steps.index((0, "store.signals.order_placed from Order"))
        self.assertEqual(steps[at + 1], (1, "activity.receivers.log_orders"))

    def test_a_recording_is_kept_as_it_was(self):
        recorder = Recorder()
        with observe(recorder), trace() as traced:
            list(replay([Purchase.parse(LINES[0])]))
        seen = recorder.sends(), flow.steps(traced), (Queries(2, 1, 24, 16),)
        recording = Recording(1, 0.5, *seen, WORK, (CONFIRMED,))
        with TemporaryDirectory() as folder:
            recording.save(Path(folder, "replay.json"))
            self.assertEqual(Recording.load(Path(folder, "replay.json")), recording)

    def test_every_hundredth_purchase_is_placed_again_and_cancelled_and_again_and_refused(self):
        with capture(order_placed) as sent:
            list(replay([Purchase.parse(LINES[0])] * MISTAKE_EVERY))
        self.assertEqual(len(sent), MISTAKE_EVERY + 2)
        self.assertEqual(Order.objects.count(), MISTAKE_EVERY)
        drain(queues=["mail"])
        self.assertEqual(len(mail.outbox), MISTAKE_EVERY)  # the worker came after the cancellation

    def test_purchases_come_one_by_one_and_then_a_week_at_a_time(self):
        monday = "00004 0001 19970106  2   29.33"
        purchases = [Purchase.parse(line) for line in LINES * (ONE_BY_ONE // 2) + [LINES[0]] * 3 + [monday] * 2]
        called: list[object] = []
        with observe(called.append):
            list(replay(purchases))
        times = sum(isinstance(event, Called) and event.receiver is log_orders for event in called)
        cancelled = 1
        self.assertEqual(times, ONE_BY_ONE + 2 + cancelled)

    def test_prices_change_before_the_first_purchase_of_their_day_or_of_a_later_one(self):
        days = ("19970202", "19970203", "19970220")
        replayed = replay([Purchase.parse(f"00004 0001 {day}  2   29.33") for day in days])
        self.assertEqual([self.price() for _ in replayed], [1697, 1497, 1697])

    def price(self) -> int:
        return Product.objects.get(slug="night-ferry").cents

    def test_the_page_of_the_signals_answers_before_the_first_replay(self):
        self.assertContains(self.client.get("/signals/"), "Signals")


class QueriesTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.purchases = [Purchase.parse(f"00004 0001 19970101  {cds}   29.33") for cds in (3, 1, 3)]

    def taken(self, place: Place = place_order) -> list[Taken]:
        meter = Meter(place)
        list(replay(self.purchases, meter.place))
        return meter.taken

    def test_each_item_takes_as_many_queries_as_all_of_them_once_a_transaction(self):
        before = with_inline_receivers(self.purchases)
        self.assertEqual([taken.queries for taken in before], [40, 20, 40])
        self.assertEqual([taken.queries for taken in self.taken()], [15, 13, 13])  # the first makes the row of its day

    def test_orders_of_one_size_are_put_together(self):
        rows = compare(with_inline_receivers(self.purchases), self.taken())
        self.assertEqual(rows, (Queries(1, 1, 20, 13), Queries(3, 2, 80, 28)))
        self.assertEqual(in_all(rows), Queries(7, 3, 100, 41))

    def test_the_page_and_the_report_have_a_row_for_each_size_and_one_for_all(self):
        recording = Recording(3, 0.5, (), (), (Queries(1, 1, 14, 14), Queries(3, 2, 68, 36)), WORK, (CONFIRMED,))
        self.assertEqual(
            [line.split()[-3:] for line in report.queries(recording)][1:],
            [["1", "14.0", "14.0"], ["2", "34.0", "18.0"], ["3", "27.3", "16.7"]],
        )
        page = render_to_string("demo/signals.html", {"recording": recording}, RequestFactory().get("/signals/"))
        row = '<td class="number">3</td><td class="number">27.3</td><td class="number">16.7</td>'
        self.assertInHTML(f'<tr><th scope="row">7 in all</th>{row}{self.share("61.0%")}</tr>', page)

    def share(self, percent: str) -> str:
        return f'<td class="wide share"><span class="meter" style="--share: {percent}"></span></td>'

    def test_inline_receivers_keep_the_statistics_as_those_of_the_shop_do(self):
        with transaction.atomic(), standing_in():
            self.taken(inline.place_order)
            kept = self.statistics()
            transaction.set_rollback(True)
        self.taken()
        self.assertEqual(self.statistics(), kept)

    def statistics(self) -> list[object]:
        kept = [CustomerStatistics.objects.values("orders", "cds", "cents", "first", "last")]
        kept += [DailyStatistics.objects.values("orders", "cds", "cents")]
        kept += [Inventory.objects.order_by("pk").values("sold", "coming")]
        return [list(rows) for rows in kept]

    def test_nothing_stays_of_a_measurement(self):
        with_inline_receivers(self.purchases)
        self.assertEqual((Customer.objects.count(), DailyStatistics.objects.count(), waiting()), (0, 0, 0))
        self.taken()
        self.assertEqual(waiting(), 3)


class DeliveriesTests(TestCase):
    def test_they_are_counted_by_their_receiver_and_what_became_of_them(self):
        list(replay([Purchase.parse(line) for line in LINES]))
        Order.objects.last().delete()
        drain()
        name = "mailing.receivers.confirm_order"
        self.assertEqual(deliveries(), (Deliveries(name, 1, 1, 0, fewest=1, most=1, attempts=2, errors={}),))

    def test_the_report_has_a_line_for_each_receiver_and_one_for_the_worker_that_was_killed(self):
        _, of_receiver, killed = report.deliveries(Recording(5, 0.5, (), (), (), WORK, (CONFIRMED,)))
        self.assertEqual(
            of_receiver.split(),
            ["mailing.receivers.confirm_order", "4", "1", "0", "6", "1", "to", "2", "1", "LostWorkerError"],
        )
        self.assertTrue(killed.endswith("a worker, after 2 of 5 and with 2 in its hands"), killed)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(SimpleTestCase):
    def test_a_terminal_shows_a_bar(self):
        out = Terminal()
        list(progress.track(range(4), 4, "purchases", OutputWrapper(out)))
        self.assertEqual(out.getvalue().split("\r")[2], f"  {'█' * 20}{'░' * 20}  50%  2 of 4 purchases")

    def test_a_file_gets_a_line_for_every_tenth(self):
        out = io.StringIO()
        list(progress.track(range(1000), 1000, "deliveries", OutputWrapper(out)))
        self.assertEqual(len(out.getvalue().splitlines()), 10)


class WorkerTests(TestCase):
    def test_the_worker_is_offered_only_while_the_demonstration_serves_its_pages(self):
        self.assertNotContains(self.client.get("/applications/"), "Kill the worker")
        self.assertRedirects(self.client.post("/signals/worker/", {"action": "start the worker"}), "/applications/")
        self.assertFalse(BESIDE.is_running)


class VisitorTests(TestCase):
    def test_a_visitor_sees_a_book_in_the_admin_and_cannot_explain_its_save(self):
        page = f"/admin/bookstore/book/{Book.objects.create(title='One', cents=100).pk}/"
        self.client.get("/signals/deliveries/")
        self.assertNotContains(self.client.get(f"{page}change/"), "Explain this save")
        self.assertEqual(self.client.post(f"{page}explain/").status_code, 403)

    def test_a_superuser_has_a_button_that_explains_the_save_of_a_book(self):
        page = f"/admin/bookstore/book/{Book.objects.create(title='One', cents=100).pk}/change/"
        self.client.force_login(User.objects.create_superuser("ada"))
        self.assertContains(self.client.get(page), "Explain this save")

    def test_a_link_shows_the_deliveries_to_a_visitor_without_a_password(self):
        list(replay([Purchase.parse(LINES[0])]))
        page = self.client.get("/signals/deliveries/", follow=True)
        self.assertEqual(page.redirect_chain, [("/admin/heliograph_outbox/delivery/", 302)])
        self.assertContains(page, "confirm_order")

    def test_who_may_look_at_deliveries_and_change_nothing(self):
        list(replay([Purchase.parse(LINES[0])]))
        self.client.get("/signals/deliveries/")
        delivery = Delivery.objects.get(receiver="mailing.receivers.confirm_order")
        chosen = {"action": "discard", "_selected_action": [delivery.pk]}
        page = self.client.post("/admin/heliograph_outbox/delivery/", chosen)
        self.assertNotContains(page, 'value="discard"')
        delivery.refresh_from_db()
        self.assertEqual(delivery.state, State.READY)
        self.assertEqual(self.client.get("/admin/auth/user/").status_code, 403)

    def test_another_link_shows_them_the_audit_log(self):
        page = self.client.get("/signals/changes/", follow=True)
        self.assertEqual(page.redirect_chain, [("/admin/heliograph_audit/entry/", 302)])
        self.assertEqual(page.status_code, 200)

    def test_somebody_who_is_signed_in_stays_so(self):
        self.client.force_login(User.objects.create_superuser("ada"))
        self.client.get("/signals/deliveries/")
        self.assertEqual(self.client.get("/admin/auth/user/").status_code, 200)
