"""Tests of the common parts of the applications: the index, the flow of an action, the times of requests."""

from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import SimpleTestCase, TestCase
from heliograph import trace
from heliograph.signals import got_request_exception, request_started

from pages.applications import APPLICATIONS
from pages.flow import MOST, Branch, branches
from pages.receivers import stop_clock
from pages.timing import TIMES, Times


class IndexTests(TestCase):
    def test_it_names_every_application_and_leads_to_its_receivers(self):
        index = self.client.get("/applications/")
        for one in APPLICATIONS:
            with self.subTest(one.title):
                self.assertContains(index, f"/applications/{one.name}/receivers/")
                self.assertContains(self.client.get(f"/applications/{one.name}/receivers/"), "from heliograph")

    def test_it_leads_to_the_story_of_each_action(self):
        index = self.client.get("/applications/")
        for one in APPLICATIONS:
            with self.subTest(one.title):
                self.assertContains(index, f"/applications/{one.name}/actions/")
                page = self.client.get(f"/applications/{one.name}/actions/")
                self.assertContains(page, "from what is connected; nothing was run.", len(one.actions))

    def test_each_page_of_an_application_leads_to_its_stories(self):
        self.assertContains(self.client.get("/books/authors/"), "/applications/bookstore/actions/")
        self.assertNotContains(self.client.get("/applications/"), "what-happens")

    def test_the_story_of_a_review_has_what_the_bookstore_has_declared(self):
        page = self.client.get("/applications/bookstore/actions/")
        for declared in ("keep(bookstore.Book.rating", "audit(bookstore.Review)", "mail(bookstore.Review"):
            with self.subTest(declared):
                self.assertContains(page, declared)

    def test_an_application_that_is_not_there_is_not_found(self):
        for path in ("auth/receivers/", "auth/actions/", "auth/history/user/1/", "store/history/nothing/1/"):
            with self.subTest(path):
                self.assertEqual(self.client.get(f"/applications/{path}").status_code, 404)

    def test_the_receivers_of_an_application_fit_on_a_page(self):
        for one in APPLICATIONS:
            for path in one.sources:
                with self.subTest(path):
                    self.assertLess(len(path.read_text().splitlines()), 105)

    def test_mails_are_shown_to_whoever_is_signed_in(self):
        self.assertRedirects(self.client.get("/applications/mails/"), "/people/enter/?next=/applications/mails/")
        self.client.force_login(User.objects.create_user("ada"))
        self.assertContains(self.client.get("/applications/mails/"), "No mail yet")


def below(branch) -> list[Branch]:
    return [one for child in branch["below"] for one in (child, *below(child))]


class FlowTests(TestCase):
    def test_it_has_the_saves_signals_and_receivers_each_below_its_cause(self):
        with trace() as flow:
            User.objects.create_user("ada", "ada@example.com")
        (save,) = branches(flow)
        caused = {one["text"]: one for one in below(save)}
        self.assertEqual((save["kind"], save["text"]), ("save", "save User"))
        self.assertEqual(caused["mail(auth.User, onboarding/welcome)"]["when"], "in a worker")
        self.assertEqual(caused["onboarding.receivers.log_registration"]["below"][0]["text"], "save Activity")

    def test_a_flow_that_is_too_long_says_that_it_is_cut(self):
        with trace() as flow:
            for number in range(MOST):
                User.objects.create(username=f"reader{number}")
        self.assertEqual(branches(flow)[-1]["aside"], f"only the first {MOST} are shown")


class TimesTests(SimpleTestCase):
    def test_they_have_a_median_and_what_is_slow(self):
        times = Times()
        for hundredth in range(1, 101):
            times.add(hundredth / 100)
        self.assertEqual((round(times.median, 1), round(times.slow, 2)), (0.5, 0.96))

    def test_before_the_second_request_there_is_none(self):
        self.assertEqual((Times().median, Times().slow), (0, 0))

    def test_a_request_is_timed_and_its_exception_counted(self):
        before, failed = TIMES.count, TIMES.exceptions
        request_started.send(sender=WSGIHandler)
        got_request_exception.send(sender=None)
        stop_clock(sender=WSGIHandler)  # request_finished would close the connection of the test
        self.assertEqual((TIMES.count, TIMES.exceptions), (before + 1, failed + 1))


class ConnectionTests(TestCase):
    def test_each_connection_is_set_up(self):
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                self.assertEqual(cursor.execute("PRAGMA temp_store").fetchone(), (2,))
