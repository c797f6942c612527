"""Delivery policies, and signals of other dispatchers."""

import functools
import gc
from dataclasses import replace

import pytest

from heliograph.dispatch import Call, Inline, Signal
from heliograph.dispatch.reentrancy import at_work
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


class PutOff(Later):
    """A policy that says that it makes its calls later."""

    def connected(self, options, receiver, target):
        return replace(options, defers=True)


def test_an_async_receiver_that_is_called_later_is_no_coroutine_for_those_who_call_it_now():
    signal = Signal()

    async def receives_async(**kwargs):
        """A receiver."""

    signal.connect(receives_async, delivery=PutOff())
    (guarded,) = guarded_for(signal, None)

    assert guarded.__name__ == "receives_async"
    with pytest.raises(AttributeError, match=r"receives_async.* is called later: it has no _is_coroutine_mark here\.$"):
        guarded._is_coroutine_mark  # noqa: B018 - to ask is what raises


def test_a_receiver_that_is_called_later_is_not_at_work_before():
    class AsksWhoIsAtWork(PutOff):
        def deliver(self, call):
            super().deliver(call)
            return at_work()

    signal = Signal()
    signal.connect(receives, delivery=AsksWhoIsAtWork(), reentrant="skip")

    assert signal.send(None, instance=object(), value=1) == [(receives, ())]


def test_a_receiver_with_options_that_dies_during_the_send_is_not_called():
    class Owner:
        def receive(self, **kwargs):
            raise AssertionError

    signal, owners = Signal(), [Owner()]

    def forget(**kwargs):
        owners.clear()
        gc.collect()

    signal.connect(forget)
    signal.connect(owners[0].receive, delivery=Later())

    assert signal.send(None) == [(forget, None)]


@pytest.mark.parametrize(("policy", "text"), [(Inline(), "Inline()"), (Inline(batch=True), "Inline(batch=True)")])
def test_an_inline_policy_is_shown_as_it_was_written(policy, text):
    assert repr(policy) == text


def test_inline_takes_true_or_false_for_a_batch():
    with pytest.raises(TypeError, match=r"^Inline\(batch=\.\.\.\) takes True or False, not 2\.$"):
        Inline(batch=2)


def test_a_signal_that_is_sent_after_no_write_has_no_batches():
    message = (
        r"receives \(.*\): delivery=Inline\(batch=True\) is one call for each write,"
        r" and <Signal rows\.sold> is sent after none\. It works on post_save, post_delete and m2m_changes\."
        r" Leave batch=True out, or take OnCommit\(batch=True\)\.$"
    )
    with pytest.raises(TypeError, match=message):
        Signal(name="rows.sold").connect(receives, delivery=Inline(batch=True))


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
