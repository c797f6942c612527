"""Leases: for how long a worker has what it has claimed, and what it does when it has lost that."""

import ctypes
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from django.utils import timezone

from heliograph import Durable, Retry, Signal, fixed
from heliograph.outbox.durable import registry
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.work.claiming import claim, lost_workers, renew_leases
from heliograph.outbox.work.lease_renewal import LeaseRenewal
from heliograph.outbox.work.runner import Runner, drain, run_one
from tests.helpers.deliveries import ago, deliver, states
from tests.helpers.sessions import end_own, has_sessions
from tests.helpers.waiting import LONG, until

pytestmark = pytest.mark.django_db(transaction=True)

sent = Signal(name="shop.leased")

# What a worker that stands still in a test gets over with, in seconds.
SHORT = 0.3


@pytest.fixture
def short(settings):
    """Let leases be over soon."""
    settings.HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(seconds=SHORT)}}


@pytest.fixture
def calls(connect):
    """Connect a durable receiver: the list has the numbers that it was called with, and first what it is to do."""

    def connect_one(action=None, **options):
        calls = []

        def record(sender, number, **payload):
            calls.append(number)
            if action is not None:
                action(number)

        connect(sent, record, delivery=Durable(**{"retry": Retry(backoff=fixed(0), jitter=0), **options}))
        return calls

    return connect_one


def send(*numbers):
    for number in numbers:
        sent.send(sender=None, using="default", number=number)


def claiming(count):
    """Return a runner that claims so many at once, and whose leases nobody renews."""
    runner = Runner("default")
    runner.size = count
    return runner


# --- a worker that stood still ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short")
def test_what_a_worker_claimed_longer_ago_than_its_lease_is_dropped(calls):
    received = calls(atomic=False)
    send(1, 2, 3)
    outcomes = claiming(3).outcomes()
    next(outcomes)  # and then it stands still
    until(lambda: rescue("default"))
    drain()
    assert (list(outcomes), sorted(received)) == ([], [1, 2, 3])


@pytest.mark.usefixtures("short")
def test_what_is_dropped_while_nobody_has_rescued_it_is_given_back(calls):
    received = calls(atomic=False)
    send(1, 2, 3)
    outcomes = claiming(3).outcomes()
    next(outcomes)
    until(lambda: lost_workers("default"))
    assert (list(outcomes), received) == ([], [1])
    assert states() == [State.SUCCESSFUL, State.READY, State.READY]
    assert set(Delivery.objects.filter(state=State.READY).values_list("attempts", "worker")) == {(0, "")}


def test_a_worker_that_has_lost_a_delivery_drops_the_others(calls):
    """Its lease may be a new one, as that of a machine that was asleep and has renewed it first."""

    def lose(number):
        if number == 1:
            Delivery.objects.filter(state=State.RUNNING).update(worker="another one")

    received = calls(lose, atomic=False)
    send(1, 2, 3)
    runner = claiming(3)
    assert (list(runner.outcomes()), received) == ([None], [1])
    assert states() == [State.RUNNING] * 3


def test_what_it_has_still_is_given_back_then(calls):
    def lose(number):
        Delivery.objects.filter(pk=first).update(worker="another one")

    received = calls(lose, atomic=False)
    send(1, 2)
    first = Delivery.objects.order_by("pk").first().pk
    assert (list(claiming(2).outcomes()), received) == ([None], [1])
    assert states() == [State.RUNNING, State.READY]


# --- renewing -----------------------------------------------------------------------------------------------------

_CLOCK = {"postgresql": "SELECT clock_timestamp()", "mysql": "SELECT UTC_TIMESTAMP(6)"}
_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
    f" WHERE NOT granted AND relname = '{Delivery._meta.db_table}'",
    "mysql": "SELECT count(*) FROM information_schema.processlist"
    " WHERE db = database() AND state = 'Waiting for table metadata lock'",
}
_LOCKING = {
    "postgresql": ["LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", "LOCK TABLE {} IN SHARE MODE"],
    "mysql": ["LOCK TABLES {} WRITE", "LOCK TABLES {} READ"],
    "sqlite": [],
}


