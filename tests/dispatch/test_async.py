"""Async receivers, and sends from async code."""

import asyncio
import contextvars
import functools
import gc
import sys
import threading

import pytest

from heliograph.dispatch import Signal
from heliograph.dispatch.concurrency import Overlapping

variable = contextvars.ContextVar("variable", default="unset")


class OverlappingSignal(Signal):
    """A signal with the contract of Django 5.2 and 6.0."""

    _concurrency = Overlapping()


async def quick(**kwargs):
    return "quick"


async def waits(**kwargs):
    await asyncio.sleep(0)
    return "waits"


def sync(**kwargs):
    return threading.current_thread()


class Unequal:
    """A value that does not compare, as arrays and lazy expressions do."""

    def __ne__(self, other):
        raise RuntimeError("not comparable")

    __eq__ = __ne__
    __hash__ = object.__hash__


@pytest.fixture(params=[Signal, OverlappingSignal], ids=["6.1", "5.2"])
def signal(request):
    return request.param()


def responses(pairs):
    return [response for _, response in pairs]


@pytest.mark.parametrize("verb", ["send", "send_robust"])
def test_d4_a_sync_send_runs_async_receivers_after_the_sync_ones(signal, verb):
    signal.connect(quick)
    signal.connect(sync)
    signal.connect(waits)
    assert responses(getattr(signal, verb)(None)) == [threading.current_thread(), "quick", "waits"]


@pytest.mark.parametrize("verb", ["asend", "asend_robust"])
async def test_an_async_send_lists_the_sync_receivers_first(signal, verb):
    signal.connect(waits)
    signal.connect(sync)
    first, second = await getattr(signal, verb)(None)
    assert first[0] is sync
    assert second == (waits, "waits")


@pytest.mark.parametrize("verb", ["asend", "asend_robust"])
async def test_an_async_send_without_receivers_returns_an_empty_list(signal, verb):
    assert await getattr(signal, verb)(None) == []


async def test_a_sync_receiver_of_an_async_send_runs_in_a_thread(signal):
    signal.connect(sync)
    assert responses(await signal.asend(None)) != [threading.current_thread()]


async def test_a_receiver_that_does_not_block_runs_in_the_event_loop(signal):
    signal.connect(sync, blocking=False)
    assert responses(await signal.asend(None)) == [threading.current_thread()]
    assert responses(signal.send(None)) == [threading.current_thread()]


async def test_one_receiver_that_may_block_takes_all_sync_ones_to_its_thread(signal):
    signal.connect(sync, blocking=False)

    def other(**kwargs):
        return threading.current_thread()

    signal.connect(other)
    one, two = responses(await signal.asend(None))
    assert one is two is not threading.current_thread()


async def test_d4_async_receivers_run_beside_each_other(signal):
    met = asyncio.Event()

    async def waits_for_the_other(**kwargs):
        await met.wait()
        return "met"

    async def comes(**kwargs):
        met.set()

    signal.connect(waits_for_the_other)
    signal.connect(comes)
    assert responses(await signal.asend(None)) == ["met", None]


def test_an_object_with_an_async_call_is_awaited(signal):
    class Receiver:
        async def __call__(self, **kwargs):
            return "awaited"

    receiver, partial = Receiver(), functools.partial(Receiver())
    signal.connect(receiver)
    signal.connect(partial)
    assert responses(signal.send(None)) == ["awaited", "awaited"]


async def test_a_partial_of_an_async_function_is_awaited(signal):
    partial = functools.partial(quick)
    signal.connect(partial)
    assert await signal.asend(None) == [(partial, "quick")]


async def test_one_async_failure_is_raised_as_it_is(signal):
    async def fails(**kwargs):
        raise ValueError("no")

    signal.connect(fails)
    with pytest.raises(ValueError, match=r"^no$"):
        await signal.asend(None)
    signal.connect(waits)
    with pytest.raises(ValueError, match=r"^no$"):
        await signal.asend(None)


async def failing(error, **kwargs):
    await asyncio.sleep(0)
    raise error


async def test_two_async_failures_are_a_group_as_in_django_6_1():
    signal, receivers = Signal(), [functools.partial(failing, ValueError(number)) for number in range(2)]
    for receiver in receivers:
        signal.connect(receiver)
    with pytest.raises(ExceptionGroup) as caught:
        await signal.asend(None)
    assert [str(error) for error in caught.value.exceptions] == ["0", "1"]


async def test_the_first_of_two_async_failures_is_raised_as_in_django_5_2():
    signal, receivers = OverlappingSignal(), [functools.partial(failing, ValueError(number)) for number in range(2)]
    for receiver in receivers:
        signal.connect(receiver)
    with pytest.raises(ValueError, match=r"^0$"):
        await signal.asend(None)


async def test_a_failure_cancels_the_receivers_that_still_run():
    signal, ended = Signal(), []

    async def fails(**kwargs):
        raise ValueError("no")

    async def runs_on(**kwargs):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def is_done(**kwargs):
        pass

    for receiver in (runs_on, fails, is_done):
        signal.connect(receiver)
    with pytest.raises(ValueError, match=r"^no$"):
        await signal.asend(None)
    assert ended == ["cancelled"]


