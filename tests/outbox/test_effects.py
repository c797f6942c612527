"""The effects of a receiver in the database: an attempt leaves all of them or none."""

import datetime

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_save

from heliograph import BeforeCommit, Discard, Durable, OnCommit, RetryAfter
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Succeeded
from heliograph.outbox.work.runner import drain
from tests.app.models import Genre, Novel, Ticket
from tests.helpers.attempts import at_once, fail, fail_with, give, send, types, write
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError
from tests.helpers.sessions import end_own, has_sessions
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where it is about what Django does outside of a test's own transaction.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def write_and_fail(**payload):
    Genre.objects.create()
    raise MishapError


def test_what_a_failed_attempt_has_written_is_undone(act):
    act(write_and_fail, retry=at_once(2))
    send()
    drain()
    assert Genre.objects.count() == 0


def test_what_the_attempt_that_succeeds_has_written_is_there_once(act):
    def write_and_fail_once(delivery, **payload):
        Genre.objects.create()
        if delivery.attempt == 1:
            raise MishapError

    act(write_and_fail_once, retry=at_once())
    send()
    drain()
    assert (Genre.objects.count(), row().state) == (1, State.SUCCESSFUL)


@really_committed
def test_effect_and_success_are_one_transaction(act):
    found = []

    def look_elsewhere():
        in_thread(lambda: found.append((Genre.objects.count(), row().state)))

    def write_and_look(**payload):
        Genre.objects.create()
        look_elsewhere()
        transaction.on_commit(look_elsewhere)

    act(write_and_look)
    send()
    drain()
    assert found == [(0, State.RUNNING), (1, State.SUCCESSFUL)]


@really_committed
def test_a_receiver_is_in_a_transaction(act):
    found = []
    act(lambda **payload: found.append(connection.in_atomic_block))
    send()
    drain()
    assert found == [True]


@really_committed
def test_one_that_is_not_atomic_is_in_none(act):
    found = []
    act(lambda **payload: found.append(connection.in_atomic_block), atomic=False)
    send()
    drain()
    assert found == [False]


@really_committed
def test_what_one_that_is_not_atomic_writes_stays_when_it_fails(act):
    act(write_and_fail, retry=at_once(2), atomic=False)
    send()
    drain()
    assert Genre.objects.count() == 2


def test_one_that_is_not_atomic_is_running_while_it_runs(act):
    found = []
    act(lambda **payload: found.append((row().state, row().attempts)), atomic=False)
    send()
    drain()
    assert (found, row().state) == ([(State.RUNNING, 1)], State.SUCCESSFUL)


def test_a_running_delivery_has_a_worker_and_a_lease(act):
    found = []
    act(lambda **payload: found.append(row()), atomic=False)
    send()
    drain()
    (running,) = found
    assert running.worker
    assert running.leased_until > running.claimed_at


TAKEN = {
    "by another worker": {"worker": "another"},
    "in another attempt": {"attempts": 7},
    "and handed back": {"state": State.READY, "due_at": datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)},
    "and discarded": {"state": State.DISCARDED},
}

each_taken = pytest.mark.parametrize("values", TAKEN.values(), ids=TAKEN)


@each_taken
def test_what_a_receiver_does_whose_delivery_was_taken_is_undone(act, values):
    def write_late(**payload):
        Genre.objects.create()
        assert Delivery.objects.update(**values) == 1

    act(write_late)
    send()
    drain(limit=1)
    assert (Genre.objects.count(), Delivery.objects.filter(state=State.SUCCESSFUL).count()) == (0, 0)


@each_taken
def test_what_waits_for_its_commit_is_not_done_either(act, receive, values):
    received = []

    @receive(post_save, sender=Genre, delivery=OnCommit())
    def record_genre(sender, **kwargs):
        received.append(sender)

    def write_late(**payload):
        Genre.objects.create()
        Delivery.objects.update(**values)

    act(write_late)
    send()
    drain(limit=1)
    assert received == []


@each_taken
@pytest.mark.parametrize(
    "action",
    [give(None), fail, give(Discard("no")), give(RetryAfter(1))],
    ids=["success", "failure", "discard", "wait"],
)
def test_nobody_writes_what_became_of_a_delivery_that_was_taken(act, values, action):
    def be_late(**payload):
        Delivery.objects.update(**values)
        return action(**payload)

    act(be_late, atomic=False)
    send()
    drain(limit=1)
    assert {name: getattr(row(), name) for name in values} == values
    assert row().error == ""


def test_one_that_was_taken_stops_no_other(act, numbers):
    def be_late(delivery, **payload):
        Delivery.objects.filter(pk=delivery.id).update(worker="another")

    act(be_late)
    received = numbers()
    send(1)
    assert drain() == [Succeeded()]
    assert received == [1]


def break_down_after_the_commit(**payload):
    def break_down():
        raise MishapError("after the commit")

    transaction.on_commit(break_down)


@really_committed
def test_what_is_committed_has_succeeded_although_a_callback_after_the_commit_raises(act):
    act(break_down_after_the_commit)
    send()
    assert types(drain()) == [Succeeded]
    assert row().state == State.SUCCESSFUL


