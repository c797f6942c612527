"""Faults of Django's dispatcher, each seen in Django 6.1, that this one does not have."""

import functools
import gc

import pytest

from heliograph.dispatch import Signal


def fails(**kwargs):
    raise ValueError("no")


class Failing:
    def __call__(self, **kwargs):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("receiver", "name"),
    [(functools.partial(fails), "partial(fails)"), (Failing(), "Failing.__call__")],
    ids=["partial", "object"],
)
def test_a_robust_send_names_a_failing_receiver_without_a_qualname(signal, receiver, name, caplog):
    signal.connect(receiver)
    ((_, error),) = signal.send_robust(None)
    assert isinstance(error, ValueError)
    assert caplog.messages == [f"Error calling {name} in Signal.send_robust() (no)"]


def test_a_dead_sender_without_weak_references_leaves_no_receiver_for_the_next_with_its_id(signal):
    got = []

    def receiver(sender, **kwargs):
        got.append(sender)

    for number in range(100):
        signal.connect(receiver, sender=("sender", number))
    gc.collect()
    for number in range(100, 200):
        signal.send(sender=("sender", number))
    assert got == []


def test_zero_is_a_dispatch_uid(signal):
    signal.connect(fails, dispatch_uid=0)
    assert signal.disconnect(dispatch_uid=0)
    assert signal.send(None) == []


@pytest.mark.parametrize("caching", [False, True])
def test_an_unhashable_sender_can_send(caching):
    signal = Signal(use_caching=caching)
    receiver = lambda **kwargs: "received"  # noqa: E731
    signal.connect(receiver)
    assert signal.send(sender=["unhashable"]) == [(receiver, "received")]
    assert signal.has_listeners(["unhashable"])


def test_verifying_a_receiver_does_not_keep_it_alive(signal):
    def local(sender, **kwargs):
        pass

    signal.connect(local)
    del local
    gc.collect()
    assert signal.receivers == []
