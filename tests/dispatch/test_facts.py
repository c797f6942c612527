"""Facts: what a library knows about a receiver stands beside its options, and lives as long as the connection."""

import gc
import weakref
from dataclasses import dataclass

import pytest

from heliograph.dispatch import Signal
from heliograph.dispatch.options import Fact, Gate


@dataclass(frozen=True)
class Weight(Fact):
    """What a library says about a receiver."""

    kilograms: int

    def written(self):
        return {"weight": self.kilograms}


class Silent(Fact):
    """A fact that nobody has written down."""


@dataclass(frozen=True)
class Odd(Gate):
    """A gate for odd numbers."""

    asked: list

    def admits(self, payload):
        self.asked.append(payload["number"])
        return payload["number"] % 2 == 1


def receiver(number, **kwargs):
    return number


@pytest.fixture
def signal():
    return Signal()


def options_of(signal):
    (connection,) = signal._table.connections()
    return connection.options


def test_a_fact_is_found_by_its_kind(signal):
    signal.connect(receiver, facts=(Silent(), Weight(3)))
    assert options_of(signal).find(Weight) == Weight(3)
    assert options_of(signal).find(Odd) is None


def test_a_receiver_without_options_has_no_facts(signal):
    signal.connect(receiver)
    assert options_of(signal).find(Fact) is None


def test_a_fact_lives_as_long_as_the_connection(signal):
    fact = Weight(3)
    alive = weakref.ref(fact)
    signal.connect(receiver, facts=(fact,))
    del fact
    gc.collect()
    assert alive() is not None
    signal.disconnect(receiver)
    gc.collect()
    assert alive() is None


def test_a_gate_keeps_sends_away(signal):
    signal.connect(receiver, facts=(Odd([]),))
    assert [signal.send(None, number=number) for number in (1, 2, 3)] == [[(receiver, 1)], [], [(receiver, 3)]]


def test_every_gate_must_admit_a_send(signal):
    first, second = Odd([]), Odd([])
    signal.connect(receiver, facts=(first, second))
    assert [signal.send(None, number=number) for number in (1, 2)] == [[(receiver, 1)], []]
    assert (first.asked, second.asked) == ([1, 2], [1])
    assert [options_of(signal).admits({"number": number}) for number in (3, 4)] == [True, False]


def test_a_gate_is_asked_before_the_condition(signal):
    tested = []
    signal.connect(receiver, when=lambda number, **kwargs: tested.append(number) or number < 3, facts=(Odd([]),))
    assert [len(signal.send(None, number=number)) for number in (1, 2, 3)] == [1, 0, 0]
    assert tested == [1, 3]


def test_a_gate_must_say_what_it_admits(signal):
    signal.connect(receiver, facts=(Gate(),))
    with pytest.raises(NotImplementedError):
        signal.send(None, number=1)


def test_options_know_what_was_written(signal):
    signal.connect(receiver, reentrant="skip", blocking=False, facts=(Silent(), Weight(3)))
    assert options_of(signal).written() == {"weight": 3, "reentrant": "skip", "blocking": False}


def test_facts_are_a_tuple(signal):
    with pytest.raises(TypeError, match=r"^facts= takes a tuple of facts, not \[\]\.$"):
        signal.connect(receiver, facts=[])
