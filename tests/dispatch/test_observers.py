"""Observers of the whole process: who observes, what, until when, and that nothing else comes of it."""

import asyncio
import logging
import os
import threading

import pytest

from heliograph.dispatch import Called, Ended, ObservedEvent, Sent, Signal, Skipped, add_observer, mute, observe
from heliograph.dispatch.observed_calls import notify
from heliograph.dispatch.observers import observing
from heliograph.dispatch.scopes import current, everywhere, open_scopes, watch


class Shipped(ObservedEvent):
    """An event of a part above the dispatcher."""


def echo(value=None, **kwargs):
    return value


async def echo_async(value=None, **kwargs):
    await asyncio.sleep(0)
    return value


def breaks(event):
    raise RuntimeError("broken")


@pytest.fixture
def signal():
    signal = Signal(name="shop.sold")
    signal.connect(echo)
    return signal


@pytest.fixture
def added():
    """Add observers that are removed after the test."""
    undos = []

    def add(*arguments):
        undos.append(add_observer(*arguments))
        return undos[-1]

    yield add
    for undo in undos:
        undo()
    assert everywhere == watch == []


def kinds(events):
    return [type(event) for event in events]


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


# --- who observes --------------------------------------------------------------------------------------------------


def test_d14_an_observer_of_the_process_observes_the_sends_of_every_thread(signal, added):
    events = []
    added(events.append)
    signal.send(None, value=1)
    in_thread(signal.send, None)
    assert kinds(events) == [Sent, Called, Ended] * 2


def test_a_call_has_the_payload_of_its_send(signal):
    events = []
    with observe(events.append, Called):
        signal.send(None, value=1)

    assert events[0].payload == {"signal": signal, "sender": None, "value": 1}


async def test_d14_it_observes_the_sends_of_every_task(signal, added):
    signal.connect(echo_async)
    ready = asyncio.Event()

    async def send_later():
        await ready.wait()
        return await signal.asend(None, value=1)

    before = asyncio.create_task(send_later())
    events = []
    added(events.append)
    ready.set()
    assert await before == [(echo, 1), (echo_async, 1)]
    assert kinds(events) == [Sent, Called, Called, Ended]
    assert [event.parent for event in events[:-1]] == [None, events[0].number, events[0].number]


def test_it_is_called_beside_the_observers_of_a_block(signal, added):
    observed = []
    added(lambda event: observed.append("process"), Sent)
    with observe(lambda event: observed.append("block"), Sent):
        signal.send(None)
        in_thread(signal.send, None)
    signal.send(None)
    assert observed == ["process", "block", "process", "process"]


def test_a_mute_silences_receivers_and_no_observer(signal, added):
    events = []
    added(events.append)
    with mute(signal):
        assert signal.send(None) == []
    assert kinds(events) == [Sent, Skipped, Ended]


def test_an_observer_that_was_added_twice_is_called_twice(signal, added):
    events = []
    added(events.append, Sent)
    undo = added(events.append, Sent)
    signal.send(None)
    undo()
    signal.send(None)
    assert len(events) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_d14_a_forked_process_has_the_observer_and_removes_it_for_itself_only(signal, added):
    events = []
    undo = added(events.append)
    child = os.fork()
    if not child:
        signal.send(None)
        undo()
        signal.send(None)
        os._exit(len(events) * 10 + len(watch))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 30
    assert events == []
    signal.send(None)
    assert kinds(events) == [Sent, Called, Ended]


# --- of what ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [[Sent], [Called], [Sent, Called]], ids=str)
def test_an_observer_observes_the_kinds_of_events_that_it_names(signal, added, wanted):
    events, of_block = [], []
    added(events.append, *wanted)
    with observe(of_block.append, *wanted):
        signal.send(None)
        notify(open_scopes(), Shipped())
    assert kinds(events) == kinds(of_block) == wanted


def test_an_observer_that_names_no_kind_observes_all(signal, added):
    events = []
    added(events.append)
    signal.send(None)
    notify(open_scopes(), Shipped())
    assert kinds(events) == [Sent, Called, Ended, Shipped]


def test_d14_no_send_looks_at_an_observer_of_other_events(signal, added):
    events = []
    added(events.append, Shipped)
    with observe(events.append, Shipped):
        assert watch == []
        with mute():  # which has sends ask who watches
            assert [type(scope) for scope in current()] == [mute]
        signal.send(None)
        assert events == []
        notify(open_scopes(), Shipped())
    assert kinds(events) == [Shipped] * 2


# --- until when ---------------------------------------------------------------------------------------------------


