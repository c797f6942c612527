"""Who observes deliveries, and what is logged of them."""

from contextlib import contextmanager

import pytest

from heliograph import Discard, RetryAfter, mute, observe, trace
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.models import State
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from tests.helpers.attempts import at_once, fail, fail_before, fail_with, give, send, write
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where it is about what Django does outside of a test's own transaction.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- observers ----------------------------------------------------------------------------------------------------


@contextmanager
def observed():
    """Observe deliveries: the list has each event, and the state and attempts that the table had when it came."""
    found = []

    def record(event):
        if isinstance(event, DeliveryEvent):
            found.append((event, row().state))

    with observe(record):
        yield found


def described(found):
    return [(event.name, event.attempt, state) for event, state in found]


def test_observers_receive_a_delivery_that_succeeds(act):
    act()
    send()
    with observed() as found:
        drain()
    assert described(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.SUCCESSFUL)]


def test_observers_receive_attempts_that_fail_and_the_death_of_a_delivery(act):
    act(fail, retry=at_once(2))
    send()
    with observed() as found:
        drain()
    assert described(found) == [
        ("delivery_started", 1, State.RUNNING),
        ("delivery_failed", 1, State.READY),
        ("delivery_started", 2, State.RUNNING),
        ("delivery_dead", 2, State.DEAD),
    ]


def test_a_delivery_that_was_discarded_has_finished(act):
    act(give(Discard("no")))
    send()
    with observed() as found:
        drain()
    assert described(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.DISCARDED)]


def test_one_that_is_not_atomic_is_observed_as_others(act):
    act(atomic=False)
    send()
    with observed() as found:
        drain()
    assert described(found) == [("delivery_started", 1, State.RUNNING), ("delivery_finished", 1, State.SUCCESSFUL)]


def test_an_event_says_which_delivery_it_is_about(act):
    act(queue="mail")
    send()
    with observed() as found:
        drain()
    assert {(event.id, event.receiver, event.queue) for event, _ in found} == {(row().pk, row().receiver, "mail")}


def test_an_event_of_an_end_says_how_long_it_took(act):
    act()
    send()
    with observed() as found:
        drain()
    (started, _), (finished, _) = found
    assert (started.seconds, finished.seconds >= 0) == (None, True)


def test_an_event_of_a_failure_has_the_error(act):
    error = MishapError("no way")
    act(fail_with(error), retry=at_once(2))
    send()
    with observed() as found:
        drain()
    assert [event.error for event, _ in found] == [None, error, None, error]


@really_committed
def test_the_state_is_committed_before_observers_run(act):
    found = []

    def record(event):
        if isinstance(event, DeliveryEvent):
            in_thread(lambda: found.append(row().state))

    act(fail_before(2), retry=at_once())
    send()
    with observe(record):
        drain()
    assert found == [State.RUNNING, State.READY, State.RUNNING, State.SUCCESSFUL]


def test_an_observer_that_fails_changes_nothing(act):
    act()
    send()

    def break_down(event):
        raise MishapError

    with observe(break_down):
        assert drain() == [Succeeded()]
    assert row().state == State.SUCCESSFUL


def test_a_trace_of_a_delivery_can_be_printed(act):
    act()
    send()
    with trace() as traced:
        drain()
    assert "record" in str(traced)


def test_what_a_receiver_sends_is_a_branch_of_its_call(act):
    act(write)
    send()
    with trace() as traced:
        drain()
    lines = str(traced).splitlines()
    at = next(at for at, line in enumerate(lines) if "<locals>.record " in line)
    assert any("post_save" in line and line.startswith("  ") for line in lines[at + 1 :])


def test_a_muted_receiver_is_called_for_what_was_stored_before(act):
    calls = act()
    send()
    with mute():
        send()
        drain()
    assert len(calls) == 1


# --- logging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "levels"),
    [
        (give(None), ["INFO"]),
        (give(Discard("no")), ["INFO"]),
        (fail, ["WARNING", "ERROR"]),
        (fail_before(2), ["WARNING", "INFO"]),
        (give(RetryAfter(0)), ["WARNING", "ERROR"]),
    ],
    ids=["success", "discard", "failure", "success at last", "retry after"],
)
def test_each_end_of_an_attempt_is_logged(act, log, action, levels):
    act(action, retry=at_once(2))
    send()
    drain()
    assert [record.levelname for record in log()] == levels


def test_a_record_names_the_receiver_and_the_delivery(act, log):
    act()
    send()
    drain()
    (record,) = log()
    assert (row().receiver in record.getMessage(), str(row().pk) in record.getMessage()) == (True, True)


def test_a_record_of_a_dead_letter_has_the_error_and_its_traceback(act, log):
    act(fail, retry=at_once(1))
    send()
    drain()
    (record,) = log()
    assert ("no way" in record.getMessage(), record.exc_info[0]) == (True, MishapError)


def test_a_record_of_what_was_discarded_has_the_reason(act, log):
    act(give(Discard("the order is cancelled")))
    send()
    drain()
    (record,) = log()
    assert "the order is cancelled" in record.getMessage()
