"""The verbs in each kind of test: of Django, of pytest, of unittest alone; sync and async."""

import unittest
from urllib.request import urlopen

import factory
import pytest
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.test import LiveServerTestCase, TestCase, TransactionTestCase, override_settings
from django.urls import path
from factory.django import DjangoModelFactory, mute_signals

from heliograph.testing import OutboxTests, SignalTests
from tests.app.models import Genre
from tests.testing.every_verb import renamed, use_every_verb, use_every_verb_in_async_code


def create_genre(request):
    renamed.send(Genre, genre=Genre.objects.create(name="live"))
    return HttpResponse()


urlpatterns = [path("genres/", create_genre)]


class GenreFactory(DjangoModelFactory):
    class Meta:
        model = Genre

    name = factory.Sequence(lambda number: f"genre {number}")


@mute_signals(post_save)
class QuietGenreFactory(GenreFactory):
    """A factory as projects have it."""


# --- of Django --------------------------------------------------------------------------------------------------


class InATestCase(OutboxTests, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.genre = Genre.objects.create()

    def test_k1_every_verb(self):
        use_every_verb(self.signals, self.outbox)

    async def test_k1_every_verb_in_async_code(self):
        await use_every_verb_in_async_code(self.signals, self.outbox)

    def test_what_is_sent_before_the_test_is_not_its_own(self):
        self.signals.assert_not_sent(post_save)


class InATransactionTestCase(OutboxTests, TransactionTestCase):
    def test_k1_every_verb(self):
        use_every_verb(self.signals, self.outbox)
        self.outbox.wait_for_workers()

    async def test_k1_every_verb_in_async_code(self):
        await use_every_verb_in_async_code(self.signals, self.outbox)


@override_settings(ROOT_URLCONF=__name__)
class InALiveServerTestCase(OutboxTests, LiveServerTestCase):
    def test_k1_every_verb(self):
        use_every_verb(self.signals, self.outbox)

    def test_k1_what_the_server_sends_is_kept(self):
        with urlopen(f"{self.live_server_url}/genres/") as answer:
            assert answer.status == 200

        self.signals.assert_sent(renamed, genre=Genre.objects.get(name="live"))


class BehindTheTestCase(TestCase, OutboxTests):
    def test_the_order_of_the_bases_does_not_matter(self):
        use_every_verb(self.signals, self.outbox)


class WithASetUpOfItsOwn(OutboxTests, TestCase):
    def setUp(self):
        Genre.objects.create()

    def test_what_set_up_sends_is_kept(self):
        self.signals.assert_sent(post_save, sender=Genre)


# --- of unittest ------------------------------------------------------------------------------------------------


def result_of(case, name):
    result = unittest.TestResult()
    case(name).run(result)
    return result.testsRun, [text for _, text in (*result.errors, *result.failures)]


def test_k1_a_test_case_of_unittest_alone():
    class Alone(SignalTests):
        def test_a_send(self):
            renamed.send(Genre, genre=1)
            self.signals.assert_sent(renamed, genre=1)

        def test_nothing_is_left_of_another_test(self):
            self.signals.assert_not_sent(renamed)

    assert result_of(Alone, "test_a_send") == (1, [])
    assert result_of(Alone, "test_nothing_is_left_of_another_test") == (1, [])


def test_k1_an_async_test_case_of_unittest():
    class Alone(SignalTests, unittest.IsolatedAsyncioTestCase):
        async def test_a_send(self):
            await renamed.asend(Genre, genre=1)
            self.signals.assert_sent(renamed, genre=1)

    assert result_of(Alone, "test_a_send") == (1, [])


def test_k1_a_test_that_runs_without_a_result_has_the_verbs():
    class Alone(OutboxTests):
        def test_a_send(self):
            renamed.send(Genre, genre=1)
            self.signals.assert_sent(renamed, genre=1)
            assert self.outbox.using == "default"

    Alone("test_a_send").debug()


def test_a_failed_assertion_is_a_failure_and_no_error():
    class Alone(SignalTests):
        def test_a_send(self):
            self.signals.assert_sent(renamed)

    _, [text] = result_of(Alone, "test_a_send")
    assert "AssertionError: shop.renamed was not sent." in text


# --- of pytest --------------------------------------------------------------------------------------------------


def test_k1_every_verb_in_pytest(signals, outbox, db):
    use_every_verb(signals, outbox)


def test_k1_every_verb_in_pytest_with_transactions(signals, outbox, transactional_db):
    use_every_verb(signals, outbox)


async def test_k1_every_verb_in_async_pytest(signals, outbox, async_database):
    await use_every_verb_in_async_code(signals, outbox)


@pytest.mark.django_db
@override_settings(HELIOGRAPH={"COMMIT_IN_TESTS": False})
def test_calls_wait_for_the_callbacks_of_a_test_without_commits(signals, connect, django_capture_on_commit_callbacks):
    from heliograph import OnCommit

    def index(**kwargs): ...

    connect(post_save, index, sender=Genre, delivery=OnCommit())
    with django_capture_on_commit_callbacks(execute=True):
        Genre.objects.create()
        signals.assert_not_called(index)
    signals.assert_called(index)


# --- with factory_boy -------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_k1_what_a_factory_saves_is_kept(signals, listen):
    listen(post_save, sender=Genre)
    genre = GenreFactory()

    signals.assert_sent(post_save, instance=genre, created=True)


@pytest.mark.django_db
def test_k1_a_receiver_under_mute_signals_is_not_called(signals, connect):
    def index(**kwargs): ...

    connect(post_save, index, sender=Genre)
    genre = QuietGenreFactory()

    signals.assert_sent(post_save, instance=genre)
    signals.assert_not_called(index)
    GenreFactory()
    signals.assert_called(index, times=1)
