"""Deliveries of external workers that are notified again, because nobody makes them."""

import threading
from functools import partial
from typing import ClassVar

import pytest
from django.db import connection, transaction

from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.notify.backend import Backend
from heliograph.outbox.upkeep.sweeping import databases, sweep
from heliograph.outbox.work.external_workers import run_delivery
from heliograph.outbox.work.runner import drain
from heliograph.outbox.worker import Worker
from tests.helpers.external_workers import senders
from tests.helpers.external_workers.receivers import effects
from tests.helpers.external_workers.workers import PATIENCE, until
from tests.helpers.sessions import has_sessions, wait_until_it_waits
from tests.helpers.threads import at_once

committed = pytest.mark.django_db(transaction=True)

in_test = pytest.mark.django_db

pytestmark = pytest.mark.usefixtures("external_receivers")


@pytest.fixture
def notified(settings):
    """The ids that the external workers were notified of."""
    recorder = {"BACKEND": f"{__name__}.Recorder", "OPTIONS": {"NOTIFY_AGAIN_AFTER": 60}}
    settings.HELIOGRAPH_OUTBOX = {"external": recorder, "recorder": recorder}
    Recorder.notified = []
    return Recorder.notified


class Recorder(Backend):
    """A backend that keeps the ids that it is notified of, and has no workers."""

    notified: ClassVar[list[int]] = []

    def notify(self, using, ids, queue):
        if queue == "broken":
            raise OSError("The broker is away.")
        self.notified.extend(ids)


def given(**values):
    """Send, and have this in the row of the delivery; return its id.

    Its backend is one that workers of other tests, which may still run, know nothing of.
    """
    senders.send("recorded", "a")
    Recorder.notified.clear()
    row = Delivery.objects.order_by("pk").last()
    Delivery.objects.filter(pk=row.pk).update(**{"backend": "recorder", **values})
    return row.pk


@in_test
def test_a_sweep_does_not_notify_of_a_new_delivery(notified):
    given()
    assert sweep("default") == 0
    assert notified == []


@in_test
def test_a_sweep_notifies_of_a_delivery_that_nobody_makes(notified):
    number = given(due_at=DatabaseLater(-61))
    assert sweep("default") == 1
    assert notified == [number]


@in_test
def test_after_a_sweep_a_delivery_is_left_alone_for_as_long(notified):
    given(due_at=DatabaseLater(-61))
    assert [sweep("default"), sweep("default")] == [1, 0]
    Delivery.objects.update(leased_until=DatabaseLater(-1))
    assert sweep("default") == 1


def until_notified_again():
    """Return for how many seconds what there is counts as notified."""
    row = Delivery.objects.annotate(now=DatabaseNow()).get()
    return pytest.approx((row.leased_until - row.now).total_seconds(), abs=20)  # who else is busy here


@in_test
@pytest.mark.parametrize(("waited", "pause"), [(61, 61), (300, 300), (7200, 600)])
def test_the_longer_a_delivery_has_waited_the_later_is_the_next_notification(notified, waited, pause):
    given(due_at=DatabaseLater(-waited))
    sweep("default")
    assert pause == until_notified_again()


@in_test
def test_after_a_notification_that_failed_the_next_one_comes_soon(notified):
    given(due_at=DatabaseLater(-7200), queue="broken")
    sweep("default")
    assert until_notified_again() == 60


@in_test
def test_a_sweep_notifies_of_an_attempt_when_it_is_due(notified):
    later, now = given(attempts=1, due_at=DatabaseLater(5)), given(attempts=1)
    assert sweep("default") == 1
    assert notified == [now]
    Delivery.objects.filter(pk=later).update(due_at=DatabaseNow())
    sweep("default")
    assert notified == [now, later]


@in_test
@pytest.mark.parametrize("state", [state for state in State if state != State.READY])
def test_a_sweep_notifies_only_of_what_is_ready(notified, state):
    given(due_at=DatabaseLater(-61), state=state)
    assert sweep("default") == 0


@in_test
def test_a_sweep_notifies_only_of_the_first_of_a_key(notified):
    first, _ = (given(due_at=DatabaseLater(-61), key="a") for _ in range(2))
    other = given(due_at=DatabaseLater(-61), key="b")
    assert sweep("default") == 2
    assert notified == [first, other]


@in_test
def test_a_sweep_notifies_of_none_of_a_key_while_one_runs(notified):
    given(state=State.RUNNING, key="a")
    given(due_at=DatabaseLater(-61), key="a")
    assert sweep("default") == 0


@in_test
def test_a_sweep_does_not_notify_of_deliveries_for_our_own_workers(notified):
    given(due_at=DatabaseLater(-61), backend="default")
    assert sweep("default") == 0


@in_test
def test_a_backend_that_cannot_be_notified_does_not_keep_others_from_it(notified, caplog):
    given(due_at=DatabaseLater(-61), queue="broken")
    number = given(due_at=DatabaseLater(-61))
    assert sweep("default") == 1
    assert notified == [number]
    assert "(The broker is away.); it is notified again later" in caplog.text


@in_test
def test_a_sweep_notifies_of_more_than_it_marks_at_once(notified):
    given(due_at=DatabaseLater(-61))
    values = Delivery.objects.values().get()
    del values["id"]
    Delivery.objects.bulk_create([Delivery(**values) for _ in range(1100)])
    assert sweep("default") == 1101
    assert sorted(notified) == [*Delivery.objects.order_by("pk").values_list("pk", flat=True)]


@committed
def test_sweeps_at_the_same_time_divide_what_there_is(notified, shared_database):
    ids = [given(due_at=DatabaseLater(-61)) for _ in range(50)]
    assert sum(at_once(*[partial(sweep, "default")] * 4)) == 50
    assert sorted(notified) == sorted(ids)


@committed
def test_what_comes_to_several_workers_at_once_is_made_by_one(notified, shared_database):
    number = given()
    at_once(*[partial(run_delivery, number, "default")] * 4)
    assert effects() == [("a", 1)]
    assert Delivery.objects.get().state == State.SUCCESSFUL


@has_sessions
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_delivery_whose_row_a_sweep_has_locked_is_made_when_the_lock_is_gone(notified, shared_database):
    number = given()
    thread = threading.Thread(target=run_and_close, args=[number])
    with transaction.atomic():
        Delivery.objects.filter(pk=number).update(leased_until=DatabaseLater(60))  # as a sweep does
        thread.start()
        wait_until_it_waits(thread)
    thread.join(PATIENCE)
    assert Delivery.objects.get().state == State.SUCCESSFUL


def run_and_close(number):
    try:
        run_delivery(number, "default")
    finally:
        connection.close()


@committed
def test_a_worker_of_ours_notifies_external_ones_again(notified, shared_database):
    number = given(due_at=DatabaseLater(-61))
    worker = Worker("default")
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: notified == [number], lambda: notified)
    worker.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@in_test
def test_drain_leaves_what_others_make_to_them(notified):
    given()
    assert drain() == []


@in_test
def test_after_each_delivery_of_a_key_the_next_one_is_notified_of(notified):
    first, second, third = (given(key="a") for _ in range(3))
    run_delivery(second, "default")  # it is not its turn
    assert notified == []
    run_delivery(first, "default")
    assert notified == [second]
    run_delivery(second, "default")
    assert notified == [second, third]


@in_test
def test_every_database_that_has_the_table_is_looked_after(settings):
    assert databases() == ["default", "other"]
    settings.DATABASE_ROUTERS = [f"{__name__}.OnlyDefault"]
    assert databases() == ["default"]


class OnlyDefault:
    def allow_migrate(self, db, app_label, **hints):
        return db == "default"
