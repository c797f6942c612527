"""Observers learn why a receiver was not called, and which call was put off."""

import gc
from dataclasses import replace

import pytest

from heliograph.dispatch import Called, Gate, PutOff, Sent, Signal, Skipped, mute, observe
from heliograph.dispatch.condition_base import Condition
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.options import NeverMuted
from heliograph.dispatch.scopes import add_everywhere
from heliograph.dispatch.skip_reasons import (
    Gone,
    HandledElsewhere,
    KeptAway,
    Muted,
    NoNetChange,
    NoRowIsDue,
    NotDue,
    NotReached,
    Reentered,
)


class Order:
    pass


def record(**kwargs):
    return "recorded"


@pytest.fixture
def signal():
    return Signal(name="shop.sold")


def reasons(events):
    return [event.reason for event in events if type(event) is Skipped]


class Asked(Condition):
    """A condition that counts how often it is asked."""

    def __init__(self, answer):
        self.answer, self.count = answer, 0

    def holds(self, payload):
        self.count += 1
        return self.answer

    def __repr__(self):
        return f"asked({self.answer})"


def test_v2_a_condition_that_did_not_hold_is_the_reason_with_the_parts_that_were_asked(signal):
    no, never = Asked(False), Asked(True)
    signal.connect(record, when=no & never)

    with observe((events := []).append):
        assert signal.send(Order) == []

    (reason,) = reasons(events)
    assert str(reason) == "when=asked(False) & asked(True): asked(False) is False"
    assert (type(reason), no.count, never.count) == (NotDue, 1, 0)


def test_a_condition_that_is_turned_round_names_the_part_that_held(signal):
    signal.connect(record, when=~Asked(True))

    with observe((events := []).append):
        assert signal.send(Order) == []

    assert [str(reason) for reason in reasons(events)] == ["when=~asked(True): asked(True) is True"]


def test_v9_a_condition_is_asked_once_also_while_somebody_watches(signal):
    yes = Asked(True)
    signal.connect(record, when=yes | Asked(False))

    with observe(lambda event: None):
        assert signal.send(Order) == [(record, "recorded")]

    assert yes.count == 1


def test_v2_a_muted_receiver_names_the_line_that_has_muted_it(signal):
    signal.connect(record)

    with observe((events := []).append), mute(record):
        signal.send(Order)

    (reason,) = reasons(events)
    assert type(reason) is Muted
    assert reason.where.rpartition(":")[0] == __file__


def test_v2_a_reentered_receiver_names_who_was_at_work(signal):
    class Row:
        pk = 1

    def again(instance, **kwargs):
        signal.send(Order, instance=instance)

    signal.connect(again, reentrant="skip")

    with observe((events := []).append):
        signal.send(Order, instance=Row())

    (reason,) = reasons(events)
    assert type(reason) is Reentered
    assert "again (Row pk=1)" in str(reason)


def test_v2_a_receiver_that_dies_during_the_send_says_so(signal):
    class Owner:
        def record(self, **kwargs):
            raise AssertionError

    owners = [Owner()]

    def forget(**kwargs):
        owners.clear()
        gc.collect()

    signal.connect(forget)
    signal.connect(owners[0].record, when=Asked(True))

    with observe((events := []).append):
        signal.send(Order)

    assert reasons(events) == [Gone()]


def test_a_call_that_is_put_off_is_a_part_of_its_send_and_is_called_under_it(signal):
    kept = []

    class Later:
        def connected(self, options, receiver, target):
            return replace(options, defers=True)

        def deliver(self, call):
            kept.append(call)

    policy = Later()
    signal.connect(record, delivery=policy)

    with observe((events := []).append, Sent, PutOff, Called):
        signal.send(Order)

    sent, put_off = events
    assert (put_off.receiver, put_off.policy, put_off.parent) == (record, policy, sent.number)


async def test_v2_async_receivers_have_reasons_too(signal):
    async def record_later(**kwargs):
        raise AssertionError

    signal.connect(record_later, when=Asked(False))

    with observe((events := []).append):
        await signal.asend(Order)

    assert [type(reason) for reason in reasons(events)] == [NotDue]


async def test_v9_async_receivers_are_called_as_often_while_somebody_watches(signal):
    async def record_later(**kwargs):
        return "recorded"

    async def fail_later(**kwargs):
        raise ValueError("no")

    signal.connect(record_later, when=Asked(True))
    signal.connect(fail_later, when=Asked(True))

    with observe((events := []).append, Called):
        responses = await signal.asend_robust(Order)

    assert [str(response) for _, response in responses] == ["recorded", "no"]
    assert [(event.receiver, str(event.outcome)) for event in events] == [
        (record_later, "recorded"),
        (fail_later, "no"),
    ]