@really_committed
def test_a_callback_after_the_commit_that_raises_stops_no_other(act, numbers):
    act(break_down_after_the_commit)
    received = numbers()
    send(1)
    drain()
    assert received == [1]


@really_committed
def test_a_callback_after_the_commit_that_raises_is_logged_and_nothing_is_said_to_be_undone(act, log):
    act(break_down_after_the_commit)
    send()
    drain()
    text = " ".join(record.getMessage() for record in log())
    assert "undone" not in text


def test_what_is_due_before_the_commit_of_a_receiver_that_fails_makes_it_fail(act, receive):
    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        raise MishapError("not before the commit")

    act(write, retry=at_once(1))
    send()
    assert types(drain()) == [Dead]
    assert (row().state, Genre.objects.count(), "not before the commit" in row().error) == (State.DEAD, 0, True)


def test_what_a_receiver_sends_to_durable_ones_is_delivered_after_it(act, receive):
    received = []

    @receive(post_save, sender=Genre, delivery=Durable())
    def record_genre(sender, instance, **kwargs):
        received.append(instance)

    act(write)
    send()
    assert types(drain()) == [Succeeded, Succeeded]
    assert received == [Genre.objects.get()]


@really_committed
def test_a_receiver_that_breaks_its_transaction_has_failed(act):
    def break_transaction(**payload):
        Genre.objects.create()
        transaction.set_rollback(True)

    act(break_transaction, retry=at_once(1))
    send()
    assert types(drain()) == [Dead]
    assert (Genre.objects.count(), row().state) == (0, State.DEAD)


@really_committed
def test_an_error_of_the_database_is_a_failed_attempt(act):
    def collide(**payload):
        Ticket.objects.bulk_create([Ticket(id=delivery_id), Ticket(id=delivery_id)])

    delivery_id = "12345678-1234-5678-1234-567812345678"
    act(collide, retry=at_once(2))
    send()
    assert types(drain()) == [Again, Dead]
    assert "IntegrityError" in row().error


@really_committed
def test_an_error_that_the_database_finds_at_the_commit_is_a_failed_attempt(act):
    def refer_to_nothing(**payload):
        Novel.objects.create(writer_id=999)

    act(refer_to_nothing, retry=at_once(2))
    send()
    assert types(drain()) == [Again, Dead]
    assert ("IntegrityError" in row().error, Novel.objects.count()) == (True, 0)


def write_and_lose_connection(delivery, **payload):
    Genre.objects.create()
    if delivery.attempt == 1:
        end_own()
        Genre.objects.count()


def write_and_lose_connection_unawares(delivery, **payload):
    Genre.objects.create()
    if delivery.attempt == 1:
        end_own()


@really_committed
@has_sessions
@pytest.mark.usefixtures("fresh_connection")
@pytest.mark.parametrize("action", [write_and_lose_connection, write_and_lose_connection_unawares])
def test_an_attempt_whose_connection_is_lost_has_failed_and_the_next_one_has_another(act, action):
    act(action, retry=at_once())
    send()
    assert types(drain()) == [Again, Succeeded]
    assert Genre.objects.count() == 1


@really_committed
@has_sessions
@pytest.mark.usefixtures("fresh_connection")
def test_one_that_is_not_atomic_and_loses_its_connection_has_failed_and_the_next_one_has_another(act):
    calls = act(write_and_lose_connection, retry=at_once(), atomic=False)
    send()
    assert types(drain()) == [Again, Succeeded]
    assert [one.attempt for one in calls] == [1, 2]


@really_committed
def test_a_receiver_that_closes_its_connection_has_failed_and_stops_no_other(act, numbers):
    def close(**payload):
        Genre.objects.create()
        connection.close()

    received = numbers()
    act(close, retry=at_once(1))
    send(1)
    assert sorted(one.__name__ for one in types(drain())) == ["Dead", "Succeeded"]
    assert (Genre.objects.count(), received) == (0, [1])


def test_an_interrupt_ends_the_worker_and_is_no_attempt(act):
    act(fail_with(KeyboardInterrupt()))
    send()
    with pytest.raises(KeyboardInterrupt):
        drain()
    assert (row().state, row().attempts) == (State.READY, 0)


def test_what_it_has_interrupted_is_undone(act):
    def write_and_stop(**payload):
        Genre.objects.create()
        raise KeyboardInterrupt

    act(write_and_stop)
    send()
    with pytest.raises(KeyboardInterrupt):
        drain()
    assert Genre.objects.count() == 0


def test_a_receiver_that_leaves_the_program_has_failed(act):
    act(fail_with(SystemExit(1)), retry=at_once(1))
    send()
    assert types(drain()) == [Dead]


def test_an_error_that_is_returned_is_a_response(act):
    act(give(MishapError("fine")))
    send()
    assert types(drain()) == [Succeeded]


def test_what_a_receiver_returns_is_the_response(act):
    act(give("posted"))
    send()
    assert drain() == [Succeeded("posted")]


def test_it_need_not_be_anything_that_can_be_stored(act):
    response = object()
    act(give(response))
    send()
    assert drain() == [Succeeded(response)]
