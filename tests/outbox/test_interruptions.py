"""Errors that end more than a receiver: an attempt that raises one has failed, and its thread goes on."""

import asyncio
import logging
import signal
import threading
from contextlib import contextmanager

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command

from heliograph import Durable, Retry, Signal, fixed
from heliograph.outbox.durable.retrying import Discard
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, LostWorkerError, Succeeded
from heliograph.outbox.work.runner import drain, run_one
from heliograph.outbox.worker import DeadThreadError, Worker
from tests.app.models import Genre
from tests.helpers.deliveries import row, states
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

sent = Signal(name="shop.interrupted")


class TimeIsUp(BaseException):
    """What is no Exception, as gevent.Timeout is none."""


class UnspeakableError(Exception):
    """An error that raises something else when it is asked for its text."""

    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


class UnprintableError(SyntaxError):
    """An error that Python cannot format: its line is not what a SyntaxError has there."""

    def __init__(self):
        super().__init__("no text")
        self.filename, self.lineno, self.text, self.offset = "orders.txt", object(), 5, "x"


def send(count=1):
    for _ in range(count):
        sent.send(sender=None, using="default")


def twice():
    return Retry(attempts=2, backoff=fixed(0), jitter=0)


@pytest.fixture
def act(receive):
    """Connect a durable receiver that does what a function does, in a worker."""

    def connect(action, **options):
        @receive(sent, delivery=Durable(**options))
        def record(sender, **payload):
            return action()

    return connect


@pytest.fixture
def raises(act):
    """Connect a durable receiver that raises an error."""

    def connect(error, **options):
        def fail():
            raise error

        act(fail, **options)

    return connect


@pytest.fixture
def raises_async(receive):
    """Connect an async durable receiver that raises an error."""

    def connect(error, **options):
        @receive(sent, delivery=Durable(**options))
        async def fail(sender, **payload):
            raise error

    return connect


ENDS = {
    "KeyboardInterrupt": KeyboardInterrupt("no"),
    "SystemExit": SystemExit(3),
    "GeneratorExit": GeneratorExit("no"),
    "CancelledError": asyncio.CancelledError("no"),
    "TimeIsUp": TimeIsUp("no"),
    "StopIteration": StopIteration("no"),
    "StopAsyncIteration": StopAsyncIteration("no"),
    "ExceptionGroup": ExceptionGroup("several", [ValueError("no")]),
    "BaseExceptionGroup": BaseExceptionGroup("several", [KeyboardInterrupt("no")]),
}

each_end = pytest.mark.parametrize("name", ENDS)


@each_end
@pytest.mark.parametrize("atomic", [True, False])
def test_a1_the_attempt_fails_with_its_own_error_and_the_same_worker_makes_the_next_one(raises, name, atomic):
    raises(ENDS[name], retry=twice(), atomic=atomic)
    send()
    Worker().run(drain=True)
    assert (row().state, row().attempts) == (State.DEAD, 2)
    assert [one["error"].partition(":")[0] for one in row().failures] == [name, name]


@pytest.mark.parametrize("name", [*ENDS.keys() - {"StopIteration"}])  # of which Python makes a RuntimeError
def test_an_async_receiver_may_raise_it_too(raises_async, name):
    raises_async(ENDS[name], retry=twice())
    send()
    Worker().run(drain=True)
    assert (row().state, row().attempts, row().error.partition(":")[0]) == (State.DEAD, 2, name)


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "SystemExit"])
async def test_an_async_receiver_may_raise_it_in_the_loop_of_who_drains(raises_async, name, async_database):
    raises_async(ENDS[name], retry=twice())
    await sync_to_async(send)()
    (first, second) = await sync_to_async(drain)()
    assert (type(first), type(second), type(second.error).__name__) == (Again, Dead, name)


@each_end
def test_a_delivery_that_is_run_by_its_id_has_failed_with_it(raises, name):
    raises(ENDS[name], retry=twice())
    send()
    found = []
    in_thread(lambda: found.append(run_one(row().pk)))  # as a worker of Celery or of Django's tasks does
    assert found == [Again(0, ENDS[name])]


def test_what_it_has_written_is_undone(act):
    def write_and_stop():
        Genre.objects.create()
        raise KeyboardInterrupt

    act(write_and_stop, retry=twice())
    send()
    Worker().run(drain=True)
    assert (Genre.objects.count(), row().state) == (0, State.DEAD)


def test_it_is_no_lost_worker(raises):
    raises(KeyboardInterrupt(), retry=Retry(attempts=1))
    send()
    Worker(concurrency=4).run(drain=True)
    assert LostWorkerError.__name__ not in row().error


