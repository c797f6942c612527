"""The trace: a tree of sends and calls, for a person."""

import pytest

from heliograph import observe, trace
from heliograph.deprecation import HeliographDeprecationWarning
from heliograph.dispatch import Called, Ended, Sent, Signal


class Product:
    pass


class Order:
    pass


def first(**kwargs):
    return "first"


@pytest.fixture
def signal():
    return Signal(name="shop.sold")


def test_a_trace_prints_the_tree_of_sends_and_calls(signal):
    inner = Signal(name="shop.stock")
    inner.connect(first)

    def restocks(**kwargs):
        inner.send(Order)
        raise ValueError("no")

    signal.connect(first)
    signal.connect(restocks)
    with trace() as flow:
        signal.send_robust(Product)
    lines = str(flow).splitlines()
    here = "tests.flow.test_trace."
    assert lines[0] == "shop.sold from Product"
    assert lines[1].startswith(f"  {here}first ")
    assert lines[2].startswith(f"  {here}test_a_trace_prints_the_tree_of_sends_and_calls.<locals>.restocks ")
    assert lines[2].endswith(" ms, raised ValueError('no')")
    assert lines[3] == "    shop.stock from Order"
    assert lines[4].startswith(f"      {here}first ")
    assert len(lines) == 5


def test_a_trace_that_is_printed_by_a_receiver_shows_where_it_is_called(signal):
    inner, shown = Signal(name="shop.stock"), []

    def look(**kwargs):
        shown.append(str(flow).splitlines())

    def restock(**kwargs):
        inner.send(Order)

    signal.connect(restock)
    inner.connect(look)
    with trace() as flow:
        signal.send(Product)
    here = "tests.flow.test_trace.test_a_trace_that_is_printed_by_a_receiver_shows_where_it_is_called.<locals>."
    expected = [
        "shop.sold from Product",
        f"  {here}restock is running",
        "    shop.stock from Order",
        f"      {here}look is running",
    ]
    assert shown == [expected]
    assert "is running" not in str(flow)


def test_a_trace_keeps_the_events(signal):
    signal.connect(first)
    with trace() as flow:
        signal.send(Product)
    assert [type(event) for event in flow.events] == [Sent, Called, Ended]


def test_the_event_of_a_plain_receiver_which_is_made_as_a_tuple_has_all_its_fields(signal):
    signal.connect(first)
    events = []
    with observe(events.append, Called):
        signal.send(Product)
    [called] = events
    assert len(called) == len(Called._fields)
    assert (called.signal, called.sender, called.receiver, called.outcome) == (signal, Product, first, "first")


def test_an_empty_trace_says_so():
    with trace() as flow:
        pass
    assert str(flow) == "No signal was sent."


def test_the_sends_of_a_block_are_a_tree_of_their_own(signal):
    with trace() as flow:
        signal.send(None)
    assert str(flow) == "shop.sold from None"


def test_the_old_address_of_trace_works_with_a_warning():
    with pytest.warns(HeliographDeprecationWarning, match=r"dispatch\.trace is now heliograph\.trace\. Use that"):
        from heliograph.dispatch import trace as old
    assert old is trace
