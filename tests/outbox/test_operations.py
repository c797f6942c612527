"""What people do to deliveries: they are redelivered, discarded and pruned, unless they run."""

import datetime
import logging
import re
import threading

import pytest
from django.db import connection, connections, transaction
from django.db.models.signals import post_delete, pre_delete
from django.test.utils import CaptureQueriesContext

from heliograph import Durable, Signal
from heliograph.databases import database_of
from heliograph.outbox import statements
from heliograph.outbox.manage import operations
from heliograph.outbox.manage.operations import CHUNK, delete, discard, expired, prune, redeliver, select
from heliograph.outbox.manage.reporting import report
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.states import InStates
from heliograph.outbox.work.runner import drain
from tests.helpers.deliveries import RECEIVER, ago, deliver, deliver_many
from tests.helpers.sessions import wait_until_it_waits

pytestmark = pytest.mark.django_db(databases=["default", "other"])
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

sent = Signal(name="shop.sent")

NOT_RUNNING = [State.READY, State.SUCCESSFUL, State.DEAD, State.DISCARDED]
FINISHED = [State.SUCCESSFUL, State.DEAD, State.DISCARDED]
WEEK = 7 * 24 * 3600


def everything(using="default"):
    return Delivery.objects.using(using).all()


def state_of(delivery):
    delivery.refresh_from_db()
    return State(delivery.state)


def waiting_time(delivery):
    """Return for how long a delivery has been due, in seconds; what has not been due for long counts as 0."""
    return report(delivery._state.db).oldest


# --- redeliver ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FINISHED)
def test_what_has_finished_is_ready_again_once_it_is_redelivered(state):
    delivery = deliver(state)
    assert redeliver(everything()) == 1
    assert state_of(delivery) == State.READY


@pytest.mark.parametrize("state", [State.READY, State.RUNNING])
def test_what_has_not_finished_is_not_redelivered(state):
    delivery = deliver(state)
    assert redeliver(everything()) == 0
    assert state_of(delivery) == state


def test_what_is_redelivered_is_due_now():
    delivery = deliver(State.DEAD, due_at=ago(-3600))
    redeliver(everything())
    assert waiting_time(delivery) == pytest.approx(0, abs=5)


def test_what_is_redelivered_is_due_by_the_clock_of_the_database_in_any_time_zone(settings):
    settings.TIME_ZONE = "Pacific/Auckland"
    delivery = deliver(State.DEAD, due_at=ago(-3600))
    redeliver(everything())
    assert waiting_time(delivery) == pytest.approx(0, abs=5)


def test_what_is_redelivered_has_all_its_attempts_again():
    delivery = deliver(State.DEAD, attempts=8)
    redeliver(everything())
    delivery.refresh_from_db()
    assert delivery.attempts == 0


def test_what_is_redelivered_is_as_if_it_were_new():
    delivery = deliver(State.DEAD)
    redeliver(everything())
    delivery.refresh_from_db()
    assert (delivery.worker, delivery.error, delivery.traceback) == ("", "", "")
    assert (delivery.finished_at, delivery.leased_until) == (None, None)


def test_what_is_redelivered_keeps_its_history():
    delivery = deliver(State.DEAD, history='{"attempt": 1}\n')
    redeliver(everything())
    delivery.refresh_from_db()
    assert delivery.failures == [{"attempt": 1}]


def test_what_is_redelivered_is_made_again(receive):
    calls = []

    @receive(sent, delivery=Durable())
    def record(**payload):
        calls.append(payload["number"])

    sent.send(sender=None, using="default", number=3)
    drain()
    redeliver(everything())
    assert drain() == [Succeeded()]
    assert calls == [3, 3]


def test_it_is_made_under_the_same_idempotency_key(receive):
    keys = []

    @receive(sent, delivery=Durable())
    def record(delivery, **payload):
        keys.append(delivery.idempotency_key)

    sent.send(sender=None, using="default")
    drain()
    redeliver(everything())
    drain()
    assert keys[0] == keys[1]


def test_what_dies_again_at_once_is_redelivered_once(monkeypatch):
    monkeypatch.setattr(operations, "CHUNK", 1)
    first = deliver(State.DEAD)
    deliver(State.DEAD)

    def die_again(total):
        Delivery.objects.filter(pk=first.pk).update(state=State.DEAD)

    assert redeliver(everything(), die_again) == 2


@really_committed
def test_a_backend_that_cannot_be_notified_is_logged_and_the_delivery_is_ready(caplog):
    delivery = deliver(State.DEAD, backend="gone")
    with caplog.at_level(logging.WARNING, "heliograph.outbox"):
        redeliver(everything())
    assert state_of(delivery) == State.READY
    assert "The backend 'gone' could not be notified" in caplog.text


