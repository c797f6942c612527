"""The locks of keys: few, always in one order, and the last that a transaction waits for."""

import random
import threading
from contextlib import contextmanager
from operator import attrgetter

import pytest
from django.db import IntegrityError, connection, connections, transaction

from heliograph import Durable, Signal
from heliograph.databases import database_of
from heliograph.outbox import delivery_rows
from heliograph.outbox.models import Delivery
from heliograph.outbox.send import key_locks
from tests.app.models import Novel, Review
from tests.helpers.sessions import own_number, waiting_numbers

pytestmark = pytest.mark.django_db(transaction=True)
of_servers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer, who waits for nobody")
of_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL defers foreign keys")

LONG = 60  # seconds

moved = Signal(name="tests.moved")


@pytest.fixture(autouse=True)
def _receiver(connect):
    connect(moved, record, delivery=Durable(key="account"))


def record(signal, name, **kwargs):
    """Receive a move."""


@pytest.fixture
def novel():
    return Novel.objects.create(name="Emma")


def send(name, account):
    moved.send(sender=None, using="default", name=name, account=account)


class Sender(threading.Thread):
    """A transaction in a thread of its own, and what it raised."""

    def __init__(self, function):
        super().__init__()
        self.function, self.error = function, None

    def run(self):
        try:
            self.function()
        except Exception as error:
            self.error = error
        finally:
            connections.close_all()


@contextmanager
def running(*functions):
    """Run these at once, and raise what one of them has raised."""
    senders = [Sender(function) for function in functions]
    for sender in senders:
        sender.start()
    yield
    for sender in senders:
        sender.join(LONG)
        assert not sender.is_alive()
    assert [sender.error for sender in senders] == [None] * len(senders)


# --- how many -----------------------------------------------------------------------------------------------------


@transaction.atomic
def send_to_many(count):
    for number in range(count):
        send("opened", f"account {number}")


def test_a_transaction_has_ten_thousand_keys():
    send_to_many(10_000)
    assert Delivery.objects.values("key").distinct().count() == 10_000


@of_postgresql
def test_a_transaction_takes_no_more_locks_than_there_are(monkeypatch):
    kind, held = type(connections["default"]), []
    commit = kind._commit

    def counted_commit(self):
        with self.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            held.append(cursor.fetchone()[0])
        return commit(self)

    monkeypatch.setattr(kind, "_commit", counted_commit)
    monkeypatch.setattr(key_locks, "LOCKS", 8)
    send_to_many(100)
    assert held == [8]


@of_servers
def test_keys_that_share_a_lock_wait_for_each_other_and_are_written(monkeypatch):
    monkeypatch.setattr(key_locks, "LOCKS", 1)

    def send_some():
        for number in range(20):
            send("opened", f"account {number}")

    with running(send_some, send_some, send_some):
        pass
    assert Delivery.objects.count() == 60


# --- in which order -----------------------------------------------------------------------------------------------


@of_servers
def test_transactions_of_several_statements_lock_the_same_keys_in_one_order(monkeypatch):
    monkeypatch.setattr(type(database_of(connection)), "most_parameters", 2 * len(delivery_rows.SENT))
    accounts = [f"account {number}" for number in range(12)]
    begun = threading.Barrier(2, timeout=LONG)

    def send_in(order):
        def send_all():
            for _ in range(10):
                begun.wait()
                with transaction.atomic():
                    for account in order:
                        send("moved", account)

        return send_all

    with running(send_in(accounts), send_in(accounts[::-1])):
        pass
    assert Delivery.objects.count() == 2 * 10 * len(accounts)


# --- after all others ---------------------------------------------------------------------------------------------


@of_servers
def test_who_has_locked_a_row_and_who_refers_to_it_send_with_one_key(novel):
    is_locked, referring = threading.Event(), []

    def lock_and_send():
        with transaction.atomic():
            Novel.objects.select_for_update().get(pk=novel.pk)
            is_locked.set()
            until_waiting(referring)
            send("locked", "a")

    def refer_and_send():
        assert is_locked.wait(LONG)
        with transaction.atomic():
            referring.append(own_number())
            Review.objects.create(novel_id=novel.pk)
            send("referred", "a")

    with running(lock_and_send, refer_and_send):
        pass
    assert [payload_name(one) for one in Delivery.objects.order_by("pk")] == ["locked", "referred"]


def until_waiting(numbers):
    """Return when the connection with this number waits for a lock."""
    pause = threading.Event()
    for _ in range(100 * LONG):
        if numbers and numbers[0] in waiting_numbers():
            return
        pause.wait(0.01)
    raise AssertionError("It does not wait for a lock")


def payload_name(delivery):
    return next(name for name in ("locked", "referred") if name in delivery.payload)


@of_servers
def test_senders_that_lock_rows_refer_to_them_and_share_keys_are_never_deadlocked(novel):
    novels = [novel, *(Novel.objects.create(name=f"Part {number}") for number in range(2))]

    def writes(seed):
        chance = random.Random(seed)

        def write():
            for _ in range(40):
                with transaction.atomic():
                    if chance.random() < 0.5:
                        Novel.objects.select_for_update().get(pk=chance.choice(novels).pk)
                    else:
                        for one in sorted(chance.choices(novels, k=2), key=attrgetter("pk")):  # or rows alone deadlock
                            Review.objects.create(novel=one)
                    for account in chance.choices("abc", k=2):
                        send("moved", account)

        return write

    with running(*map(writes, range(6))):
        pass
    assert Delivery.objects.count() == 6 * 40 * 2


@of_postgresql
def test_a_key_does_not_hide_that_a_row_refers_to_nothing():
    @transaction.atomic
    def refer_to_nothing():
        Review.objects.create(novel_id=0)
        send("referred", "a")

    with pytest.raises(IntegrityError, match="violates foreign key"):
        refer_to_nothing()
    assert not Review.objects.exists()
    assert not Delivery.objects.exists()


@of_postgresql
@pytest.mark.django_db(transaction=False)
def test_a_test_may_refer_to_rows_that_it_makes_later(novel):
    with transaction.atomic():
        send("first", "a")
    Review.objects.create(novel_id=novel.pk + 1)
    Novel.objects.create(pk=novel.pk + 1, name="Later")
    assert Delivery.objects.count() == 1
