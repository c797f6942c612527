"""What is muted, captured and observed, and for whom."""

import asyncio
import logging
import threading

import pytest

from heliograph.dispatch import Called, Ended, Sent, Signal, Skipped, capture, mute, observe
from heliograph.dispatch.scopes import watch
from heliograph.dispatch.skip_reasons import NotDue


class Product:
    pass


class Order:
    pass


def first(**kwargs):
    return "first"


def second(**kwargs):
    return "second"


async def third(**kwargs):
    return "third"


class Listener:
    def method(self, **kwargs):
        return "method"


@pytest.fixture
def signal():
    signal = Signal(name="shop.sold")
    signal.connect(first)
    signal.connect(second, sender=Product)
    return signal


@pytest.fixture(autouse=True)
def _nothing_is_left_open():
    yield
    assert watch == []


def responses(signal, sender=Product, **payload):
    return [response for _, response in signal.send(sender=sender, **payload)]


def test_mute_without_arguments_silences_everything(signal):
    with mute():
        assert responses(signal) == []
        assert not signal.has_listeners(Product)
    assert responses(signal) == ["first", "second"]


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        (mute(), "mute()"),
        (mute(first, Product), f"mute({__name__}.first, Product)"),
        (mute(Signal(name="shop.sold"), sender="shop"), "mute(shop.sold, 'shop')"),
    ],
)
def test_mute_is_shown_with_its_targets(scope, shown):
    assert repr(scope) == shown


def test_mute_of_a_signal_leaves_others(signal):
    other = Signal()
    other.connect(first)
    with mute(signal):
        assert responses(signal) == []
        assert responses(other) == ["first"]


def test_mute_of_a_receiver_leaves_others(signal):
    with mute(first):
        assert responses(signal) == ["second"]


def test_mute_of_a_bound_method(signal):
    listener = Listener()
    signal.connect(listener.method)
    with mute(listener.method):
        assert responses(signal) == ["first", "second"]


def test_mute_of_a_receiver_with_options(signal):
    signal.connect(first, sender=Order, when=lambda **kwargs: True)
    with mute(first):
        assert responses(signal, Order) == []


def test_mute_of_a_sender_leaves_others(signal):
    with mute(Product):
        assert responses(signal) == []
        assert responses(signal, Order) == ["first"]
    with mute(sender=[Order, "text"]):
        assert responses(signal) == ["first", "second"]
        assert responses(signal, Order) == responses(signal, "".join("text")) == []


def test_mute_of_a_signal_and_a_sender_needs_both(signal):
    other = Signal()
    other.connect(first)
    with mute(signal, sender=Product):
        assert responses(signal) == []
        assert responses(signal, Order) == ["first"]
        assert responses(other) == ["first"]


def test_mute_of_async_receivers(signal):
    signal.connect(third)
    with mute(first, second):
        assert responses(signal) == ["third"]
    with mute(third):
        assert responses(signal) == ["first", "second"]


def test_nested_mutes_end_one_by_one(signal):
    muted = mute(signal)
    with muted:
        with muted, mute(first):
            assert responses(signal) == []
        assert responses(signal) == []
    assert responses(signal) == ["first", "second"]


def test_a_mute_ends_with_an_exception(signal):
    with pytest.raises(ValueError, match=r"^inside$"), mute(signal):
        raise ValueError("inside")
    assert responses(signal) == ["first", "second"]


def test_mute_decorates_functions_and_coroutine_functions(signal):
    @mute(signal)
    def sends():
        """Send."""
        return responses(signal)

    @mute(signal)
    async def sends_async():
        return await signal.asend(Product)

    assert sends() == []
    assert sends.__doc__ == "Send."
    assert asyncio.run(sends_async()) == []
    assert responses(signal) == ["first", "second"]


def test_another_thread_is_not_muted(signal):
    got = []
    with mute(signal):
        thread = threading.Thread(target=lambda: got.extend(responses(signal)))
        thread.start()
        thread.join()
    assert got == ["first", "second"]


async def test_another_task_is_not_muted_and_a_child_is(signal):
    muted, asked = asyncio.Event(), asyncio.Event()

    async def other():
        await muted.wait()
        try:
            return responses(signal)
        finally:
            asked.set()

    before = asyncio.create_task(other())
    with mute(signal):
        muted.set()
        child = asyncio.create_task(asyncio.to_thread(responses, signal))
        await asked.wait()
        assert await child == []
    assert await before == ["first", "second"]


async def test_a_task_that_outlives_the_block_is_not_muted_any_more(signal):
    ended = asyncio.Event()

    async def later():
        await ended.wait()
        return responses(signal)

    with mute(signal):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    ended.set()
    with capture():
        assert await task == ["first", "second"]


async def test_an_async_send_is_muted_in_its_thread_too(signal):
    inner = Signal()
    inner.connect(first)
    signal.connect(lambda **kwargs: responses(inner), sender=Order, weak=False)
    with mute(inner):
        assert [response for _, response in await signal.asend(Order)] == ["first", []]


async def test_a_scope_that_is_left_in_another_task_disturbs_nothing(signal):
    muted = mute(signal)
    await asyncio.create_task(asyncio.to_thread(muted.__enter__))
    muted.__exit__(None, None, None)
    assert responses(signal) == ["first", "second"]