async def test_v2_an_async_receiver_that_is_at_work_says_so(signal):
    class Row:
        pk = 1

    async def again(instance, **kwargs):
        await signal.asend(Order, instance=instance)

    signal.connect(again, reentrant="skip")

    with observe((events := []).append):
        await signal.asend(Order, instance=Row())

    assert [type(reason) for reason in reasons(events)] == [Reentered]


def test_v2_a_gate_says_why_it_admits_nothing(signal):
    class Shut(Gate):
        def admits(self, payload):
            return False

    signal.connect(record, facts=(Shut(),))

    with observe((events := []).append):
        assert signal.send(Order) == []

    assert reasons(events) == [KeptAway("Shut keeps it away")]


def test_v2_a_call_that_a_policy_would_put_off_is_skipped_for_its_reason(signal):
    class Row:
        pk = 1

    class Later:
        def connected(self, options, receiver, target):
            return replace(options, defers=True)

        def deliver(self, call):
            raise AssertionError

    def again(instance, **kwargs):
        later.send(Order, instance=instance)

    later = Signal()
    later.connect(again, delivery=Later(), reentrant="skip")
    signal.connect(again, reentrant="skip")

    with observe((events := []).append):
        signal.send(Order, instance=Row())

    assert [type(reason) for reason in reasons(events)] == [Reentered]


def test_v2_a_reason_that_is_not_reported_is_no_event(signal):
    class Elsewhere(Gate):
        def admits(self, payload):
            return False

        def reason(self, payload):
            return HandledElsewhere()

    signal.connect(record, facts=(Elsewhere(),))

    with observe((events := []).append, Skipped):
        assert signal.send(Order) == []

    assert events == []


def test_a_receiver_that_is_never_muted_is_called_under_every_mute(signal):
    signal.connect(record, facts=(NeverMuted(),))

    with mute(), mute(record), observe((events := []).append, Skipped):
        assert signal.send(Order) == [(record, "recorded")]

    assert events == []


def test_a_mute_of_the_whole_process_has_no_line(signal):
    signal.connect(record)
    end = add_everywhere(mute(record))
    try:
        with observe((events := []).append, Skipped):
            signal.send(Order)
    finally:
        end()

    assert [event.reason.where for event in events] == ["the whole process"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Gone(), "it was garbage collected after the send had begun"),
        (KeptAway("using='other'"), "using='other'"),
        (NoRowIsDue("is_paid"), "when='is_paid' holds for no row of the batch"),
        (NoNetChange(), "no row of its batch was changed in the end"),
        (NotReached("shop.pay", "KeyError"), "it comes after shop.pay, which has raised KeyError"),
        (HandledElsewhere(), "another send of the same write is for it"),
        (Muted("mute()", "shop.py:3"), "muted by 'mute()', which shop.py:3 has entered"),
    ],
)
def test_the_text_of_a_reason_says_it(reason, text):
    assert str(reason) == text


def test_a_mute_by_a_decorator_names_the_line_of_the_call(signal):
    signal.connect(record)

    @mute(record)
    def send():
        signal.send(Order)

    with observe((events := []).append, Skipped):
        send()

    (event,) = events
    assert event.reason.where.rpartition(":")[0] == __file__


@pytest.mark.parametrize("error", [KeyError, SystemExit])
def test_v2_receivers_behind_one_that_has_raised_have_it_as_their_reason(signal, error):
    def fail(**kwargs):
        raise error

    def again(**kwargs):
        """A receiver with an option."""

    async def later(**kwargs):
        """A receiver that is called after the sync ones."""

    signal.connect(record)
    signal.connect(fail)
    signal.connect(again, reentrant="skip")
    signal.connect(later)
    with observe((events := []).append), pytest.raises(error):
        signal.send(Order)

    sent, skipped = events[0], [event for event in events if type(event) is Skipped]
    assert [event.receiver for event in skipped] == [again, later]
    assert {event.reason for event in skipped} == {NotReached(full_name(fail), error.__name__)}
    assert {event.parent for event in skipped} == {sent.number}


def test_receivers_behind_one_that_has_raised_are_called_by_a_robust_send(signal):
    def fail(**kwargs):
        raise KeyError

    signal.connect(fail)
    signal.connect(record)
    with observe((events := []).append, Skipped):
        signal.send_robust(Order)

    assert events == []
