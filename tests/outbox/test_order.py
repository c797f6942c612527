"""The order of deliveries with a key: that of the commits, also where another transaction was numbered first."""

import threading
from contextlib import nullcontext
from functools import partial

import pytest
from django.db import OperationalError, connection, connections, transaction

from heliograph import Durable, OnCommit, Signal
from heliograph.databases import mysql
from heliograph.outbox.manage.operations import redeliver
from heliograph.outbox.models import Delivery
from heliograph.outbox.work.runner import drain, run_one

pytestmark = pytest.mark.django_db(transaction=True)

moved = Signal(name="tests.moved")


@pytest.fixture
def received(connect):
    """Connect a receiver of deliveries by key; what it received is the list."""
    received = []

    def record(signal, name, **kwargs):
        received.append(name)

    connect(moved, record, delivery=Durable(key="account"))
    return received


def send(name, account="a", *, wait_for=None, begun=None):
    """Send in a transaction that is held open after its delivery was written, in a thread of its own."""

    def run():
        def hold():
            if begun is not None:
                begun.set()
            if wait_for is not None:
                assert wait_for.wait(60)

        with transaction.atomic():
            moved.send(sender=None, using="default", name=name, account=account)
            HELD[threading.get_ident()] = hold
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@transaction.atomic
def send_all(accounts):
    for account in accounts:
        moved.send(sender=None, using="default", name=account, account=account)


HELD = {}


@pytest.fixture(autouse=True)
def _held_before_the_commit(monkeypatch):
    """Hold a transaction right before its COMMIT, when all of its statements are done."""
    commit = type(connections["default"])._commit

    def held_commit(self):
        hold = HELD.pop(threading.get_ident(), None)
        if hold is not None:
            hold()
        return commit(self)

    monkeypatch.setattr(type(connections["default"]), "_commit", held_commit)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer, so there is nothing to wait for")
def test_a_delivery_is_not_numbered_before_another_of_its_key_is_committed(received):
    begun, free = threading.Event(), threading.Event()
    first = send("first", begun=begun, wait_for=free)
    assert begun.wait(60)
    second = send("second")
    second.join(0.5)
    assert second.is_alive(), "the second waits for the first, which has written and not committed"
    free.set()
    first.join(60)
    second.join(60)
    drain()
    assert received == ["first", "second"]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_one_of_another_key_waits_for_nobody(received):
    begun, free = threading.Event(), threading.Event()
    first = send("first", begun=begun, wait_for=free)
    assert begun.wait(60)
    second = send("second", account="b")
    second.join(60)
    assert not second.is_alive()
    free.set()
    first.join(60)
    drain()
    assert sorted(received) == ["first", "second"]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_a_transaction_that_fails_at_its_commit_lets_the_next_one_go_on(received):
    def refuse():
        raise OperationalError("no commit")

    @transaction.atomic
    def send_first():
        moved.send(sender=None, using="default", name="first", account="a")
        HELD[threading.get_ident()] = refuse

    with pytest.raises(OperationalError, match="no commit"):
        send_first()
    second = send("second")
    second.join(60)
    assert not second.is_alive()
    drain()
    assert received == ["second"]


@pytest.mark.skipif(connection.vendor != "mysql", reason="only there are the locks those of the session")
def test_a_key_that_stays_locked_leaves_no_other_one_locked(received, monkeypatch):
    monkeypatch.setattr(mysql, "SECONDS_LOCKED", 0)
    begun, free = threading.Event(), threading.Event()
    holder = send("first", account="a", begun=begun, wait_for=free)
    assert begun.wait(60)
    with pytest.raises(OperationalError, match="were not free"):
        send_all("abcdefgh")
    others = [send(account, account=account) for account in "bcdefgh"]
    free.set()
    for thread in (holder, *others):
        thread.join(60)
    drain()
    assert sorted(received) == sorted([*"bcdefgh", "first"])


def test_several_keys_of_a_transaction_are_written_together(received):
    with transaction.atomic():
        for name, account in [("1", "b"), ("2", "a"), ("3", "b"), ("4", None)]:
            moved.send(sender=None, using="default", name=name, account=account)
    assert Delivery.objects.count() == 4
    drain()
    assert [name for name in received if name in ("1", "3")] == ["1", "3"]


def test_what_is_done_after_a_commit_keeps_no_key_locked(received, connect):
    others = []

    def send_another(signal, name, **kwargs):
        if name == "first":
            others.append(send("second"))
            others[0].join(60)

    connect(moved, send_another, delivery=OnCommit())
    with transaction.atomic():
        moved.send(sender=None, using="default", name="first", account="a")
    assert not others[0].is_alive()
    drain()
    assert received == ["first", "second"]


# --- one at a time ------------------------------------------------------------------------------------------------


class Gate:
    """A receiver that records each call, and waits in those that are to wait until it may go on."""

    def __init__(self):
        self.received, self.waiting = [], set()
        self.has_begun, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, signal, name, **kwargs):
        self.received.append(name)
        if name in self.waiting:
            self.has_begun.set()
            assert self.may_go_on.wait(60)


@pytest.fixture
def gate(connect):
    gate = Gate()

    def record(**kwargs):
        gate(**kwargs)

    connect(moved, record, delivery=Durable(key="account"))
    yield gate
    gate.may_go_on.set()


def start(function, *, before_the_commit_of_a_claim=None):
    """Call a function in a thread, whose claims are held for some time when they are made and not committed."""

    def hold(execute, sql, *arguments):
        with transaction.atomic() if "SET state = 'RUNNING'" in sql else nullcontext():
            result = execute(sql, *arguments)
            if "SET state = 'RUNNING'" in sql:
                before_the_commit_of_a_claim()
        return result

    def run():
        with connection.execute_wrapper(hold) if before_the_commit_of_a_claim else nullcontext():
            function()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def make_one(name):
    """Claim the delivery with this name and no other, as the worker of external workers does."""
    run_one(Delivery.objects.get(payload__contains=f'"{name}"').pk)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer: claims are made one after the other")
@pytest.mark.parametrize("claim", [drain, partial(make_one, "second")], ids=["worker", "external"])
def test_one_that_is_redelivered_while_the_next_of_its_key_is_claimed_does_not_run_beside_it(gate, claim):
    """A claim does not see another one that is not committed."""
    send_all_named("first", "second")
    drain(limit=1)
    gate.waiting.add("first")
    is_claimed, free = threading.Event(), threading.Event()

    def hold():
        is_claimed.set()
        assert free.wait(60)

    slow = start(claim, before_the_commit_of_a_claim=hold)
    assert is_claimed.wait(60)
    assert redeliver(Delivery.objects.all()) == 1
    other = start(drain)
    assert gate.has_begun.wait(60)
    free.set()
    slow.join(60)
    assert gate.received == ["first", "first"], "the second waits for the first, which runs"
    assert list(Delivery.objects.order_by("pk").values_list("state", "attempts")) == [("RUNNING", 1), ("READY", 0)]
    gate.may_go_on.set()
    other.join(60)
    assert gate.received == ["first", "first", "second"]


def send_all_named(*names):
    for name in names:
        moved.send(sender=None, using="default", name=name, account="a")
