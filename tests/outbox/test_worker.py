"""The worker: how it learns of deliveries, shares them among its threads, and ends."""

import logging
import os
import signal
import threading
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.apps import apps
from django.db import connection, connections, models, transaction
from django.utils import timezone

from heliograph import Durable, Retry, Signal, add_observer, fixed, observe
from heliograph.outbox import worker
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.installed_tables import is_migrated
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.upkeep.chores import Chore
from heliograph.outbox.upkeep.loop import Upkeep
from heliograph.outbox.work import runner, waking
from heliograph.outbox.work.lease_renewal import LeaseRenewal
from heliograph.outbox.worker import Worker
from tests.helpers.deliveries import deliver, states
from tests.helpers.sessions import end_others, has_sessions
from tests.helpers.waiting import LONG, until
from tests.helpers.working import working

pytestmark = pytest.mark.django_db(transaction=True)

sent = Signal(name="shop.asked")


def all_are(state, count=1):
    return lambda: states() == [state] * count


def send(*numbers):
    for number in numbers or (0,):
        sent.send(sender=None, using="default", number=number)


@pytest.fixture
def act(connect):
    """Connect a durable receiver that does what a function does."""

    def connect_to(action, **options):
        def record(sender, **payload):
            action(**payload)

        connect(sent, record, delivery=Durable(**{"retry": Retry(attempts=5, backoff=fixed(0)), **options}))
        return action

    return connect_to


class Gate:
    """A receiver that waits until it may go on."""

    def __init__(self):
        self.has_begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def __call__(self, **payload):
        self.has_begun.release()
        assert self.may_go_on.wait(LONG)

    def await_beginning(self):
        assert self.has_begun.acquire(timeout=LONG)


@pytest.fixture
def gate(act):
    gate = act(Gate())
    yield gate
    gate.may_go_on.set()


# --- how it learns of deliveries ----------------------------------------------------------------------------------


def test_what_is_there_when_it_starts_is_made(act):
    numbers = []
    act(lambda number, **payload: numbers.append(number))
    send(1, 2, 3)
    with working():
        until(all_are(State.SUCCESSFUL, 3))
    assert numbers == [1, 2, 3]


def test_a_worker_that_has_nothing_to_do_is_woken_by_a_commit(act, idle, monkeypatch):
    if connection.vendor != "mysql":  # which notifies nobody, so its workers look again and again
        monkeypatch.setattr(waking, "LONGEST", 10 * LONG)
    act(lambda **payload: None)
    with working():
        for _ in range(3):
            assert idle.wait(LONG)
            idle.clear()
            send()
            until(lambda: set(states()) == {State.SUCCESSFUL})


def test_a_worker_that_waits_ends_at_once_when_it_is_stopped(idle, monkeypatch):
    monkeypatch.setattr(waking, "LONGEST", 10 * LONG)
    with working():
        assert idle.wait(LONG)


@pytest.fixture
def idle(monkeypatch):
    """What is set when a worker begins to wait."""
    idle = threading.Event()

    def notify_and_wait(wait, *arguments):
        idle.set()
        wait(*arguments)

    for kind in waking.Waker.__subclasses__():
        monkeypatch.setattr(kind, "wait", partialmethod_of(notify_and_wait, kind.wait))
    return idle


def partialmethod_of(function, method):
    return lambda self, *arguments: function(partial(method, self), *arguments)


def test_a_worker_that_drains_ends_when_nothing_is_due(act):
    act(lambda **payload: None)
    send(1, 2)
    Worker().run(drain=True)
    assert states() == [State.SUCCESSFUL] * 2


def test_it_makes_nothing_of_other_queues(act):
    act(lambda **payload: None)
    send()
    Worker(queues=["mail"]).run(drain=True)
    assert states() == [State.READY]


def test_an_observer_of_the_worker_receives_what_its_threads_do(act):
    act(lambda **payload: None)
    send()
    names = []
    with observe(lambda event: names.append(event.name)):
        Worker(concurrency=2).run(drain=True)
    assert names == ["delivery_started", "delivery_finished"]


@pytest.fixture
def events():
    """The deliveries that an observer of the whole process is delivered of."""
    events = []
    undo = add_observer(events.append, DeliveryEvent)
    yield events
    undo()


