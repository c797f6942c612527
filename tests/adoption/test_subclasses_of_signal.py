"""Signals of other packages: subclasses of Django's with attributes, methods and constructors of their own."""

import threading
import weakref

import pytest
from django.db.models.signals import ModelSignal
from django.dispatch import Signal
from django.dispatch import receiver as django_receiver

from heliograph import capture, receiver
from heliograph.dispatch import live_signals
from tests.app.models import Writer


def record(**kwargs):
    return "recorded"


def ask(price, **kwargs):
    return price


class Order:
    """A sender."""


class CountedSignal(Signal):
    """Overrides send, as packages do that log or switch their signals."""

    sends = 0

    def send(self, *args, **kwargs):
        self.sends += 1
        return super().send(*args, **kwargs)


class SwitchedSignal(Signal):
    """Has a constructor and a `name` of its own, as the one of a large open platform for courses does."""

    def __init__(self, name, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = name
        self.on = True

    def send(self, *args, **kwargs):
        return super().send(*args, **kwargs) if self.on else []

    def __repr__(self):
        return f"SwitchedSignal({self.name!r})"


class StrictSignal(Signal):
    """Overrides connect with Django's parameters."""

    def connect(self, receiver, sender=None, weak=True, dispatch_uid=None):
        if sender is None:
            raise ValueError("Name a sender.")
        super().connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)


class PluginSignal(Signal):
    """Chooses receivers by itself, from the receivers that are live."""

    def send(self, sender, **named):
        sync, _ = self._live_receivers(sender)
        return [(one, one(signal=self, sender=sender, **named)) for one in sorted(sync, key=lambda one: one.__name__)]


class FilteredSignal(Signal):
    """Overrides who receives a send."""

    def _live_receivers(self, sender):
        sync, later = super()._live_receivers(sender)
        return [one for one in sync if one is not record], later


class HandmadeSignal(Signal):
    """Sets up everything by itself and does not call Django's constructor."""

    def __init__(self):
        self.receivers = []
        self.lock = threading.Lock()
        self.use_caching = False
        self.sender_receivers_cache = weakref.WeakKeyDictionary()
        self._dead_receivers = False


class SlottedSignal(Signal):
    """Has slots, beside the dictionary that it inherits."""

    __slots__ = ("level",)


class EqualSignal(Signal):
    """Compares by value, and so has no hash."""

    def __eq__(self, other):
        return isinstance(other, EqualSignal)

    __hash__ = None  # type: ignore[assignment]


def responses(pairs):
    return [response for _, response in pairs]


def test_an_overridden_send_is_called_each_time():
    signal = CountedSignal()
    signal.connect(record)
    for _ in range(3):
        signal.send(sender=Order, price=1)
    assert signal.sends == 3


def test_receivers_are_called_by_an_overridden_send():
    signal = CountedSignal()
    signal.connect(record)
    assert responses(signal.send(sender=Order, price=1)) == ["recorded"]


def test_an_overridden_send_can_be_called_by_position():
    signal = CountedSignal()
    signal.connect(record)
    assert responses(signal.send(Order, price=1)) == ["recorded"]


def test_a_send_can_be_overridden_on_a_class_of_which_there_is_a_signal_already(monkeypatch):
    class Late(Signal):
        pass

    signal = Late()
    signal.connect(record)
    signal.send(sender=Order)
    monkeypatch.setattr(Late, "send", lambda self, sender, **named: ["theirs"], raising=False)
    assert signal.send(sender=Order) == ["theirs"]


def test_a_subclass_can_name_its_signals():
    assert SwitchedSignal("published").name == "published"


def test_receivers_of_a_signal_with_a_name_of_its_own_are_called():
    signal = SwitchedSignal("published")
    signal.connect(record)
    assert responses(signal.send(sender=Order)) == ["recorded"]


def test_a_signal_with_a_name_of_its_own_is_listed():
    signal = SwitchedSignal("published")
    signal.connect(record)
    assert any(one is signal for one in live_signals())


@pytest.mark.parametrize("name", [None, 7, ("a", "b")])
def test_a_signal_whose_name_is_no_string_is_listed_beside_others(name):
    signal = SwitchedSignal(name)
    signal.connect(record)
    assert any(one is signal for one in live_signals())


@pytest.mark.parametrize("attribute", ["payload", "contract", "guards_instance"])
def test_a_subclass_can_have_an_attribute_that_our_signals_have_too(attribute):
    class Described(Signal):
        def __init__(self, value):
            super().__init__()
            setattr(self, attribute, value)

    signal = Described("theirs")
    signal.connect(ask)
    assert responses(signal.send_robust(sender=Order, price=3)) == [3]


