"""Delivery policies, and signals of other dispatchers."""

import functools

from heliograph.dispatch import Call, Signal
from heliograph.dispatch.sends import guarded_for


class Later:
    """A policy that keeps calls until they are asked for."""

    def __init__(self):
        self.calls = []

    def deliver(self, call):
        self.calls.append(call)
        return "later"


def receives(value, **kwargs):
    return value


def test_a_policy_is_handed_the_call_and_says_what_the_send_lists():
    signal, later = Signal(), Later()
    signal.connect(receives, delivery=later)
    assert signal.send(None, value=1) == [(receives, "later")]
    (call,) = later.calls
    assert call == Call(receives, {"signal": signal, "sender": None, "value": 1})
    assert call.make() == 1


def test_a_policy_is_not_handed_a_call_that_is_not_due():
    signal, later = Signal(), Later()
    signal.connect(receives, delivery=later, when=lambda value, **kwargs: value > 1)
    assert signal.send(None, value=1) == []
    assert later.calls == []


async def test_a_policy_may_put_the_call_of_an_async_receiver_off():
    signal, later = Signal(), Later()

    async def receives_async(value, **kwargs):
        return value

    signal.connect(receives_async, delivery=later)
    assert await signal.asend(None, value=1) == [(receives_async, "later")]
    assert await later.calls[0].make() == 1


class OfAnotherDispatcher:
    """A signal that another dispatcher runs: a monitoring tool has put a wrapper around what it calls."""

    def __init__(self, called):
        self.called = called

    def _live_receivers(self, sender):
        return [self.called], []


def test_a_receiver_with_options_is_found_behind_the_wrapper_of_a_tool():
    signal = Signal()
    decorated = functools.wraps(receives)(lambda value, **kwargs: receives(value, **kwargs))
    signal.connect(decorated, delivery=Later())
    (guarded,) = guarded_for(signal, None)
    wrapped = functools.wraps(guarded)(lambda *args, **kwargs: guarded(*args, **kwargs))

    assert guarded_for(OfAnotherDispatcher(wrapped), None) == [guarded]