def test_other_deliveries_are_made_by_the_same_thread(receive):
    received = []

    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def stop_every_other(sender, delivery, **payload):
        received.append(threading.current_thread().name)
        if delivery.id % 2:
            raise SystemExit

    send(4)
    Worker().run(drain=True)
    assert (len(received), len({*received})) == (4, 1)
    assert sorted(states()) == [State.DEAD] * 2 + [State.SUCCESSFUL] * 2


# --- which errors are retried -------------------------------------------------------------------------------------


def test_all_errors_are_retried_unless_something_else_is_said():
    assert Retry().is_due(KeyboardInterrupt(), 1)
    assert not Retry(on=Exception).is_due(KeyboardInterrupt(), 1)
    assert not Retry(give_up_on=SystemExit).is_due(SystemExit(), 1)
    assert Retry(on=(TimeIsUp, OSError)).is_due(TimeIsUp(), 1)


def test_a_group_is_retried_for_what_is_in_it():
    group = ExceptionGroup("several", [ValueError("no"), ExceptionGroup("more", [KeyError("k")])])
    assert Retry(on=KeyError).is_due(group, 1)
    assert not Retry(on=OSError).is_due(group, 1)
    assert not Retry(give_up_on=KeyError).is_due(group, 1)


# --- Ctrl-C -------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_a_drain_and_is_no_attempt(raises):
    raises(KeyboardInterrupt(), retry=twice())
    send()
    with pytest.raises(KeyboardInterrupt):
        drain()
    assert (row().state, row().attempts) == (State.READY, 0)


def test_an_interrupt_is_no_ctrl_c_where_the_process_receives_sigint_itself(raises):
    raises(KeyboardInterrupt(), retry=twice())
    send()
    with receiving_sigint():
        outcomes = drain()
    assert [type(one) for one in outcomes] == [Again, Dead]


@contextmanager
def receiving_sigint():
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# --- errors without a text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [UnspeakableError(), UnprintableError()], ids=["no text", "no traceback"])
def test_an_error_that_cannot_be_shown_is_kept_by_its_class(raises, error):
    raises(error, retry=twice())
    send()
    Worker().run(drain=True)
    assert row().state == State.DEAD
    assert type(error).__name__ in row().error
    assert "in fail" in row().traceback


def test_a_group_says_what_is_in_it(raises):
    inner = ExceptionGroup("more", [KeyError("k")])
    raises(ExceptionGroup("several", [ValueError("no"), inner]), retry=Retry(attempts=1))
    send()
    drain()
    assert row().error == "ExceptionGroup: several (2 sub-exceptions) [ValueError: no; KeyError: 'k']"


def test_a_backoff_that_ends_the_program_stops_no_other(raises):
    def backoff(attempt):
        raise SystemExit

    raises(ValueError("no"), retry=Retry(attempts=2, backoff=backoff))
    send()
    (outcome,) = drain()
    assert type(outcome) is Again


# --- threads that die nevertheless --------------------------------------------------------------------------------


@pytest.fixture
def _log_that_kills():
    """Let the log raise what ends a thread, after an attempt that has succeeded."""

    def kill(record):
        if "succeeded" in record.msg:
            raise SystemExit(0)
        return True

    logger, level = logging.getLogger("heliograph.outbox"), logging.getLogger("heliograph.outbox").level
    logger.addFilter(kill)
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)
    logger.removeFilter(kill)


@pytest.mark.usefixtures("_log_that_kills")
def test_a_worker_whose_thread_has_died_ends_and_says_so(act):
    act(lambda: None)
    send()
    with pytest.raises(DeadThreadError) as caught:
        Worker(concurrency=4).run()
    assert str(caught.value) == (
        f"The worker has ended because its thread {row().worker} has died of SystemExit: 0. The log has the traceback."
        " What the thread had claimed is given back: start the worker again."
    )
    assert states() == [State.SUCCESSFUL]


@pytest.mark.usefixtures("_log_that_kills")
def test_what_the_thread_had_claimed_is_given_back_and_counts_as_no_attempt(act):
    act(lambda: None)
    send(20)
    with pytest.raises(DeadThreadError):
        Worker().run()
    assert {*Delivery.objects.values_list("state", "attempts")} == {(State.SUCCESSFUL, 1), (State.READY, 0)}
    assert not Delivery.objects.filter(state=State.READY).exclude(worker="").exists()


@pytest.mark.usefixtures("_log_that_kills")
def test_a1_its_command_ends_with_1(act):
    act(lambda: None)
    send()
    with pytest.raises(CommandError, match=r"^The worker has ended because its thread \S+ has died") as caught:
        call_command("outbox", "run", "--drain", verbosity=0)
    assert caught.value.returncode == 1


def test_a_worker_whose_threads_end_as_they_should_says_nothing(act):
    act(lambda: Discard("no"))
    send()
    call_command("outbox", "run", "--drain", verbosity=0)
    assert states() == [State.DISCARDED]
    assert drain() == []
    assert Succeeded not in map(type, drain())