def test_an_observer_of_the_process_receives_what_any_worker_in_it_does(act, events):
    act(lambda **payload: None)
    send(1, 2)
    with working(concurrency=2):
        until(all_are(State.SUCCESSFUL, 2))
    assert Counter(event.name for event in events) == {"delivery_started": 2, "delivery_finished": 2}


def test_an_observer_of_the_process_receives_a_lost_worker_from_the_thread_that_rescues(act, events):
    act(lambda **payload: None)
    send()
    Delivery.objects.update(state=State.RUNNING, worker="lost", attempts=1, leased_until=timezone.now() - timedelta(1))
    with working():
        until(all_are(State.SUCCESSFUL))
    # A thread of the worker may begin before the rescue, which has committed, has notified observers.
    assert {(event.name, event.attempt) for event in events} == {
        ("delivery_failed", 1),
        ("delivery_started", 2),
        ("delivery_finished", 2),
    }


def test_a_worker_says_at_its_start_who_observes_it(request, caplog):
    request.addfinalizer(add_observer(all_are, DeliveryEvent))
    with caplog.at_level("INFO", "heliograph.outbox"), observe(send):
        Worker().run(drain=True)
    here = "tests.outbox.test_worker"
    assert f"Observers of the worker: {here}.all_are (DeliveryEvent), {here}.send" in caplog.messages


def test_a_worker_says_at_its_start_that_nobody_observes_it(caplog):
    with caplog.at_level("INFO", "heliograph.outbox"):
        Worker().run(drain=True)
    assert "Observers of the worker: none" in caplog.messages


# --- several threads ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer, and a receiver may write")
def test_as_many_run_at_once_as_it_has_threads(act):
    together = threading.Barrier(3, timeout=LONG)
    act(lambda **payload: together.wait())
    send(1, 2, 3)
    with working(concurrency=3):
        until(all_are(State.SUCCESSFUL, 3))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer, and a receiver may write")
def test_what_waits_behind_a_slow_one_is_given_to_a_thread_that_has_nothing_to_do(act, monkeypatch):
    monkeypatch.setattr(worker, "_PATIENCE", 0.1)
    is_slow = threading.Event()
    act(lambda number, **payload: number or not is_slow.is_set() or gate())
    gate = Gate()
    send(*range(1, 40))  # after so many quick ones they claim many at once
    with working(concurrency=2):
        until(all_are(State.SUCCESSFUL, 39))
        is_slow.set()
        send(0, *range(1, 6))
        until(lambda: Counter(states())[State.SUCCESSFUL] == 39 + 5)
        gate.may_go_on.set()
        until(all_are(State.SUCCESSFUL, 39 + 6))


# --- its end ------------------------------------------------------------------------------------------------------


def test_what_runs_is_finished_when_the_worker_is_stopped_and_what_waits_is_given_back(gate, monkeypatch):
    monkeypatch.setattr(runner, "_size_for", lambda seconds, size: 3)
    send(1)
    with working(stops=False) as one:
        gate.may_go_on.set()
        until(all_are(State.SUCCESSFUL))
        gate.may_go_on.clear()
        gate.await_beginning()
        write_together(3)
        gate.await_beginning()
        one.stop()
        gate.may_go_on.set()
    assert states() == [State.SUCCESSFUL] * 2 + [State.READY] * 2
    assert set(Delivery.objects.filter(state=State.READY).values_list("attempts", "worker")) == {(0, "")}


def write_together(count):
    with transaction.atomic():
        send(*range(count))


def test_what_takes_longer_than_the_grace_is_given_back(act):
    gate = act(Gate(), atomic=False)
    send()
    with working(stops=False, grace=0.1) as one:
        gate.await_beginning()
        one.stop()
        until(all_are(State.READY))
    gate.may_go_on.set()
    assert list(Delivery.objects.values_list("attempts", "worker")) == [(0, "")]


def test_who_asks_again_does_not_wait_for_the_grace(act):
    gate = act(Gate(), atomic=False)
    send()
    with working(stops=False) as one:
        gate.await_beginning()
        one.stop()
        one.stop()
        until(all_are(State.READY))
    gate.may_go_on.set()