@contextmanager
def table_locked(statement):
    """Lock the table for the time of the block, as a migration or a new index does."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(Delivery._meta.db_table))
        try:
            yield
        finally:
            if connection.vendor == "mysql":
                cursor.execute("UNLOCK TABLES")


def asked(query):
    with connection.cursor() as cursor:
        cursor.execute(query)
        (answer,) = cursor.fetchone()
    if isinstance(answer, datetime) and answer.tzinfo is None:
        return answer.replace(tzinfo=UTC)
    return answer


def beside(function):
    """Call a function in a thread of its own."""

    def run():
        function()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def lease_written_while_locked(function, statement):
    """Call what writes a lease while the table is locked; return when the lock ended, and when the lease ends."""
    with table_locked(statement):
        thread = beside(function)
        until(lambda: asked(_WAITING[connection.vendor]))
        unlocked = asked(_CLOCK[connection.vendor])
    thread.join(LONG)
    (end,) = Delivery.objects.values_list("leased_until", flat=True)
    return unlocked, end


@has_sessions
@pytest.mark.parametrize("statement", _LOCKING[connection.vendor])
def test_a_renewal_that_waited_for_the_table_is_a_whole_lease(statement):
    deliver(State.RUNNING, worker="one", leased_until=ago(10))
    unlocked, end = lease_written_while_locked(partial(renew_leases, "default", ["one"]), statement)
    assert end >= unlocked + timedelta(seconds=60)


@has_sessions
@pytest.mark.parametrize("statement", _LOCKING[connection.vendor])
def test_a_claim_that_waited_for_the_table_is_a_whole_lease(calls, statement):
    calls()
    send(1)
    unlocked, end = lease_written_while_locked(lambda: claim("default", "one", registry.known()), statement)
    assert end >= unlocked + timedelta(seconds=60)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_delivery_whose_outcome_is_not_committed_does_not_keep_the_other_leases_from_being_renewed():
    """Its transaction may be long: receivers with BeforeCommit() run after the outcome is written."""
    recorded = deliver(State.RUNNING, worker="one", leased_until=ago(10))
    other = deliver(State.RUNNING, worker="two", leased_until=ago(10))
    with transaction.atomic():
        Delivery.objects.filter(pk=recorded.pk).update(state=State.SUCCESSFUL)
        beside(partial(renew_leases, "default", ["one", "two"])).join(LONG)
        other.refresh_from_db()
    assert other.leased_until > timezone.now()


@pytest.mark.usefixtures("short")
def test_a_call_that_holds_the_gil_for_longer_than_a_lease_is_warned_of(caplog):
    with LeaseRenewal().renewing("default", "one"):
        ctypes.PyDLL(None).usleep(int(3 * SHORT * 1_000_000))  # no thread of Python runs meanwhile
        until(lambda: caplog.messages)
    assert re.fullmatch(
        r"The process stood still for \d\.\d s, longer than its leases of 0\.3 s: others may make again what it had\."
        r" It was stopped, or a call into C code has held the GIL: set LEASE of HELIOGRAPH_OUTBOX to more\.",
        caplog.messages[0],
    )


def test_a_renewal_without_a_worker_closes_its_connection(settings):
    """A test database is not destroyed while somebody is connected to it, and a lease may be long."""
    settings.HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(hours=1)}}
    renewal, opened = LeaseRenewal(), []

    def record(sender, connection, **kwargs):
        if threading.current_thread().name == "heliograph-leases":
            opened.append(connection)

    def renew():
        """Wake it as if it were time to renew, and return what it has opened."""
        with renewal._changed:
            if not opened:
                renewal._changed.notify()
        return opened

    connection_created.connect(record)
    with renewal.renewing("default", "one"):
        until(renew)
    connection_created.disconnect(record)
    until(lambda: opened[0].connection is None)


# --- recording a success ------------------------------------------------------------------------------------------


@has_sessions
@pytest.mark.usefixtures("fresh_connection")
@pytest.mark.parametrize("make", [drain, lambda: run_one(Delivery.objects.get().pk)], ids=["worker", "external worker"])
def test_a_success_that_could_not_be_recorded_is_recorded_on_a_new_connection(calls, make):
    received = calls(lambda number: end_own(), atomic=False)
    send(1)
    make()
    row = Delivery.objects.get()
    assert (received, row.state, row.attempts, row.failures) == ([1], State.SUCCESSFUL, 1, [])
