"""Deliveries that Celery's workers make, whose broker stops, or forgets."""

import signal
import uuid

import pytest
from django.db import connection

from heliograph.outbox.models import State
from tests.crash import brokers
from tests.crash.counting import (
    UNFINISHED,
    assert_each_row_has_its_delivery,
    count,
    of,
    states,
    table,
    until_finished,
)
from tests.crash.models import Bill, Effect
from tests.crash.processes import until
from tests.crash.programs import OF_SERVERS, missing
from tests.helpers.brokers import URLS
from tools.services import of_url

BILLS = ["Bill", *["some"] * 5]
# Which broker it is does not depend on the database: one of them has both.
BROKERS = {"postgresql": ["redis", "rabbitmq"], "mysql": ["rabbitmq"], "sqlite": ["redis"]}[connection.vendor]


@pytest.fixture(params=BROKERS)
def broker(request):
    if request.param == "redis" and missing(OF_SERVERS["redis"]):
        pytest.skip("not here: redis-server")
    if request.param == "rabbitmq" and not of_url("rabbitmq", URLS["rabbitmq"]).answers():
        pytest.skip("rabbitmq does not answer")
    broker = getattr(brokers, request.param)()
    broker.name = request.param
    yield broker
    broker.remove()


@pytest.fixture
def send(broker, start):
    """Start a process that sends."""

    def send(*arguments, **options):
        return start(*arguments, **broker.variables, **options)

    return send


@pytest.fixture
def start_worker(broker, start):
    """Start a worker of Celery."""

    def start_worker(**options):
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        name = ["--hostname", f"{uuid.uuid4().hex[:8]}@crash"]
        worker = ["--app", "tests.crash.celery_app", "worker", "--pool", "solo", "--loglevel", "info", *name, *quiet]
        return start("celery", *worker, **broker.variables, **options)

    return start_worker


def test_a_broker_that_is_stopped_when_it_is_to_be_notified(send, start_worker, broker, report):
    broker.stop()
    send("send", *BILLS).succeed()  # whoever sends does not suffer from it
    assert states(Bill) == {State.READY: 5}

    broker.start()
    start_worker()
    until_finished()
    assert states(Bill) == {State.SUCCESSFUL: 5}
    report(f"Celery with {broker.name}, stopped at the enqueue,", count(Bill))


def test_a_broker_that_is_emptied_after_it_was_notified(send, start_worker, broker, report):
    send("send", *BILLS).succeed()
    assert broker.empty() == 5, "It was not notified"

    start_worker()
    until_finished()
    assert states(Bill) == {State.SUCCESSFUL: 5}
    report(f"Celery with {broker.name}, emptied,", count(Bill))


def test_a_broker_that_stops_and_starts_under_a_worker_and_a_sender(send, start_worker, broker, report, folder):
    sender = send("send_on", "Bill", "0.3")  # slower than a worker: what waits is notified again and again
    worker = _Supervised(start_worker)
    worker.until_more()
    broker.stop()
    sent = Bill.objects.count()
    until(lambda: Bill.objects.count() > sent + 5, "it sends while there is no broker")
    broker.start()
    worker.until_more()
    (folder / "enough").touch()
    sender.succeed()
    worker.until(lambda: not of(Bill).filter(state__in=UNFINISHED).exists(), table)

    assert_each_row_has_its_delivery(Bill)
    assert states(Bill) == {State.SUCCESSFUL: Bill.objects.count()}
    report(f"Celery with {broker.name}, stopped and started under a worker and a sender,", count(Bill))


class _Supervised:
    """A worker that is started again when it has ended, as supervisors do: with Redis, it may fail on a lost broker."""

    def __init__(self, start_worker):
        self.start_worker = start_worker
        self.process = start_worker()

    def until(self, condition, hope):
        until(lambda: self._lives() and condition(), hope)

    def until_more(self):
        """Wait until more is done than what it had in hand."""
        done = Effect.objects.count()
        self.until(lambda: Effect.objects.count() >= done + 9, "more effects")

    def _lives(self):
        if not self.process.is_alive():
            self.process = self.start_worker()
        return True


@pytest.mark.parametrize("place", ["receiver", "effect"])
def test_a_worker_of_celery_that_is_killed(send, start_worker, broker, report, place):
    send("send", *BILLS).succeed()
    start_worker(die_at=place).die()
    assert count(Bill).done == 0

    start_worker()
    until_finished()
    assert states(Bill) == {State.SUCCESSFUL: 5}
    said = {"receiver": "in the receiver", "effect": "after the receiver and before recording"}[place]
    report(f"A worker of Celery with {broker.name}, killed {said},", count(Bill))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="A receiver has the database to itself")
def test_a_worker_of_celery_that_was_frozen_while_another_took_over(send, start_worker, broker, report):
    send("send", *BILLS).succeed()
    first = start_worker(wait_at="receiver")
    first.reach()
    first.report(signal.SIGSTOP)

    start_worker()
    until_finished()
    first.report(signal.SIGCONT)
    first.go_on()
    until(lambda: "is not in the hands of" in first.said(), lambda: f"that this sees what it has lost:\n{first}")
    assert states(Bill) == {State.SUCCESSFUL: 5}
    report(f"A worker of Celery with {broker.name}, frozen in the receiver,", count(Bill))