def test_an_observer_that_was_removed_is_called_no_more_and_may_be_removed_again(signal, added):
    events = []
    undo = added(events.append)
    undo()
    undo()
    signal.send(None)
    assert events == watch == []


def test_removing_one_twice_leaves_the_others(signal, added):
    events = []
    undo = added(lambda event: None)
    added(events.append)
    undo()
    undo()
    signal.send(None)
    assert kinds(events) == [Sent, Called, Ended]


def test_d14_a_send_that_has_begun_is_observed_to_its_end_though_another_thread_removes_the_observer(signal, added):
    events = []
    undo = added(events.append)
    signal.connect(lambda **kwargs: in_thread(undo), order=-1, weak=False)
    signal.send(None)
    assert kinds(events) == [Sent, Called, Called, Ended]
    signal.send(None)
    assert len(events) == 4


def test_an_observer_that_is_added_during_a_send_observes_the_next_one(signal, added):
    events = []
    signal.connect(lambda **kwargs: events or added(events.append), order=-1, weak=False)
    signal.send(None)
    assert events == []
    signal.send(None)
    assert kinds(events) == [Sent, Called, Called, Ended]


def test_d14_many_threads_add_and_remove_while_others_send(signal, added):
    failed, stop, counted = [], threading.Event(), []
    added(counted.append, Sent)

    def send():
        while not stop.is_set():
            if signal.send(None, value=1) != [(echo, 1)]:
                failed.append("the responses are others")

    def add_and_remove():
        for _ in range(300):
            undo = add_observer(lambda event: None)
            in_thread(undo)
            undo()

    senders = [threading.Thread(target=send) for _ in range(2)]
    adders = [threading.Thread(target=add_and_remove) for _ in range(3)]
    for thread in (*senders, *adders):
        thread.start()
    for thread in adders:
        thread.join()
    stop.set()
    for thread in senders:
        thread.join()
    assert not failed
    assert len(everywhere) == len(watch) == 1
    assert len(counted) > 0


# --- nothing else comes of it -------------------------------------------------------------------------------------


def test_d14_what_an_observer_raises_is_logged_and_neither_the_sender_nor_other_observers_know(signal, added, caplog):
    events = []
    added(breaks)
    added(events.append)
    with caplog.at_level(logging.ERROR, "heliograph.observers"):
        assert signal.send(None, value=1) == [(echo, 1)]
    assert kinds(events) == [Sent, Called, Ended]
    name = "tests.dispatch.test_observers.breaks"
    assert caplog.messages == [f"Observer {name} failed on a {kind} event" for kind in ("Sent", "Called", "Ended")]


def test_an_observer_does_not_observe_what_it_sends_itself(signal, added):
    """A metric that is saved as a row sends post_save, of which another row would be saved, and so on."""
    saved, seen = Signal(), []
    added(lambda event: saved.send(None))
    added(seen.append, Sent)
    signal.send(None)
    assert [event.signal for event in seen] == [saved, signal, saved, saved]


def test_an_observer_is_called_again_after_it_has_raised(signal, added):
    events = []

    def records_and_breaks(event):
        events.append(event)
        raise RuntimeError("broken")

    added(records_and_breaks, Sent)
    signal.send(None)
    signal.send(None)
    assert kinds(events) == [Sent] * 2


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("adding", [add_observer, observe])
def test_what_cannot_be_an_observer_is_refused(adding):
    with pytest.raises(TypeError, match=r"^An observer is a function of an event, not 'shop\.metrics'\.$"):
        adding("shop.metrics")
    expected = r"^The observer tests\.dispatch\.test_observers\.echo_async is async, and nobody would await it: "
    with pytest.raises(TypeError, match=expected + r"make it a plain function, which a send can call\.$"):
        adding(echo_async)
    assert everywhere == []


@pytest.mark.parametrize("kind", [int, "Sent", Signal()], ids=["class", "text", "signal"])
def test_what_is_no_kind_of_event_is_refused(kind):
    with pytest.raises(TypeError, match=r"^An observer observes kinds of events, as Sent and Called are, not of .*\.$"):
        add_observer(print, kind)


# --- names --------------------------------------------------------------------------------------------------------


def test_the_names_of_those_who_observe_are_those_of_the_process_and_of_the_blocks(added):
    added(echo, Sent, Called)
    with observe(print), mute():
        assert observing() == ["tests.dispatch.test_observers.echo (Sent, Called)", "builtins.print"]
    assert observing() == ["tests.dispatch.test_observers.echo (Sent, Called)"]
