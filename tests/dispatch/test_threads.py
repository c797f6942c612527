"""Threads and garbage collection, at any time."""

import gc
import sys
import threading

import pytest

from heliograph.dispatch import Signal
from heliograph.dispatch.routes import Bucket, registering


@pytest.fixture
def _often_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*functions):
    """Run functions in threads of their own, started together; raise what the first failing one raised."""
    barrier, errors = threading.Barrier(len(functions)), []

    def guarded(function):
        barrier.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    if errors:
        raise errors[0]


class Sender:
    pass


def receiver_number(number):
    def receiver(**kwargs):
        return number

    return receiver


@pytest.mark.usefixtures("_often_switching")
def test_a_receiver_is_called_as_soon_as_its_connect_has_returned():
    signal, missed = Signal(), []

    def connects_and_sends(sender):
        for _ in range(300):
            receiver = receiver_number(0)
            signal.connect(receiver, sender=sender)
            if not any(received is receiver for received, _ in signal.send(sender=Sender)):
                missed.append(receiver)
            signal.disconnect(receiver, sender=sender)
            if any(received is receiver for received, _ in signal.send(sender=Sender)):
                missed.append(receiver)

    in_threads(*(lambda sender=sender: connects_and_sends(sender) for sender in (None, Sender, None, Sender)))
    assert missed == []


@pytest.mark.usefixtures("_often_switching")
def test_d9_receivers_of_all_threads_are_there_once_and_in_order():
    signal, kept = Signal(), [[receiver_number((thread, n)) for n in range(200)] for thread in range(4)]

    def connects(receivers):
        for receiver in receivers:
            signal.connect(receiver)
            signal.connect(receiver)
            signal.send(None)

    in_threads(*(lambda receivers=receivers: connects(receivers) for receivers in kept))
    numbers = [number for _, number in signal.send(None)]
    assert len(numbers) == 800
    for thread in range(4):
        assert [n for t, n in numbers if t == thread] == list(range(200))


@pytest.mark.usefixtures("_often_switching")
def test_d9_sends_while_receivers_die_and_collect_garbage():
    signal, ends = Signal(), threading.Event()
    stays = receiver_number("stays")
    signal.connect(stays)

    def sends():
        while not ends.is_set():
            assert signal.send(Sender)[0] == (stays, "stays")

    def churns():
        for _ in range(300):
            cyclic = receiver_number("dies")
            cyclic.self = cyclic
            signal.connect(cyclic, sender=Sender)
            del cyclic
            gc.collect(0)
        ends.set()

    in_threads(sends, churns)
    gc.collect()
    assert signal.send(Sender) == [(stays, "stays")]


def test_a_finalizer_that_disconnects_in_the_middle_of_a_connect_does_not_deadlock():
    signal, other = Signal(), receiver_number(0)
    signal.connect(other)

    class Disconnects:
        def __del__(self):
            signal.disconnect(other)

    def works():
        with registering:  # where garbage collection would strike
            doomed = Disconnects()
            doomed.cycle = doomed
            del doomed
            gc.collect()

    in_threads(works)
    assert signal.send(None) == []


def test_a_send_in_the_middle_of_a_connect_does_not_leave_the_signal_deaf(monkeypatch):
    signal, receiver, add = Signal(), receiver_number(1), Bucket.add
    signal.send(None)

    def interrupted(bucket, connection):
        signal.send_robust(Sender)  # as a signal handler of the process would
        add(bucket, connection)

    monkeypatch.setattr(Bucket, "add", interrupted)
    signal.connect(receiver)
    assert signal.send(None) == [(receiver, 1)]


def test_a_finalizer_that_connects_to_the_same_value_in_the_middle_of_a_connect_loses_nobody(monkeypatch):
    signal, one, two, add = Signal(), receiver_number(1), receiver_number(2), Bucket.add
    signal.connect(two, sender="text")

    def interrupted(bucket, connection):
        monkeypatch.undo()
        signal.disconnect(two, sender="text")
        add(bucket, connection)

    monkeypatch.setattr(Bucket, "add", interrupted)
    signal.connect(one, sender="text")
    assert signal.send("text") == [(one, 1)]


@pytest.mark.usefixtures("_often_switching")
def test_d9_two_signals_whose_receivers_send_each_other_do_not_deadlock():
    one, two = Signal(), Signal()

    def crosses(signal, depth, **kwargs):
        if depth:
            (two if signal is one else one).send(None, depth=depth - 1)

    for signal in (one, two):
        signal.connect(crosses)
    in_threads(*(lambda signal=signal: [signal.send(None, depth=3) for _ in range(200)] for signal in (one, two)))


def test_a_send_takes_no_lock():
    signal = Signal()
    signal.connect(receiver_number(1), weak=False, sender=Sender, subclasses=True)
    signal.connect(receiver_number(2), weak=False)
    silent = Signal()
    silent.connect(receiver_number(1), weak=False, dispatch_uid="leaves")
    silent.disconnect(dispatch_uid="leaves")
    with registering:
        in_threads(lambda: silent.send(Sender))
        in_threads(lambda: signal.send(Sender), lambda: signal.send(None), lambda: signal.send("text"))


@pytest.mark.usefixtures("_often_switching")
def test_a_signal_is_given_one_table_whoever_comes_first():
    for _ in range(50):
        signal = Signal.__new__(Signal)
        signal.__dict__["receivers"] = []
        tables = []
        in_threads(*[lambda signal=signal, tables=tables: tables.append(signal._table)] * 4)
        assert len(set(map(id, tables))) == 1