def test_in_the_main_thread_it_receives_sigterm_and_puts_back_who_received_it_before(act):
    before = signal.getsignal(signal.SIGTERM)
    act(lambda **payload: os.kill(os.getpid(), signal.SIGTERM))
    send()
    Worker(grace=LONG).run()
    assert (states(), signal.getsignal(signal.SIGTERM)) == ([State.SUCCESSFUL], before)


# --- what it looks after ------------------------------------------------------------------------------------------


def test_it_rescues_what_a_lost_worker_had(act):
    act(lambda **payload: None)
    send()
    Delivery.objects.update(
        state=State.RUNNING, attempts=1, worker="lost", leased_until=timezone.now() - timedelta(minutes=1)
    )
    with working():
        until(all_are(State.SUCCESSFUL))
    (failure,) = Delivery.objects.get().failures
    assert (failure["worker"], Delivery.objects.get().attempts) == ("lost", 2)


def test_it_keeps_what_it_makes_for_longer_than_a_lease(act, settings, monkeypatch):
    settings.HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(seconds=0.3)}}
    monkeypatch.setattr(runner, "lease_renewal", LeaseRenewal())  # the one of other tests may wait for long
    gate = act(Gate(), atomic=False)
    send()
    with working():
        gate.await_beginning()
        first = leased_until()
        until(lambda: leased_until() > first + timedelta(seconds=1))
        gate.may_go_on.set()
        until(all_are(State.SUCCESSFUL))
    assert Delivery.objects.get().attempts == 1


def leased_until():
    return Delivery.objects.get().leased_until


