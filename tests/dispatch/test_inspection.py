"""Inspection: who is connected to a signal, for programs."""

import dataclasses
import gc
from functools import partial, wraps
from pathlib import Path

import pytest

import heliograph
from heliograph.dispatch import Inline, Signal, inspect
from heliograph.dispatch.describe import source
from heliograph.dispatch.inspection import _record, connections_of, connections_to


class Sender:
    def receive(self, **kwargs):
        """A receiver that is a method."""


class Child(Sender):
    pass


def receiver(**kwargs):
    """A receiver."""


def is_heavy(weight=0, **kwargs):
    return weight > 10


@pytest.fixture
def signal():
    return Signal()


def test_nobody_is_connected(signal):
    assert inspect(signal) == ()


def test_a_receiver_is_there_with_its_name_and_its_line(signal):
    signal.connect(receiver)
    (one,) = inspect(signal)
    assert (one.receiver, one.name) == (receiver, f"{__name__}.receiver")
    assert (one.file, one.line) == (__file__, receiver.__code__.co_firstlineno)


def test_a_receiver_without_source_has_no_line(signal):
    signal.connect(dict, weak=False)
    (one,) = inspect(signal)
    assert (one.receiver, one.file, one.line) == (dict, None, None)


def test_a_method_is_there_bound_to_its_owner(signal):
    owner = Sender()
    signal.connect(owner.receive)
    (one,) = inspect(signal)
    assert one.receiver == owner.receive


@pytest.mark.parametrize(
    ("given", "sender", "subclasses"),
    [
        ({}, None, False),
        ({"sender": Sender}, Sender, False),
        ({"sender": Sender, "subclasses": True}, Sender, True),
        ({"sender": "by hand"}, "by hand", False),
    ],
)
def test_a_record_has_the_sender(signal, given, sender, subclasses):
    signal.connect(receiver, **given)
    (one,) = inspect(signal)
    assert (one.sender, one.subclasses) == (sender, subclasses)


def test_a_record_has_the_place_and_the_kind_of_connection(signal):
    signal.connect(receiver, order=3, dispatch_uid="mine", weak=False)
    (one,) = inspect(signal)
    assert (one.order, one.dispatch_uid, one.weak) == (3, "mine", False)


def test_a_receiver_without_an_id_has_none(signal):
    signal.connect(receiver)
    (one,) = inspect(signal)
    assert (one.order, one.dispatch_uid, one.weak) == (0, None, True)


def test_options_are_there_as_they_were_written(signal):
    signal.connect(receiver, when=is_heavy, reentrant="raise", blocking=False, delivery=Inline())
    (one,) = inspect(signal)
    assert repr(dict(one.options)) == "{'when': is_heavy, 'reentrant': 'raise', 'blocking': False}"


def test_receivers_are_in_the_order_of_their_calls(signal):
    signal.connect(receiver)
    signal.connect(is_heavy, order=-1)
    assert [one.receiver for one in inspect(signal)] == [is_heavy, receiver]


def test_a_record_cannot_be_changed(signal):
    signal.connect(receiver)
    (one,) = inspect(signal)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.order = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        one.options["order"] = 1


def test_a_receiver_that_dies_meanwhile_is_none(signal):
    owner = Sender()
    signal.connect(owner.receive)
    (connection,) = connections_of(signal)
    del owner
    gc.collect()
    one = _record(connection)
    assert (one.receiver, one.name, one.file) == (None, "a receiver that was garbage collected", None)


def test_a_signal_of_another_dispatcher_is_refused():
    with pytest.raises(TypeError, match=r"^inspect\(\) takes a signal that Heliograph runs, not 'post_save'\.$"):
        inspect("post_save")


def test_the_connections_to_a_sender_are_in_the_order_of_their_calls_async_ones_last(signal):
    async def receive_later(**kwargs):
        """A receiver."""

    signal.connect(receive_later, order=-2)
    signal.connect(receiver, sender=Child)
    signal.connect(is_heavy, sender=Sender, subclasses=True, order=-1)
    signal.connect(dict, sender=Sender, weak=False)

    assert [one.receiver() for one in connections_to(signal, Child)] == [is_heavy, receiver, receive_later]


def test_the_connections_to_a_sender_of_another_dispatcher_are_not_known():
    message = r"^Heliograph knows the receivers of signals that it runs, and 'post_save' is no such signal\.$"
    with pytest.raises(TypeError, match=message):
        connections_to("post_save", Sender)


def test_nobody_outside_the_dispatcher_reads_the_table_of_a_signal():
    source = Path(heliograph.__file__).parent
    allowed = ("dispatch", "orm")  # orm/django_signals gives a signal its table, and takes it away
    files = [path for path in source.rglob("*.py") if path.relative_to(source).parts[0] not in allowed]
    readers = [path.name for path in files if "signal._table" in path.read_text() or '"_table"' in path.read_text()]
    assert len(files) > 100
    assert readers == ["columns.py"]  # whose rows have a table of their own


def decorated(function):
    """Return a function that calls another one, as a decorator does."""

    @wraps(function)
    def receiver(**kwargs):
        return function(**kwargs)

    return receiver


def test_the_source_of_a_receiver_is_that_of_the_function_below_partials_and_decorators():
    def confirm(kind, **kwargs): ...

    first = partial(confirm, "mail")
    for receiver in (confirm, first, decorated(first), partial(decorated(first), kind="mail"), decorated(confirm)):
        assert source(receiver) == (__file__, confirm.__code__.co_firstlineno)
