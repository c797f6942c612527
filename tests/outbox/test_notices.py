"""The notices that wake workers on PostgreSQL: after the commit, from time to time, and in nobody's way."""

import logging
import time

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext, override_settings

from heliograph import Durable, OnCommit, Signal
from heliograph.databases import database_of
from heliograph.outbox import worker
from heliograph.outbox.manage.operations import redeliver
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.notify import notices
from heliograph.outbox.work import waking
from tests.helpers.deliveries import deliver

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has notices"),
]

LONG = 60  # seconds

recorded = Signal(name="tests.recorded")


@pytest.fixture(autouse=True)
def _no_notice_yet(monkeypatch):
    monkeypatch.setattr(notices, "_next", {})


@pytest.fixture(autouse=True)
def _receivers(connect):
    connect(recorded, listen, delivery=Durable(queue="mail"))


def listen(signal, **kwargs):
    """Receive a send."""


def send():
    recorded.send(sender=None, using="default")


@pytest.fixture
def listener():
    """A connection of its own that listens, with what it was notified of."""
    listener = Listener(connections["default"].copy())
    yield listener
    listener.connection.close()


class Listener:
    def __init__(self, connection):
        self.connection = connection
        with connection.cursor() as cursor:
            cursor.execute("LISTEN heliograph_outbox")

    def queues(self):
        """Return the queues of the notices so far, now that one of our own has come after them."""
        with self.connection.cursor() as cursor:
            cursor.execute("NOTIFY heliograph_outbox, 'the last one'")
        payloads = []
        for notice in self.connection.connection.notifies(timeout=LONG):
            if notice.payload == "the last one":
                break
            payloads.append(notice.payload)
        return payloads


# --- when ---------------------------------------------------------------------------------------------------------


def test_a_commit_is_followed_by_a_notice_with_the_queue(listener):
    send()
    assert listener.queues() == ["mail"]


def test_no_transaction_that_writes_a_delivery_notifies(listener):
    with CaptureQueriesContext(connections["default"]) as queries, transaction.atomic():
        send()
    assert Delivery.objects.count() == 1
    assert not [query["sql"] for query in queries if "notify" in query["sql"].lower()]


def test_a_notice_is_no_query_of_the_sender(listener, django_assert_num_queries):
    for _ in range(2):  # with a notice, and without one so soon afterwards
        with django_assert_num_queries(3):  # BEGIN, INSERT, COMMIT
            send()
    assert listener.queues() == ["mail"]


def test_a_rollback_is_followed_by_none(listener):
    with transaction.atomic():
        send()
        transaction.set_rollback(True)
    assert listener.queues() == []


def test_the_notice_comes_before_whatever_else_waits_for_the_commit(listener, connect):
    before = []
    connect(recorded, lambda **kwargs: before.append(listener.queues()), delivery=OnCommit(), weak=False)
    with transaction.atomic():
        transaction.on_commit(lambda: before.append("a callback"))
        send()
    assert before == [["mail"], "a callback"]


@pytest.mark.django_db(transaction=False)
def test_a_test_in_a_transaction_notifies_nobody(listener):
    send()
    assert Delivery.objects.count() == 1
    assert listener.queues() == []


def test_what_is_redelivered_is_notified_of_after_the_commit(listener):
    deliver(State.DEAD)
    with transaction.atomic():
        redeliver(Delivery.objects.all())
        assert listener.queues() == []
    assert listener.queues() == ["mail"]


# --- how often ----------------------------------------------------------------------------------------------------


def test_a_process_sends_one_notice_for_many_commits_in_a_row(listener, monkeypatch):
    monkeypatch.setattr(notices, "_LONGEST_PAUSE", LONG)
    monkeypatch.setattr(notices, "_SHARE", 1e9)
    for _ in range(20):
        send()
    assert listener.queues() == ["mail"]


def test_each_queue_has_its_own_notice(listener, connect):
    connect(recorded, receive_too, delivery=Durable(queue="reports"))
    send()
    assert sorted(listener.queues()) == ["mail", "reports"]


def receive_too(signal, **kwargs):
    """Receive another send."""


def test_notices_take_a_small_part_of_the_time_of_a_sender(monkeypatch):
    database, seconds = type(database_of(connection)), []
    execute = database.notify

    def timed(*args):
        began = time.monotonic()
        execute(*args)
        seconds.append(time.monotonic() - began)

    monkeypatch.setattr(database, "notify", timed)
    monkeypatch.setattr(notices, "_LONGEST_PAUSE", LONG)
    began = time.monotonic()
    for _ in range(200):
        send()
    # The first comes at once, and the last is not followed by its pause.
    assert sum(seconds[1:-1]) * notices._SHARE <= time.monotonic() - began


@override_settings(HELIOGRAPH_OUTBOX={"default": {"OPTIONS": {"NOTICES": False}}})
def test_an_option_turns_notices_off(listener):
    send()
    deliver(State.DEAD)
    redeliver(Delivery.objects.all())
    assert listener.queues() == []


# --- what may go wrong --------------------------------------------------------------------------------------------


def test_a_connection_that_is_lost_after_the_commit_loses_a_notice_and_nothing_else(monkeypatch, caplog):
    kind = type(connections["default"])
    commit = kind._commit

    def commit_and_lose(self):
        commit(self)
        other = self.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [self.connection.info.backend_pid])
        other.close()

    with monkeypatch.context() as context, caplog.at_level(logging.WARNING, "heliograph.outbox"):
        context.setattr(kind, "_commit", commit_and_lose)
        send()
    connections["default"].close()
    assert Delivery.objects.count() == 1
    assert "The backend 'default' could not be notified of 1 delivery of the queue 'mail'" in caplog.text


def test_a_worker_that_was_woken_looks_again_soon_though_another_one_had_it(monkeypatch):
    monkeypatch.setattr(waking, "LONGEST", LONG)
    waker = waking.Listening("default", worker.threading.Event())
    waker._is_listening = True
    mark = waker.mark()
    waker.wake()
    assert waker.wait(mark, idle=20)
    assert not waker.wait(waker.mark(), idle=0)
