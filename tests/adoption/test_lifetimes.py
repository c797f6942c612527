"""Receivers, senders and signals that go, in a process that must not go with them."""

from textwrap import dedent

from tests.helpers.bare import run

SIGNAL = """
import gc, weakref
from django.dispatch import Signal

class Order:
    pass

def keep(**kwargs):
    pass

signal = Signal()
signal.connect(keep, sender=Order)
"""


def test_a_strong_receiver_of_anybody_can_be_disconnected_and_dropped():
    script = """
        def receiver(**kwargs): pass
        signal.connect(receiver, weak=False)
        signal.send(sender=Order)
        signal.disconnect(receiver)
        del receiver
        signal.send(sender=Order)
        report("alive")
    """
    assert run(SIGNAL + dedent(script)) == ["alive"]


def test_a_strong_receiver_that_others_refer_to_weakly_can_be_disconnected_and_dropped():
    script = """
        def receiver(**kwargs): pass
        reference = weakref.ref(receiver, lambda gone: None)
        signal.connect(receiver, sender=Order, weak=False)
        signal.disconnect(receiver, sender=Order)
        del receiver
        signal.send(sender=Order)
        report(reference())
    """
    assert run(SIGNAL + dedent(script)) == [None]


def test_a_strong_bound_method_can_be_disconnected_and_dropped():
    script = """
        class Recorder:
            def record(self, **kwargs): pass
        recorder = Recorder()
        reference = weakref.ref(recorder, lambda gone: None)
        signal.connect(recorder.record, weak=False)
        signal.send(sender=Order)
        signal.disconnect(recorder.record)
        del recorder
        signal.send(sender=Order)
        report(reference())
    """
    assert run(SIGNAL + dedent(script)) == [None]


def test_a_signal_with_strong_receivers_can_be_dropped():
    script = """
        def receiver(**kwargs): pass
        reference = weakref.ref(receiver, lambda gone: None)
        signal.connect(receiver, weak=False)
        signal.send(sender=Order)
        del receiver, signal
        gc.collect()
        report(reference())
    """
    assert run(SIGNAL + dedent(script)) == [None]


def test_a_sender_with_strong_receivers_can_be_dropped():
    script = """
        def receiver(**kwargs): pass
        reference = weakref.ref(receiver, lambda gone: None)
        signal.connect(receiver, sender=Order, weak=False)
        signal.connect(receiver, weak=False)
        signal.send(sender=Order)
        del Order
        gc.collect()
        signal.disconnect(receiver)
        del receiver
        gc.collect()
        signal.send(sender=None)
        report(reference())
    """
    assert run(SIGNAL + dedent(script)) == [None]


def test_a_strong_receiver_can_be_muted_by_assignment_and_dropped():
    script = """
        def receiver(**kwargs): pass
        reference = weakref.ref(receiver, lambda gone: None)
        signal.connect(receiver, weak=False)
        signal.send(sender=Order)
        signal.receivers = []
        del receiver
        signal.send(sender=Order)
        gc.collect()
        report(reference())
    """
    assert run(SIGNAL + dedent(script)) == [None]
