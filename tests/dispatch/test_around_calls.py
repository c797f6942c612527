"""Around calls: a scope puts a context manager around each call of a receiver, and cannot change the outcome."""

import logging
from contextlib import contextmanager, suppress

import pytest

from heliograph.dispatch import Signal
from heliograph.dispatch.scopes import Scope

steps = []


class Around(Scope):
    """A scope that records when a call begins and ends."""

    def __init__(self, name):
        self.name = name

    @contextmanager
    def around_call(self, call):
        steps.append(f"{self.name} before {call.receiver.__name__}")
        try:
            yield
        finally:
            steps.append(f"{self.name} after {call.receiver.__name__}")


class Failing(Scope):
    def __init__(self, *, is_late):
        self.is_late = is_late

    @contextmanager
    def around_call(self, call):
        if not self.is_late:
            raise ValueError("before")
        yield
        raise ValueError("after")


class Suppressing(Scope):
    def around_call(self, call):
        return suppress(KeyError)


@pytest.fixture(autouse=True)
def signal():
    steps.clear()
    return Signal()


def receiver(**kwargs):
    steps.append("called")
    return "done"


async def late(**kwargs):
    steps.append("called")
    return "done"


def wrong(**kwargs):
    raise KeyError("wrong")


def test_scopes_go_around_a_call_the_outermost_first(signal):
    signal.connect(receiver)
    with Around("a"), Around("b"):
        signal.send(None)
    assert steps == ["a before receiver", "b before receiver", "called", "b after receiver", "a after receiver"]


async def test_a_scope_goes_around_an_async_call(signal):
    signal.connect(late)
    with Around("a"):
        assert await signal.asend(None) == [(late, "done")]
    assert steps == ["a before late", "called", "a after late"]


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
def test_an_error_of_a_scope_is_logged_and_changes_nothing(signal, caplog, is_late):
    signal.connect(receiver)
    with caplog.at_level(logging.ERROR, logger="heliograph.observers"), Failing(is_late=is_late), Around("a"):
        assert signal.send(None) == [(receiver, "done")]
    assert steps == ["a before receiver", "called", "a after receiver"]
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_a_scope_cannot_suppress_the_error_of_a_receiver(signal):
    signal.connect(wrong)
    with Suppressing(), pytest.raises(KeyError):
        signal.send(None)
