"""`receiver` on signals that another dispatcher runs."""

import gc
from types import SimpleNamespace

import pytest

from heliograph import receiver


class Foreign:
    """A signal of another dispatcher: it knows receivers and senders, and nothing of options."""

    def __init__(self):
        self.connected = []

    def connect(self, function, sender=None, weak=True, dispatch_uid=None):
        self.connected.append((function, sender, weak))

    def send(self, **payload):
        return [function(signal=self, **payload) for function, _, _ in self.connected]


def receives(value, **kwargs):
    return value


@pytest.mark.parametrize("sender", [None, "one"])
def test_a_plain_receiver_is_connected_to_a_foreign_signal_as_it_is(sender):
    foreign = Foreign()
    assert receiver(foreign, sender=sender)(receives) is receives
    assert foreign.connected == [(receives, sender, True)]


def test_several_senders_and_a_condition_work_on_a_foreign_signal():
    foreign = Foreign()
    receiver(foreign, sender=["one", "two"], when=lambda value, **kwargs: value > 1)(receives)
    assert [(sender, weak) for _, sender, weak in foreign.connected] == [("one", False), ("two", False)]
    assert foreign.send(sender="one", value=2) == [2, 2]
    assert [repr(response) for response in foreign.send(sender="one", value=1)] == ["SKIPPED", "SKIPPED"]


def test_a_guarded_receiver_of_a_foreign_signal_is_still_referred_to_weakly():
    foreign = Foreign()

    @receiver(foreign, when=lambda **kwargs: True)
    def local(**kwargs):
        return "local"

    assert foreign.send() == ["local"]
    del local
    gc.collect()
    assert [repr(response) for response in foreign.send()] == ["SKIPPED"]


def test_a_receiver_without_kwargs_is_refused_for_a_foreign_signal_too():
    with pytest.raises(ValueError, match=r"^Signal receivers must accept keyword arguments"):
        receiver(SimpleNamespace(connect=None))(lambda sender: None)


def test_options_of_the_route_need_a_signal_of_this_dispatcher():
    foreign = SimpleNamespace(connect=None)
    message = (
        r"^order= works on signals that Heliograph runs, and namespace\(connect=None\) is not one\."
        r" Leave the option out\.$"
    )
    with pytest.raises(TypeError, match=message):
        receiver(foreign, order=1)(dict)
