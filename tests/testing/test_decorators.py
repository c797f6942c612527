"""The blocks of tests as decorators: of functions, of async functions, and never of what runs after the call."""

import unittest

import pytest
from asgiref.sync import sync_to_async

from heliograph import Signal, inspect
from heliograph.dispatch.scopes import everywhere
from heliograph.testing import Signals, isolated, max_queries, only
from tests.app.models import Genre
from tests.testing.failures import failure

shipped = Signal(name="shop.shipped")


def index(**kwargs):
    """Be called."""


def mail(**kwargs):
    """Be called too."""


def connected():
    return [one.receiver for one in inspect(shipped)]


async def test_k2_isolated_lasts_as_long_as_an_async_function():
    @isolated()
    async def act():
        shipped.connect(index)
        await sync_to_async(int)()
        shipped.connect(mail)
        return connected()

    assert await act() == [index, mail]
    assert connected() == []


async def test_only_lasts_as_long_as_an_async_function(signals, connect):
    connect(shipped, index)
    connect(shipped, mail)

    @only(index)
    async def act():
        await shipped.asend(None)

    await act()
    signals.assert_called(index)
    signals.assert_not_called(mail)


def genre_counter():
    def count(**kwargs):
        Genre.objects.count()

    return count


async def test_max_queries_lasts_as_long_as_an_async_function(connect, async_database):
    count = connect(shipped, genre_counter())

    @max_queries(count, 0)
    async def act():
        await shipped.asend(None)

    with pytest.raises(AssertionError, match="has made more queries than 0, namely"):
        await act()


@pytest.mark.django_db
def test_a_decorated_function_has_a_budget_for_each_of_its_calls(connect):
    count = connect(shipped, genre_counter())
    act = max_queries(count, 1)(shipped.send)

    act(None)
    act(None)
    assert "has made more queries than 0" in failure(max_queries(count, 0)(shipped.send), None)


def test_k2_a_block_that_is_entered_inside_of_itself_restores_each_time():
    block = isolated()
    with block:
        shipped.connect(index)
        with block:
            shipped.connect(mail)
        assert connected() == [index]
    assert connected() == []


@pytest.mark.parametrize("block", [isolated(), max_queries(index, 1)], ids=lambda one: type(one).__name__)
def test_a_class_and_a_generator_run_after_the_call_and_are_refused(block):
    def fixture():
        yield

    for given in (fixture, unittest.TestCase):
        with pytest.raises(TypeError, match="runs after the call that makes it has returned: put `with` into it"):
            block(given)


def test_only_names_itself_when_it_refuses_a_class():
    with pytest.raises(TypeError, match=r"only\(\) decorates functions, not the class TestCase: decorate its methods"):
        only(index)(unittest.TestCase)


# --- Signals ------------------------------------------------------------------------------------------------------


def test_k2_signals_that_are_open_are_not_opened_again_so_that_no_observer_is_left():
    before = [*everywhere]
    signals = Signals()
    with signals, pytest.raises(RuntimeError, match=r"are open already: open others, with Signals\(\) as inner"):
        signals.__enter__()

    assert everywhere == before


def test_signals_that_were_never_opened_assert_nothing():
    for assertion in (Signals().assert_sent, Signals().assert_not_sent, Signals().assert_not_called):
        with pytest.raises(RuntimeError, match="were never opened, so they know of no send"):
            assertion(index if assertion.__name__ == "assert_not_called" else shipped)


def test_signals_that_were_closed_are_opened_again_and_keep_what_they_have():
    signals = Signals()
    for _ in range(2):
        with signals:
            shipped.send(None)
        shipped.send(None)

    signals.assert_sent(shipped, times=2)
