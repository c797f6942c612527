"""Sends that are written out for their names, and when they step aside."""

from unittest import mock

import pytest

from heliograph.dispatch import Signal
from heliograph.dispatch.fast_send import is_generated


def echo(**kwargs):
    return {name: value for name, value in kwargs.items() if name != "signal"}


@pytest.fixture
def signal():
    signal = Signal()
    signal.connect(echo)
    return signal


def sent(signal, *args, **kwargs):
    ((_, response),) = signal.send(*args, **kwargs)
    return response


def test_the_first_send_of_a_plain_signal_writes_one_out(signal):
    assert "send" not in vars(signal)
    signal.send(None, a=1)
    assert signal.send.__code__.co_filename == "<generated send>"
    assert signal.send.__kwdefaults__.keys() == {"a"}


def test_a_send_that_was_written_out_is_told_from_others(signal):
    assert not is_generated(signal.send)
    signal.send(None, a=1)
    assert is_generated(signal.send)
    assert not is_generated(echo)


@pytest.mark.parametrize(
    "payload", [{"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}, {"a": None}, {"class": 1}, {"_x": 1}, {"a-b": 1}]
)
def test_other_names_go_on_working(signal, payload):
    sent(signal, None, a=0)
    assert sent(signal, "s", **payload) == {"sender": "s", **payload}
    assert sent(signal, sender="s", **payload) == {"sender": "s", **payload}


@pytest.mark.parametrize(
    "payload", [{"_refs": 1}, {"self": 1}, {"id": 1, "len": 2}, {"kwargs": {}, "args": ()}, {"café": 1}]
)
def test_payload_names_may_be_those_that_code_uses(signal, payload):
    for _ in range(2):
        assert sent(signal, None, **payload) == {"sender": None, **payload}


def test_a_payload_called_signal_is_the_error_it_is_in_django(signal):
    for _ in range(2):
        with pytest.raises(TypeError, match="multiple values for keyword argument 'signal'"):
            signal.send(None, signal=1)


def test_functions_of_a_module_need_not_be_held_during_a_send(signal):
    signal.connect(first)
    signal.send(None, value=1)
    route = signal._table.anyone.route
    assert (route.steady, len(signal.send(None, value=1))) == (True, 2)
    signal.connect(methods.first)
    assert (len(signal.send(None, value=1)), signal._table.anyone.route.steady) == (3, False)


def test_a_wrapped_live_receivers_sees_every_later_send(signal):
    signal.send(None, a=1)
    original, seen = Signal._live_receivers, []

    def wrapped(self, sender):
        seen.append(sender)
        return original(self, sender)

    with mock.patch.object(Signal, "_live_receivers", wrapped):
        sent(signal, "one", a=1)
    sent(signal, "two", a=1)
    assert seen == ["one"]


def test_a_mocked_send_of_the_class_is_called(signal):
    signal.send(None, a=1)
    with mock.patch.object(Signal, "send", autospec=True) as mocked:
        signal.send(None, a=2)
    mocked.assert_called_once_with(signal, None, a=2)
    assert sent(signal, None, a=3) == {"sender": None, "a": 3}


def test_a_mocked_send_of_the_signal_is_called_and_restored(signal):
    for _ in range(2):
        with mock.patch.object(signal, "send") as mocked:
            signal.send(None, a=2)
        mocked.assert_called_once_with(None, a=2)
        assert sent(signal, None, a=3) == {"sender": None, "a": 3}


def test_a_subclass_that_overrides_send_is_called_each_time():
    class Counting(Signal):
        sends = 0

        def send(self, sender, **named):
            self.sends += 1
            return super().send(sender, **named)

    signal = Counting()
    signal.connect(echo)
    for _ in range(3):
        sent(signal, None, a=1)
    assert signal.sends == 3


def test_a_declared_signal_of_a_subclass_that_overrides_send_keeps_both():
    class Counting(Signal):
        sends = 0

        def send(self, sender, **named):
            self.sends += 1
            return super().send(sender, **named)

    @Counting.define
    def shipped(sender, *, order):
        """Shipped."""

    shipped.connect(echo)
    assert sent(shipped, "s", order=1) == {"sender": "s", "order": 1}
    with pytest.raises(TypeError, match="courier"):
        shipped.send(None, order=1, courier=1)
    assert shipped.sends == 2


def test_a_declared_send_has_the_parameters_of_the_contract():
    @Signal.define
    def shipped(sender, *, order, carrier="DHL"):
        """Left the warehouse."""

    shipped.connect(echo)
    assert sent(shipped, "s", order=1) == {"sender": "s", "order": 1, "carrier": "DHL"}
    assert shipped.__doc__ == "Left the warehouse."
    assert shipped.name.endswith("test_a_declared_send_has_the_parameters_of_the_contract.<locals>.shipped")


def test_a_contract_without_names():
    @Signal.define
    def ping(sender):
        """Ping."""

    ping.connect(echo)
    assert sent(ping, "s") == {"sender": "s"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'a'"):
        ping.send(None, a=1)


class Methods:
    def first(self, sender, **kwargs):
        return sender


def first(sender, **kwargs):
    return sender


def second(value=0, sender=None, **kwargs):
    return sender


def only_by_keyword(*, sender, **kwargs):
    return sender


def among_positional_only(sender=None, /, **kwargs):
    return kwargs["sender"]


def after_positional_only(value=None, /, sender=None, **kwargs):
    return sender


methods = Methods()


@pytest.mark.parametrize(
    "receivers",
    [
        [first],
        [first, second],
        [only_by_keyword],
        [among_positional_only],
        [after_positional_only],
        [first, echo, methods.first],
    ],
    ids=lambda receivers: " ".join(receiver.__name__ for receiver in receivers),
)
def test_a_receiver_gets_its_sender_wherever_it_takes_it(receivers):
    signal = Signal()
    for receiver in receivers:
        signal.connect(receiver, sender="s")
    for _ in range(2):
        responses = [response for _, response in signal.send("s", value=1)]
        assert [response if response == "s" else response["sender"] for response in responses] == ["s"] * len(receivers)