async def test_a_sender_that_is_cancelled_cancels_its_receivers():
    signal, started, ended = Signal(), asyncio.Event(), []

    async def runs(number, **kwargs):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    receivers = [functools.partial(runs, number) for number in range(2)]
    for receiver in receivers:
        signal.connect(receiver)
    sending = asyncio.create_task(signal.asend(None))
    await started.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert ended == [0, 1]


async def test_an_error_in_the_cleanup_of_a_cancelled_receiver_is_not_lost():
    signal, started = Signal(), asyncio.Event()

    async def fails_late(**kwargs):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("late")

    signal.connect(fails_late)
    signal.connect(quick)
    sending = asyncio.create_task(signal.asend(None))
    await started.wait()
    sending.cancel()
    with pytest.raises(ValueError, match=r"^late$"):
        await sending


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Eager tasks came with Python 3.12.")
def test_a_receiver_that_exits_leaves_no_other_running(recwarn):
    signal, ended = Signal(), []

    async def runs(**kwargs):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def exits(**kwargs):
        raise SystemExit(3)

    for receiver in (runs, exits, quick):
        signal.connect(receiver)
    with pytest.raises(SystemExit):
        asyncio.run(signal.asend(None))
    assert ended == ["ended"]
    assert not recwarn.list


@pytest.mark.parametrize("beside", [(), (waits,), (quick, waits)], ids=["alone", "beside one", "beside two"])
@pytest.mark.parametrize("verb", ["asend", "asend_robust"])
async def test_a_receiver_that_raises_cancelled_error_is_not_silenced(signal, verb, beside):
    async def cancelled(**kwargs):
        raise asyncio.CancelledError("by the receiver")

    for receiver in (cancelled, *beside):
        signal.connect(receiver)
    with pytest.raises(asyncio.CancelledError):
        await getattr(signal, verb)(None)


async def test_a_robust_async_send_keeps_every_exception(signal, caplog):
    async def fails(**kwargs):
        raise ValueError("async")

    def fails_too(**kwargs):
        raise ValueError("sync")

    signal.connect(fails)
    signal.connect(fails_too)
    signal.connect(quick)
    errors = responses(await signal.asend_robust(None))
    assert [str(error) for error in errors] == ["sync", "async", "quick"]
    assert all(error.__traceback__ for error in errors[:2])
    assert len(caplog.records) == 2


async def test_a_failing_sync_receiver_ends_an_async_send(signal, recwarn):
    def fails(**kwargs):
        raise ValueError("no")

    signal.connect(fails)
    signal.connect(quick)
    with pytest.raises(ValueError, match=r"^no$"):
        await signal.asend(None)
    assert not recwarn.list


async def test_context_set_by_receivers_reaches_the_sender_as_in_django_6_1():
    signal = Signal()

    async def sets(**kwargs):
        variable.set("async")

    signal.connect(sets)
    await signal.asend(None)
    assert variable.get() == "async"
    signal.connect(waits)
    variable.set("before")
    await signal.asend(None)
    assert variable.get() == "async"


async def test_context_set_by_receivers_stays_with_them_as_in_django_5_2():
    signal = OverlappingSignal()

    async def sets(**kwargs):
        variable.set("async")

    signal.connect(sets)
    variable.set("before")
    await signal.asend(None)
    assert variable.get() == "before"


async def test_a_context_variable_whose_value_does_not_compare_disturbs_nothing(signal):
    other = contextvars.ContextVar("other")
    variable.set(Unequal())

    async def sets(**kwargs):
        variable.set(Unequal())
        other.set("new")

    signal.connect(sets)
    signal.connect(waits)
    signal.connect(sync)
    assert len(await signal.asend(None)) == 3


async def test_sync_and_async_receivers_overlap_in_django_5_2_only():
    events = {}
    for kind in (Signal, OverlappingSignal):
        signal, order = kind(), events.setdefault(kind, [])
        begun = threading.Event()

        def blocks(signal, order=order, begun=begun, **kwargs):
            overlapped = begun.wait(timeout=60 if isinstance(signal, OverlappingSignal) else 0)
            order.append(overlapped)

        async def begins(begun=begun, **kwargs):
            begun.set()

        signal.connect(blocks)
        signal.connect(begins)
        await signal.asend(None)
    assert events == {Signal: [False], OverlappingSignal: [True]}


def test_an_async_receiver_with_options_that_dies_during_a_send_is_not_called():
    class Owner:
        async def receive(self, **kwargs):
            raise AssertionError("not called")

    def let_go(**kwargs):
        owners.clear()
        gc.collect()

    signal, owners = Signal(), [Owner()]
    signal.connect(let_go)
    signal.connect(owners[0].receive, when=lambda **kwargs: True)
    assert signal.send(None) == [(let_go, None)]