def test_capture_records_sends_and_receivers_are_called(signal):
    with capture(signal) as sent:
        assert responses(signal, value=1) == ["first", "second"]
        responses(signal, Order, value=2)
    assert [(one.signal, one.sender, one.kwargs) for one in sent] == [
        (signal, Product, {"value": 1}),
        (signal, Order, {"value": 2}),
    ]
    assert len(sent) == 2
    assert sent[0].kwargs == {"value": 1}
    assert sent[1:] == [sent[1]]


def test_capture_of_everything_and_of_one_sender(signal):
    other = Signal()
    with capture() as everything, capture(signal, sender=Order) as orders:
        responses(signal)
        responses(other)
        responses(signal, Order)
    assert [one.signal for one in everything] == [signal, other, signal]
    assert [one.sender for one in orders] == [Order]


def test_a_captured_signal_without_receivers_has_listeners():
    signal = Signal()
    with capture(signal) as sent:
        assert signal.has_listeners(Product)
        signal.send(Product)
    assert len(sent) == 1
    assert not signal.has_listeners(Product)


def test_capture_works_below_mute(signal):
    with mute(), capture(signal) as sent:
        assert responses(signal) == []
    assert len(sent) == 1


def test_assert_sent_finds_values_and_says_what_was_sent_instead(signal):
    with capture(signal) as sent:
        responses(signal, number=1)
        responses(signal, number=2)
    assert sent.assert_sent(number=2) is sent[1]
    sent.assert_not_sent(number=3)
    listing = r"Captured:\n  shop\.sold from <class '.*Product'>: \{'number': 1\}\n  shop\.sold .*: \{'number': 2\}$"
    with pytest.raises(AssertionError, match=r"^No captured send carried \{'number': 3\}\. " + listing):
        sent.assert_sent(number=3)
    with pytest.raises(AssertionError, match=r"^A captured send carried \{'number': 1\}\. " + listing):
        sent.assert_not_sent(number=1)
    assert repr(sent) == "<capture of 2 sends>"


def test_assert_sent_of_an_empty_capture(signal):
    with capture(signal) as sent:
        pass
    with pytest.raises(AssertionError, match=r"^No captured send carried \{\}\. Nothing was captured\.$"):
        sent.assert_sent()


def test_an_observer_observes_sends_and_calls(signal):
    events = []
    with observe(events.append):
        signal.send(Product, value=1)
    responses(signal)
    sent, *calls, ended = events
    assert (type(sent), sent.signal, sent.sender, sent.kwargs, sent.parent) == (
        Sent,
        signal,
        Product,
        {"value": 1},
        None,
    )
    assert [(type(call), call.receiver, call.outcome, call.parent) for call in calls] == [
        (Called, first, "first", sent.number),
        (Called, second, "second", sent.number),
    ]
    assert all(call.seconds >= 0 for call in calls)
    assert ended == Ended(sent.number, ended.seconds)


def test_an_observer_that_raises_is_logged_and_counted(signal, caplog):
    def broken(event):
        raise RuntimeError("broken")

    with observe(broken) as observer, caplog.at_level(logging.ERROR):
        assert responses(signal) == ["first", "second"]
    assert observer.errors == 4
    assert "broken failed on a Sent event" in caplog.records[0].getMessage()


def test_the_exception_of_a_receiver_is_the_outcome_that_observers_see(signal):
    def fails(**kwargs):
        raise ValueError("no")

    events = []
    signal.connect(fails, order=-1)
    with observe(events.append), pytest.raises(ValueError, match=r"^no$"):
        responses(signal)
    assert [str(event.outcome) for event in events if type(event) is Called] == ["no"]


class Incomparable:
    def __eq__(self, other):
        raise ValueError("no truth value")

    __hash__ = object.__hash__


def test_watching_a_response_or_sender_that_does_not_compare_changes_nothing(caplog):
    signal = Signal()
    signal.connect(lambda **kwargs: Incomparable(), weak=False)
    with observe(lambda event: None), capture(signal, sender=Incomparable()):
        assert len(signal.send(Incomparable())) == 1
    assert "failed on a Sent event" in caplog.text


def test_a_receiver_that_is_not_due_is_no_call(signal):
    events = []
    signal.connect(first, sender=Order, when=lambda **kwargs: False)
    with mute(second), observe(events.append):
        assert responses(signal, Order) == ["first"]
    assert [type(event) for event in events] == [Sent, Called, Skipped, Ended]
    assert type(events[2].reason) is NotDue


async def test_observers_receive_async_receivers(signal):
    signal.connect(third)
    events = []
    with observe(events.append):
        await signal.asend(Product)
    assert [event.outcome for event in events[1:-1]] == ["first", "second", "third"]


async def test_the_parent_of_later_sends_is_what_it_was_after_concurrent_receivers():
    signal, later = Signal(), Signal()

    async def slow(**kwargs):
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def quick(**kwargs):
        await asyncio.sleep(0)

    signal.connect(slow)
    signal.connect(quick)
    events = []
    with observe(events.append):
        await signal.asend(None)
        later.send(None)
    assert events[-2].parent is None