@pytest.mark.parametrize("method", ["_connect", "_disconnect", "_learn", "_checked"])
def test_a_subclass_can_have_a_private_method_that_our_signals_have_too(method):
    def theirs(self):
        raise AssertionError("called by somebody else")

    signal = type("Private", (Signal,), {method: theirs})()
    signal.connect(record)
    received = responses(signal.send(sender=Order)) + responses(signal.send_robust(sender=Order))
    signal.disconnect(record)
    assert received == ["recorded", "recorded"]


def test_an_overridden_connect_decides():
    with pytest.raises(ValueError, match=r"^Name a sender\.$"):
        StrictSignal().connect(record)


def test_an_overridden_connect_connects():
    signal = StrictSignal()
    signal.connect(record, sender=Order)
    assert responses(signal.send(sender=Order)) == ["recorded"]


def test_our_decorator_goes_through_an_overridden_connect():
    with pytest.raises(ValueError, match=r"^Name a sender\.$"):
        receiver(StrictSignal())(record)


def test_djangos_decorator_goes_through_an_overridden_connect():
    signal = StrictSignal()
    django_receiver(signal, sender=Order)(record)
    assert responses(signal.send(sender=Order)) == ["recorded"]


def test_an_option_that_an_overridden_connect_does_not_take_is_a_type_error():
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'order'"):
        receiver(StrictSignal(), sender=Order, order=1)(record)


def test_a_subclass_that_calls_the_live_receivers_by_itself_gets_them():
    signal = PluginSignal()
    signal.connect(record)
    assert signal.send(sender=Order) == [(record, "recorded")]


def test_a_subclass_that_calls_the_live_receivers_by_itself_respects_conditions():
    signal = PluginSignal()
    signal.connect(record, when=lambda price, **kwargs: price > 10)
    assert "recorded" not in responses(signal.send(sender=Order, price=1))


def test_a_receiver_with_a_condition_has_its_name_where_a_subclass_looks():
    signal = PluginSignal()
    signal.connect(record, when=lambda **kwargs: True)
    assert [called.__name__ for called, _ in signal.send(sender=Order)] == ["record"]


def test_a_receiver_with_a_condition_has_its_module_where_a_subclass_looks():
    signal = PluginSignal()
    signal.connect(record, when=lambda **kwargs: True)
    assert [called.__module__ for called, _ in signal.send(sender=Order)] == [__name__]


def test_a_receiver_with_a_condition_has_its_docstring_where_a_subclass_looks():
    def described(**kwargs):
        """Describe itself."""

    signal = PluginSignal()
    signal.connect(described, when=lambda **kwargs: True)
    assert [called.__doc__ for called, _ in signal.send(sender=Order)] == ["Describe itself."]


def test_overridden_live_receivers_decide_from_the_first_send_on():
    signal = FilteredSignal()
    signal.connect(record)
    assert [signal.send(sender=Order) for _ in range(3)] == [[], [], []]


def test_a_subclass_that_does_not_call_djangos_constructor_works():
    signal = HandmadeSignal()
    signal.connect(record, sender=Order)
    assert responses(signal.send(sender=Order)) == ["recorded"]


def test_a_subclass_with_slots_works():
    signal = SlottedSignal()
    signal.level = 3
    signal.connect(record)
    assert (signal.level, responses(signal.send(sender=Order))) == (3, ["recorded"])


def test_a_signal_without_a_hash_works():
    signal = EqualSignal()
    signal.connect(record)
    assert responses(signal.send(sender=Order)) == ["recorded"]


def test_a_subclass_of_the_model_signal_takes_lazy_senders():
    class ArchiveSignal(ModelSignal):
        pass

    signal = ArchiveSignal()
    signal.connect(record, sender="app.Writer")
    assert responses(signal.send(sender=Writer)) == ["recorded"]


def test_a_signal_can_be_an_attribute_of_a_class():
    class Shop:
        opened = Signal()

    Shop.opened.connect(record, sender=Shop)
    assert responses(Shop().opened.send(sender=Shop)) == ["recorded"]


def test_a_signal_of_a_class_is_shared_by_its_subclasses():
    class Shop:
        opened = Signal()

    class Bakery(Shop):
        pass

    assert Bakery.opened is Shop.opened


def test_a_signal_of_a_subclass_is_captured():
    signal = CountedSignal()
    with capture(signal) as sent:
        signal.send(sender=Order, price=1)
    assert dict(sent[0].kwargs) == {"price": 1}


def test_signals_of_a_subclass_can_be_distinguished_by_isinstance():
    assert [isinstance(signal, CountedSignal) for signal in (CountedSignal(), Signal())] == [True, False]
