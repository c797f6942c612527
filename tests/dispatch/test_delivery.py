"""Delivery policies, and signals of other dispatchers."""

import gc

import pytest

from heliograph.dispatch import Call, Signal, receiver


class Later:
    """A policy that keeps calls until they are asked for."""

    def __init__(self):
        self.calls = []

    def deliver(self, call):
        self.calls.append(call)
        return "later"


class Foreign:
    """A signal of another dispatcher: it knows receivers and senders, and nothing of options."""

    def __init__(self):
        self.connected = []

    def connect(self, function, sender=None, weak=True, dispatch_uid=None):
        self.connected.append((function, sender, weak))

    def send(self, **payload):
        return [function(signal=self, **payload) for function, _, _ in self.connected]


def hears(value, **kwargs):
    return value


def test_a_policy_is_handed_the_call_and_says_what_the_send_lists():
    signal, later = Signal(), Later()
    signal.connect(hears, delivery=later)
    assert signal.send(None, value=1) == [(hears, "later")]
    (call,) = later.calls
    assert call == Call(hears, {"signal": signal, "sender": None, "value": 1})
    assert call.make() == 1


def test_a_policy_is_not_handed_a_call_that_is_not_due():
    signal, later = Signal(), Later()
    signal.connect(hears, delivery=later, when=lambda value, **kwargs: value > 1)
    assert signal.send(None, value=1) == []
    assert later.calls == []


async def test_a_policy_may_put_the_call_of_an_async_receiver_off():
    signal, later = Signal(), Later()

    async def hears_async(value, **kwargs):
        return value

    signal.connect(hears_async, delivery=later)
    assert await signal.asend(None, value=1) == [(hears_async, "later")]
    assert await later.calls[0].make() == 1


@pytest.mark.parametrize("sender", [None, "one"])
def test_a_plain_receiver_is_connected_to_a_foreign_signal_as_it_is(sender):
    foreign = Foreign()
    assert receiver(foreign, sender=sender)(hears) is hears
    assert foreign.connected == [(hears, sender, True)]


def test_several_senders_and_a_condition_work_on_a_foreign_signal():
    foreign = Foreign()
    receiver(foreign, sender=["one", "two"], when=lambda value, **kwargs: value > 1)(hears)
    assert [(sender, weak) for _, sender, weak in foreign.connected] == [("one", False), ("two", False)]
    assert foreign.send(sender="one", value=2) == [2, 2]
    assert [repr(response) for response in foreign.send(sender="one", value=1)] == ["SKIPPED", "SKIPPED"]


def test_a_guarded_receiver_of_a_foreign_signal_is_still_referred_to_weakly():
    foreign = Foreign()

    @receiver(foreign, when=lambda **kwargs: True)
    def local(**kwargs):
        return "local"

    assert foreign.send() == ["local"]
    del local
    gc.collect()
    assert [repr(response) for response in foreign.send()] == ["SKIPPED"]