# --- discard ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.READY, State.DEAD])
def test_what_waits_or_is_dead_can_be_discarded(state):
    delivery = deliver(state)
    assert discard(everything(), "no use") == 1
    assert state_of(delivery) == State.DISCARDED


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCESSFUL, State.DISCARDED])
def test_nothing_else_can_be_discarded(state):
    delivery = deliver(state)
    assert discard(everything(), "no use") == 0
    assert state_of(delivery) == state


def test_the_reason_is_in_the_history():
    delivery = deliver()
    discard(everything(), "no use")
    delivery.refresh_from_db()
    assert delivery.error == "no use"


def test_what_is_discarded_has_finished_now():
    delivery = deliver(State.DEAD, finished_at=ago(WEEK))
    discard(everything(), "no use")
    assert not select("default", ["DISCARDED"], ids=[delivery.pk], older_than=60).exists()


def test_what_is_discarded_is_not_made(receive):
    @receive(sent, delivery=Durable())
    def record(**payload):
        pytest.fail("it was made")

    sent.send(sender=None, using="default")
    discard(everything(), "no use")
    assert drain() == []


# --- delete -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FINISHED)
def test_what_has_finished_can_be_deleted(state):
    deliver(state)
    assert delete(everything()) == 1
    assert not everything().exists()


@pytest.mark.parametrize("state", [State.READY, State.RUNNING])
def test_what_has_not_finished_cannot_be_deleted(state):
    deliver(state)
    assert delete(everything()) == 0
    assert everything().exists()


def test_receivers_of_deletions_receive_nothing_of_it(listen):
    received = [*listen(pre_delete), *listen(post_delete)]
    deliver(State.SUCCESSFUL)
    delete(everything())
    assert received == []


# --- what is kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.SUCCESSFUL, State.DISCARDED])
def test_what_finished_a_week_ago_is_pruned(state):
    deliver(state, finished_at=ago(WEEK + 60))
    assert prune("default") == 1


def test_what_finished_since_is_not():
    deliver(State.SUCCESSFUL, finished_at=ago(WEEK - 60))
    assert prune("default") == 0


def test_it_counts_from_the_end_and_not_from_the_send():
    deliver(State.SUCCESSFUL, created_at=ago(WEEK + 60), finished_at=ago(60))
    assert prune("default") == 0


def test_dead_letters_are_kept():
    deliver(State.DEAD, finished_at=ago(100 * WEEK))
    assert prune("default") == 0


def test_the_settings_say_how_long_something_is_kept(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": datetime.timedelta(seconds=30)}}
    deliver(State.SUCCESSFUL, finished_at=ago(60))
    assert prune("default") == 1


def test_none_keeps_it_for_ever(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": None}}
    deliver(State.SUCCESSFUL, finished_at=ago(100 * WEEK))
    assert prune("default") == 0


def test_each_backend_has_a_time_of_its_own(settings):
    settings.HELIOGRAPH_OUTBOX = {
        "default": {"KEEP": None},
        "brief": {"KEEP": datetime.timedelta(seconds=30)},
    }
    kept = deliver(State.SUCCESSFUL)
    deliver(State.SUCCESSFUL, backend="brief", finished_at=ago(60))
    assert prune("default") == 1
    assert [*everything()] == [kept]


def test_what_was_sent_to_a_backend_that_is_gone_is_kept_as_by_the_default_one():
    deliver(State.SUCCESSFUL, backend="gone", finished_at=ago(WEEK + 60))
    assert prune("default") == 1


def test_it_is_of_one_database():
    deliver(State.SUCCESSFUL, using="other", finished_at=ago(WEEK + 60))
    assert prune("default") == 0
    assert prune("other") == 1


def test_a_worker_prunes_for_some_time_and_goes_on_later():
    deliver_many(CHUNK + 1, State.SUCCESSFUL, finished_at=ago(WEEK + 60))
    assert prune("default", seconds=0) == CHUNK
    assert prune("default", seconds=0) == 1


# --- which --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", NOT_RUNNING)
def test_deliveries_are_selected_by_their_states(state):
    for one in NOT_RUNNING:
        deliver(one)
    assert [one.state for one in select("default", [state])] == [state]


def test_deliveries_are_selected_by_their_ids():
    first, _ = deliver(), deliver()
    assert [*select("default", ["READY"], ids=[first.pk])] == [first]


def test_what_finished_longer_ago_is_selected():
    old = deliver(State.DEAD, finished_at=ago(120))
    deliver(State.DEAD, finished_at=ago(30))
    assert [*select("default", ["DEAD"], older_than=60)] == [old]


def test_what_was_sent_longer_ago_is_selected_if_it_waits():
    old = deliver(created_at=ago(120))
    deliver(created_at=ago(30))
    assert [*select("default", ["READY", "DEAD"], older_than=60)] == [old]


# --- many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "state", "becomes"),
    [
        (redeliver, State.DEAD, State.READY),
        (lambda *arguments: discard(arguments[0], "no use", arguments[1]), State.READY, State.DISCARDED),
    ],
)
def test_many_are_changed_a_few_at_a_time(change, state, becomes):
    deliver_many(2 * CHUNK + 1, state)
    totals = []
    assert change(everything(), totals.append) == 2 * CHUNK + 1
    assert totals == [CHUNK, 2 * CHUNK, 2 * CHUNK + 1]
    assert everything().filter(state=becomes).count() == 2 * CHUNK + 1


def test_many_are_deleted_a_few_at_a_time():
    deliver_many(CHUNK + 1, State.SUCCESSFUL)
    totals = []
    assert delete(everything(), totals.append) == CHUNK + 1
    assert totals == [CHUNK, CHUNK + 1]


@really_committed
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.parametrize(
    ("change", "state"), [(redeliver, State.DEAD), (lambda chosen: discard(chosen, "no use"), State.READY)]
)
def test_what_a_worker_has_claimed_since_it_was_chosen_is_not_touched(change, state):
    delivery = deliver(state)
    changed = []

    def change_in_thread():
        changed.append(change(everything()))
        connections.close_all()

    thread = threading.Thread(target=change_in_thread)
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(state=State.RUNNING)
        thread.start()  # it sees the old state until this commits
        wait_until_it_waits(thread)
    thread.join()
    assert changed == [0]
    assert state_of(delivery) == State.RUNNING


# --- with a million finished rows ---------------------------------------------------------------------------------


EXPLAIN = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}

