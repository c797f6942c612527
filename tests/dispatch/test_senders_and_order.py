"""Who receives a send, and in which order."""

import gc
import random

import pytest

from heliograph.dispatch import Signal


class Base:
    pass


class Child(Base):
    pass


class Grandchild(Child):
    pass


def named(name):
    def receiver(**kwargs):
        return name

    receiver.__qualname__ = f"<{name}>"
    return receiver


a, b, c, d = map(named, "abcd")


def responses(signal, sender=None):
    return [response for _, response in signal.send(sender=sender)]


def test_d4_a_lower_order_is_called_first_and_ties_are_in_the_order_of_connecting(signal):
    signal.connect(a)
    signal.connect(b, order=5)
    signal.connect(c, order=-1, sender=Base)
    signal.connect(d, sender=Base)
    assert responses(signal, Base) == ["c", "a", "d", "b"]


def test_several_senders_are_given_as_a_list(signal):
    signal.connect(a, sender=[Base, Child])
    assert (responses(signal, Base), responses(signal, Child), responses(signal)) == (["a"], ["a"], [])
    assert signal.disconnect(a, sender=[Base, Child])
    assert responses(signal, Base) == []


def test_equal_strings_are_one_sender(signal):
    signal.connect(a, sender="".join(["app.", "Model"]))
    assert responses(signal, "".join(["app", ".Model"])) == ["a"]
    assert signal.disconnect(a, sender="app.Model")
    assert responses(signal, "app.Model") == []


def test_equal_tuples_and_numbers_are_one_sender_and_true_is_not_one(signal):
    signal.connect(a, sender=tuple(map(int, "12")))
    signal.connect(b, sender=1)
    assert responses(signal, (1, 2)) == ["a"]
    assert responses(signal, 1) == ["b"]
    assert responses(signal, True) == []


def test_a_sender_that_compares_equal_but_can_be_referred_to_weakly_is_known_by_identity(signal):
    class Row:
        def __eq__(self, other):
            return True

        __hash__ = None

    one, other = Row(), Row()
    signal.connect(a, sender=one)
    assert responses(signal, one) == ["a"]
    assert responses(signal, other) == []


def test_an_object_without_weak_references_is_a_sender(signal):
    sender, other = object(), object()
    signal.connect(a, sender=sender)
    assert responses(signal, sender) == ["a"]
    assert responses(signal, other) == []
    assert signal.disconnect(a, sender=sender)


def test_an_unhashable_sender_is_known_by_identity(signal):
    sender = {"no": "hash"}
    signal.connect(a, sender=sender)
    signal.connect(b)
    assert responses(signal, sender) == ["a", "b"]
    assert responses(signal, {"no": "hash"}) == ["b"]
    assert signal.disconnect(a, sender=sender)
    assert responses(signal, sender) == ["b"]


def test_senders_that_are_held_are_let_go_when_their_receivers_have_died(signal):
    for number in range(500):
        receiver = named("x")
        signal.connect(receiver, sender=str(number))
    del receiver
    assert len(signal._table.values) < 200


def test_subclasses_receive_with_the_class(signal):
    signal.connect(a, sender=Base, subclasses=True)
    assert [responses(signal, sender) for sender in (Base, Child, Grandchild, object, None)] == [["a"]] * 3 + [[], []]


def test_a_subclass_that_is_made_later_is_received(signal):
    signal.connect(a, sender=Base, subclasses=True)

    class Later(Child):
        pass

    assert responses(signal, Later) == ["a"]


def test_a_receiver_of_several_bases_keeps_its_place_in_the_order(signal):
    signal.connect(a, sender=Child)
    signal.connect(b, sender=Base, subclasses=True)
    signal.connect(c)
    signal.connect(d, sender=Base, subclasses=True, order=-1)
    assert responses(signal, Child) == ["d", "a", "b", "c"]
    assert signal.disconnect(b, sender=Base, subclasses=True)
    assert responses(signal, Child) == ["d", "a", "c"]


def test_a_string_sender_is_received_beside_subclasses(signal):
    signal.connect(a, sender=Base, subclasses=True)
    signal.connect(b, sender="text")
    assert responses(signal, "text") == ["b"]
    assert responses(signal, Child) == ["a"]


def test_a_class_that_dies_takes_the_receivers_of_its_subclasses_along(signal):
    class Local:
        pass

    signal.connect(a, sender=Local, subclasses=True)
    del Local
    gc.collect()
    assert signal.receivers == []


def test_subclasses_of_something_that_is_no_class_is_an_error(signal):
    with pytest.raises(TypeError, match=r"^subclasses=True takes a class as sender, not 'app\.Model'\.$"):
        signal.connect(a, sender="app.Model", subclasses=True)


def test_d8_ten_thousand_receivers_of_other_senders_leave_a_route_alone(signal):
    signal.connect(a, sender=Base)
    signal.send(sender=Base)
    route = signal._table.existing(Base).route
    others = [type(f"Other{number}", (), {}) for number in range(1000)]
    for other in others:
        signal.connect(a, sender=other)
    assert signal._table.existing(Base).route is route


@pytest.mark.parametrize("seed", range(20))
def test_any_history_of_connections_is_received_as_a_plain_list_would_be(seed):
    """Compare the dispatcher with the list that it stands for."""
    chance, signal, expected, senders = random.Random(seed), Signal(), [], [None, Base, Child, "s", "t"]
    receivers = [named(str(number)) for number in range(8)]
    for place in range(200):
        receiver, sender, order = chance.choice(receivers), chance.choice(senders), chance.choice([-1, 0, 0, 1])
        present = [row for row in expected if row[2:] == (receiver, sender)]
        if chance.random() < 0.6:
            signal.connect(receiver, sender=sender, order=order)
            expected += [] if present else [(order, place, receiver, sender)]
        else:
            assert signal.disconnect(receiver, sender=sender) is bool(present)
            expected = [row for row in expected if row not in present]
        sender = chance.choice(senders)
        matching = sorted((row for row in expected if row[3] in (None, sender)), key=lambda row: row[:2])
        assert [receiver for receiver, _ in signal.send(sender=sender)] == [row[2] for row in matching]
