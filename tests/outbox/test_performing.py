"""Operations on many deliveries: they change what was shown and nothing else, in chunks, whoever is interrupted."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from heliograph.outbox.manage import operations, ranges
from heliograph.outbox.manage.operations import prune, select
from heliograph.outbox.manage.performing import perform, perform_waiting, request, stop
from heliograph.outbox.manage.selecting import as_json, look_at, of_json
from heliograph.outbox.models import Delivery, Operation, State, Verb
from heliograph.outbox.worker import Worker
from tests.helpers.deliveries import ago, deliver, deliver_many, states

pytestmark = pytest.mark.django_db(databases=["default", "other"])
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

LONG = 60  # seconds


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(operations, "CHUNK", 2)


def shown(*states, using="default"):
    return look_at(using, [select(using, states or State.values)])


def asked(verb=Verb.REDELIVER, states=("DEAD",), selection=None, using="default"):
    """Return an operation on what is there now."""
    return request(selection or shown(using=using), verb, states, by="ada", reason="it works again")


def operations_on(delivery):
    delivery.refresh_from_db()
    return [event["operation"] for event in delivery.events if "operation" in event]


# --- which --------------------------------------------------------------------------------------------------------


def test_dead_letters_are_redelivered():
    deliver_many(5, State.DEAD)
    operation = asked()
    perform(operation)
    assert (operation.status, operation.done, operation.changed) == ("done", 5, 5)
    assert states() == [State.READY] * 5


def test_what_waits_is_discarded_for_the_reason():
    deliver_many(3)
    perform(asked(Verb.DISCARD, ["READY"]))
    assert states() == [State.DISCARDED] * 3
    assert {*Delivery.objects.values_list("error", flat=True)} == {"it works again"}


def test_a_state_that_was_not_chosen_stays_as_it_is():
    for state in (State.SUCCESSFUL, State.DEAD, State.DISCARDED):
        deliver(state)
    operation = asked()
    perform(operation)
    assert operation.total == 1
    assert states() == [State.SUCCESSFUL, State.READY, State.DISCARDED]


def test_what_arrived_after_it_was_shown_stays_as_it_is():
    deliver_many(3, State.DEAD)
    operation = asked()
    deliver_many(2, State.DEAD)
    perform(operation)
    assert states() == [State.READY] * 3 + [State.DEAD] * 2


def test_what_died_after_it_was_shown_stays_as_it_is():
    waiting = deliver()
    deliver(State.DEAD)
    operation = asked()
    Delivery.objects.filter(pk=waiting.pk).update(state=State.DEAD)
    perform(operation)
    assert states() == [State.DEAD, State.READY]


def test_what_was_attempted_again_after_it_was_shown_stays_as_it_is():
    again, _ = deliver(State.DEAD), deliver(State.DEAD)
    operation = asked()
    Delivery.objects.filter(pk=again.pk).update(claimed_at=ago(0), error="another one")
    perform(operation)
    assert states() == [State.DEAD, State.READY]
    assert (operation.total, operation.done, operation.changed) == (2, 2, 1)


def test_what_no_worker_ever_had_is_changed():
    deliver(State.DEAD, claimed_at=None)
    perform(asked())
    assert states() == [State.READY]


def test_those_of_another_database_stay_as_they_are():
    deliver(State.DEAD)
    deliver(State.DEAD, using="other")
    perform(asked(using="other"))
    assert (states(), states("other")) == ([State.DEAD], [State.READY])
    assert not Operation.objects.exists()


def test_nothing_is_done_at_once():
    operation = asked()
    assert (operation.status, operation.total) == ("done", 0)


def test_a_selection_has_no_more_than_it_may_have():
    deliver_many(5, State.DEAD)
    selection = look_at("default", [select("default", ["DEAD"])], most=3)
    assert (selection.count(), selection.is_cut) == (3, True)
    assert selection.chosen(["DEAD"]) == sorted(Delivery.objects.values_list("pk", flat=True))[:3]


def test_a_selection_comes_back_from_its_text():
    deliver(State.DEAD, error="one")
    deliver(State.SUCCESSFUL)
    selection = shown()
    assert of_json(as_json(selection)) == selection


@given(st.sets(st.integers(1, 2**63 - 1)) | st.sets(st.integers(1, 30)))
def test_ids_come_back_from_their_text(ids):
    assert ranges.ids_of(ranges.text_of(sorted(ids))) == sorted(ids)


def test_ids_that_follow_each_other_are_a_short_text():
    assert ranges.text_of([*range(1, 501), 502]) == "1-500,502"


# --- how ----------------------------------------------------------------------------------------------------------


def test_each_chunk_has_its_progress():
    deliver_many(5, State.DEAD)
    seen = []
    perform(asked(), progress=lambda step: seen.append((step.done, step.changed, Operation.objects.get().done)))
    assert seen == [(2, 2, 2), (4, 4, 4), (5, 5, 5)]


def test_each_delivery_has_it_in_its_history():
    delivery = deliver(State.DEAD, history='{"attempt": 1}\n')
    perform(asked())
    delivery.refresh_from_db()
    assert delivery.failures == [{"attempt": 1}]
    _, event = delivery.events
    assert event.pop("at")
    assert event == {"operation": "redelivered", "by": "ada", "reason": "it works again"}


def interrupted(operation):
    """Do the first chunk of an operation, and no more."""

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(operation, progress=interrupt)
    return operation


def test_one_that_was_interrupted_goes_on_where_it_was():
    deliver_many(5, State.DEAD)
    operation = interrupted(asked())
    assert states() == [State.READY] * 2 + [State.DEAD] * 3
    perform_waiting("default")
    operation.refresh_from_db()
    assert (operation.status, operation.changed) == ("done", 5)
    assert [operations_on(delivery) for delivery in Delivery.objects.all()] == [["redelivered"]] * 5


def test_what_died_again_meanwhile_is_not_changed_again():
    first = deliver(State.DEAD)
    deliver_many(3, State.DEAD)
    operation = interrupted(asked())
    Delivery.objects.filter(pk=first.pk).update(state=State.DEAD, claimed_at=ago(0))
    perform(operation)
    assert operations_on(first) == ["redelivered"]
    assert states() == [State.DEAD] + [State.READY] * 3


def test_one_that_is_stopped_does_no_more():
    deliver_many(5, State.DEAD)
    operation = interrupted(asked())
    stop(operation)
    perform(operation)
    assert perform_waiting("default") == 0
    assert (operation.status, operation.done) == ("stopped", 2)
    assert states() == [State.READY] * 2 + [State.DEAD] * 3


def test_one_that_is_done_is_not_stopped():
    deliver(State.DEAD)
    operation = asked()
    perform(operation)
    before = operation.finished_at
    stop(operation)
    assert (operation.status, operation.finished_at) == ("done", before)


def test_one_that_has_some_time_does_a_chunk_at_least():
    deliver_many(5, State.DEAD)
    operation = asked()
    perform(operation, seconds=0)
    assert (operation.status, operation.done) == ("running", 2)


def test_two_operators_change_each_delivery_once():
    deliver_many(5, State.DEAD)
    selection = shown()
    first, second = asked(selection=selection), asked(selection=selection)
    interrupted(first)
    perform(second)
    perform(first)
    assert (first.changed, second.changed) == (2, 3)
    assert [operations_on(delivery) for delivery in Delivery.objects.all()] == [["redelivered"]] * 5


# --- by workers ---------------------------------------------------------------------------------------------------


@really_committed
def test_a_worker_goes_on_with_it():
    deliver_many(5, State.DEAD)
    operation = interrupted(asked())
    worker = Worker()
    thread = threading.Thread(target=worker.run)
    thread.start()
    pause = threading.Event()
    for _ in range(LONG * 100):
        operation.refresh_from_db()
        if operation.finished_at is not None:
            break
        pause.wait(0.01)
    worker.stop()
    thread.join(LONG)
    assert (operation.status, operation.changed) == ("done", 5)


@really_committed
def test_a_worker_that_drains_does_all_of_it():
    deliver_many(5, State.DEAD)
    operation = asked()
    Worker().run(drain=True)
    operation.refresh_from_db()
    assert (operation.status, operation.changed) == ("done", 5)


def together(*functions):
    """Call functions in threads that start at the same time."""
    start = threading.Barrier(len(functions))

    def call(function):
        start.wait(LONG)
        function()
        connections.close_all()

    threads = [threading.Thread(target=call, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)


@really_committed
def test_several_processes_do_each_chunk_once():
    deliver_many(60, State.DEAD)
    operation = asked()
    together(*[partial(perform_waiting, "default")] * 4)
    operation.refresh_from_db()
    assert (operation.status, operation.done, operation.changed) == ("done", 60, 60)
    assert [operations_on(delivery) for delivery in Delivery.objects.all()] == [["redelivered"]] * 60


@really_committed
def test_two_operators_at_the_same_time_change_each_delivery_once():
    deliver_many(60, State.DEAD)
    selection = shown()
    first, second = asked(selection=selection), asked(selection=selection)
    together(partial(perform, first), partial(perform, second))
    assert (first.done, second.done, first.changed + second.changed) == (60, 60, 60)
    assert [operations_on(delivery) for delivery in Delivery.objects.all()] == [["redelivered"]] * 60


def test_an_operation_that_cannot_be_done_stops_no_other():
    deliver(State.DEAD)
    broken, operation = asked(), asked()
    Operation.objects.filter(pk=broken.pk).update(ids="broken")
    with pytest.raises(ValueError, match="broken"):
        perform_waiting("default")
    operation.refresh_from_db()
    assert operation.status == "done"


@really_committed
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_a_chunk_that_another_process_does_is_left_to_it():
    deliver_many(4, State.DEAD)
    asked()
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(Operation.objects.select_for_update())
            held.set()
            done.wait(LONG)
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(LONG)
    try:
        perform_waiting("default")
        assert states() == [State.DEAD] * 4
    finally:
        done.set()
        thread.join(LONG)


def test_operations_are_pruned_with_what_they_changed(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": timedelta(seconds=30)}}
    deliver(State.DEAD)
    old, new = asked(), asked()
    perform(new)
    Operation.objects.filter(pk=old.pk).update(finished_at=ago(60))
    prune("default")
    assert [*Operation.objects.all()] == [new]


def test_operations_are_kept_where_everything_is(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"KEEP": None}}
    operation = asked()
    Operation.objects.filter(pk=operation.pk).update(finished_at=ago(60 * 60 * 24 * 365))
    prune("default")
    assert Operation.objects.exists()