has_partial_indexes = pytest.mark.skipif(connection.vendor not in EXPLAIN, reason="it has no partial indexes")


def indexes_of(act):
    """Return the index of each query by which the database would find the few among the many."""
    with CaptureQueriesContext(connection) as queries:
        act()
    plans = []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE heliograph_outbox_delivery")
        for query in [query["sql"] for query in queries if query["sql"].startswith("SELECT")]:
            cursor.execute(f"{EXPLAIN[connection.vendor]} {query}".replace("%", "%%"), [])
            plans.append(" ".join(str(cell) for row in cursor.fetchall() for cell in row))
    return [re.findall("heliograph_outbox_(?!delivery)[a-z]+", plan) for plan in plans]


@has_partial_indexes
def test_a_report_looks_at_what_is_not_finished_or_dead_by_its_index():
    deliver_many(10 * CHUNK, State.SUCCESSFUL)
    ready, running, dead = indexes_of(lambda: report("default"))
    assert ready in (["heliograph_outbox_due"], ["heliograph_outbox_queue"])
    assert (running, dead) == (["heliograph_outbox_worker"], ["heliograph_outbox_dead"])


@has_partial_indexes
def test_what_is_pruned_is_found_by_its_index():
    deliver_many(10 * CHUNK, State.SUCCESSFUL)
    assert indexes_of(lambda: prune("default")) == [["heliograph_outbox_done"]]


@has_partial_indexes
def test_what_comes_before_a_delivery_with_a_key_is_found_by_its_index():
    deliver_many(10 * CHUNK, State.SUCCESSFUL, key="k")
    deliver_many(10, State.READY, key="k")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE heliograph_outbox_delivery")
            cursor.execute("SET LOCAL enable_seqscan = off")  # so few are read as fast without an index
        query = statements.due(database_of(connection), 1, 1, 0)
        cursor.execute(f"{EXPLAIN[connection.vendor]} {query}", [RECEIVER, "default", 10])
        plan = " ".join(str(cell) for row in cursor.fetchall() for cell in row)
    assert "heliograph_outbox_key" in plan
    assert connection.vendor != "sqlite" or "heliograph_outbox_key (receiver=? AND key=?" in plan


def test_states_are_written_out():
    assert "IN ('DEAD', 'READY')" in str(everything().filter(InStates("DEAD", "READY")).query)


def test_nothing_is_expired_where_everything_is_kept(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": None}}
    assert expired("default") == []


def test_the_receiver_of_these_tests_is_not_connected():
    deliver()
    assert [line.receiver for line in report("default").lines if not line.is_known] == [RECEIVER]