def test_it_prunes(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": timedelta(seconds=1)}}
    deliver(State.SUCCESSFUL)
    with working():
        until(lambda: not Delivery.objects.exists())


# --- a database that goes away ------------------------------------------------------------------------------------


@pytest.fixture
def unmigrated():
    """Take the tables of the outbox away for the time of a test, or until what is yielded is called."""
    models = [*apps.get_app_config("heliograph_outbox").get_models()]
    gone = []

    def migrate():
        while gone:
            with connection.schema_editor() as editor:
                editor.create_model(gone.pop())

    for model in models:
        with connection.schema_editor() as editor:
            editor.delete_model(model)
        gone.append(model)
    yield migrate
    migrate()


def lines_of(caplog, text):
    return [record for record in caplog.records if text in record.getMessage()]


def test_a_database_that_is_not_migrated_is_said_to_be_once_and_waited_for(act, unmigrated, caplog):
    act(lambda **payload: None)
    waiting = (
        "The tables of the outbox on 'default' are missing, or of another release: manage.py migrate makes them."
        " The worker waits"
    )
    with working():
        until(lambda: lines_of(caplog, waiting))
        unmigrated()
        send()
        until(all_are("SUCCESSFUL"))
    assert len(lines_of(caplog, waiting)) == 1
    assert not [record for record in caplog.records if record.exc_info]


def test_a_worker_that_waits_for_its_tables_ends_when_it_is_stopped(unmigrated, caplog):
    with working():
        until(lambda: lines_of(caplog, "The worker waits"))
    assert not lines_of(caplog, "Worker started")


def test_a_worker_waits_for_its_tables_for_some_time(unmigrated, monkeypatch):
    monkeypatch.setattr(worker, "_MIGRATION", 0.1)
    with pytest.raises(worker.NotMigratedError, match="missing, or of another release"):
        Worker().run()


def test_a_worker_that_drains_does_not_wait_for_its_tables(unmigrated):
    with pytest.raises(worker.NotMigratedError):
        Worker().run(drain=True)


def test_a_table_that_lacks_a_column_is_of_another_release():
    column = models.IntegerField(default=0)
    column.set_attributes_from_name("newer")
    assert is_migrated("default")
    Delivery._meta.local_fields.append(column)
    Delivery._meta._expire_cache()
    try:
        assert not is_migrated("default")
    finally:
        Delivery._meta.local_fields.remove(column)
        Delivery._meta._expire_cache()


def test_a_worker_says_how_many_receivers_it_knows(act, caplog):
    caplog.set_level(logging.INFO, "heliograph.outbox")
    act(lambda **payload: None)
    Worker().run(drain=True)
    (line,) = lines_of(caplog, "The worker knows 1 durable receiver")
    assert line.levelno == logging.INFO


def test_a_worker_warns_that_it_knows_none(caplog):
    Worker().run(drain=True)
    (line,) = lines_of(caplog, "The worker knows 0 durable receivers")
    assert line.levelno == logging.WARNING


def test_a_worker_names_the_receivers_that_it_lacks(act, caplog):
    act(lambda **payload: None, aliases=["shop.receivers.former"])
    for receiver, state in [("b", State.READY), ("a", State.READY), ("b", State.READY), ("c", State.DEAD)]:
        deliver(state, receiver=f"shop.receivers.{receiver}")
    deliver(receiver="shop.receivers.former")
    Worker().run(drain=True)
    (line,) = lines_of(caplog, "Deliveries wait")
    assert line.getMessage() == (
        "Deliveries wait for receivers that are not connected in this worker:"
        " shop.receivers.a (1), shop.receivers.b (2)"
    )


def test_a_worker_of_some_queues_names_the_receivers_of_these(caplog):
    deliver(receiver="shop.receivers.a", queue="mail")
    deliver(receiver="shop.receivers.b", queue="slow")
    Worker(queues=["slow"]).run(drain=True)
    (line,) = lines_of(caplog, "Deliveries wait")
    assert line.getMessage().endswith("in this worker: shop.receivers.b (1)")


def test_an_error_of_the_upkeep_is_logged_once_for_as_long_as_it_lasts(caplog):
    answers = iter([ValueError("no"), ValueError("no"), None, ValueError("no")])

    def keep_up(using):
        if (error := next(answers)) is not None:
            raise error

    upkeep = Upkeep([Chore("dust", keep_up, lambda: 0.0)])
    for _ in range(4):
        upkeep.do_due(["default"])
    assert len(lines_of(caplog, "The deliveries cannot be looked after: dust 'default' failed (no)")) == 2


def test_a_chore_is_done_on_each_database_and_not_again_before_it_is_due():
    done = []
    upkeep = Upkeep([Chore("dust", done.append, lambda: 1000.0), Chore("sweep", done.append, lambda: 0.0)])
    upkeep.do_due(["default", "other"])
    upkeep.do_due(["default", "other"])
    assert done == ["default", "other", "default", "other", "default", "other"]


def test_a_chore_that_fails_stops_no_other_one():
    done = []

    def fail(using):
        raise ValueError("no")

    Upkeep([Chore("fail", fail, lambda: 0.0), Chore("dust", done.append, lambda: 0.0)]).do_due(["default"])
    assert done == ["default"]


@has_sessions
def test_it_goes_on_when_all_its_connections_were_lost(act):
    act(lambda **payload: None)
    with working(concurrency=2):
        send()
        until(all_are(State.SUCCESSFUL))
        end_others()
        send()
        until(all_are(State.SUCCESSFUL, 2))


@has_sessions
@pytest.mark.parametrize(("atomic", "attempts"), [(True, 2), (False, 1)])
def test_what_was_made_when_the_database_went_away_is_made_again_unless_nothing_has_undone_it(
    act, away, atomic, attempts
):
    calls = []

    def lose(number, **payload):
        calls.append(number)
        if len(calls) == 1:
            away.go()

    act(lose, atomic=atomic)
    send(7)
    with working():
        assert away.has_gone.wait(LONG)
        away.come_back()
        until(all_are(State.SUCCESSFUL))
    assert (len(calls), Delivery.objects.get().attempts) == (attempts, attempts)
    assert len(Delivery.objects.get().failures) == attempts - 1


class Away:
    """A database that cannot be reached for some time."""

    def __init__(self):
        self.has_gone = threading.Event()
        self.port = connections.settings["default"]["PORT"]

    def go(self):
        """Let go of this thread's connection, and let there be no other one."""
        connections.settings["default"]["PORT"] = 1
        connection.close()
        self.has_gone.set()

    def come_back(self):
        connections.settings["default"]["PORT"] = self.port


@pytest.fixture
def away():
    away = Away()
    yield away
    away.come_back()
