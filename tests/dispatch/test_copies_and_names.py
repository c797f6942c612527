"""Names, copies and pickles of signals, and their shape for other packages."""

import copy
import gc
import pickle
import weakref

import pytest

from heliograph.dispatch import Signal, condition, live_signals

module_signal = Signal()


@Signal.define
def declared(sender, *, value: int) -> None:
    """A value."""


def receiver(**kwargs):
    return "received"


def is_big(value, **kwargs):
    return value > 10


class Sender:
    class_signal = Signal()


def test_a_signal_is_called_as_its_variable():
    assert module_signal.name == f"{__name__}.module_signal"
    assert repr(module_signal) == f"<Signal {__name__}.module_signal>"


def test_a_declared_signal_is_called_as_its_function():
    assert declared.name == f"{__name__}.declared"


def test_a_name_can_be_given(signal):
    assert Signal(name="shop.sold").name == "shop.sold"
    assert repr(signal) == "<Signal unnamed signal>"
    signal.name = "shop.bought"
    assert repr(signal) == "<Signal shop.bought>"


def test_a_signal_of_a_class_is_called_as_its_attribute():
    assert Sender.class_signal.name == f"{__name__}.Sender.class_signal"


@pytest.mark.parametrize("original", [module_signal, declared, Sender.class_signal], ids=repr)
def test_d13_a_signal_is_pickled_by_name_and_copies_are_itself(original):
    assert pickle.loads(pickle.dumps(original)) is original
    assert copy.copy(original) is original
    assert copy.deepcopy({"signal": original})["signal"] is original


def test_a_signal_whose_module_is_not_there_cannot_be_pickled():
    with pytest.raises(TypeError, match=r"^<Signal nowhere\.sold> cannot be pickled"):
        pickle.dumps(Signal(name="nowhere.sold"))


def test_d13_conditions_can_be_pickled_and_copied():
    asked = ~condition(is_big) & is_big
    assert pickle.loads(pickle.dumps(asked)) == copy.deepcopy(asked) == asked


def test_all_signals_are_known_while_they_live(signal):
    assert {signal, module_signal} <= set(live_signals())
    reference = weakref.ref(signal)
    assert reference() is not None


def test_rows_have_the_shape_of_django(signal):
    signal.connect(receiver, sender=Sender)
    signal.connect(receiver, dispatch_uid="uid", weak=False)
    (keys, reference, sender, is_async), strong = signal.receivers
    assert keys == (id(receiver), id(Sender))
    assert isinstance(reference, weakref.ReferenceType)
    assert (reference(), sender(), is_async) == (receiver, Sender, False)
    assert strong == (("uid", id(None)), receiver, None, False)


def test_a_row_of_a_bound_method_refers_to_the_method(signal):
    class Listener:
        def method(self, **kwargs):
            pass

    listener = Listener()
    signal.connect(listener.method)
    ((keys, reference, *_),) = signal.receivers
    assert keys[0] == (id(listener), id(Listener.method))
    assert reference() == listener.method


def test_assigned_rows_take_the_place_of_all_others_and_can_be_restored(signal):
    signal.connect(receiver, sender=Sender, order=3)
    signal.connect(receiver, when=is_big)
    signal.connect(receiver, sender=Sender, subclasses=True)
    before = signal.receivers
    signal.receivers = []
    assert signal.send(Sender, value=11) == []
    signal.receivers = before
    assert len(signal.send(Sender, value=11)) == 3
    assert len(signal.send(Sender, value=1)) == 2
    assert [row.connection.order for row in signal.receivers] == [0, 0, 3]


def test_rows_of_the_dead_are_not_restored(signal):
    class Local:
        pass

    def dies(**kwargs):
        pass

    signal.connect(receiver, sender=Local)
    signal.connect(dies)
    before = signal.receivers
    del Local, dies
    gc.collect()
    assert signal.receivers == []
    signal.receivers = before
    assert signal.receivers == []


def test_rows_made_by_hand_are_connected(signal):
    def weakly(**kwargs):
        return "weakly"

    def dead(**kwargs):
        pass

    sender, reference = Sender(), weakref.ref(dead)
    del dead
    gc.collect()
    signal.receivers = [
        ((id(receiver), id(None)), receiver, None, False),
        (("uid", id(sender)), weakref.ref(weakly), weakref.ref(sender), False),
        ((id(weakly), id(Sender)), weakref.ref(weakly), False),
        (("dead", id(None)), reference, None, False),
    ]
    assert [row[0] for row in signal.receivers][:2] == [(id(receiver), id(None)), ("uid", id(sender))]
    assert [response for _, response in signal.send(sender)] == ["received", "weakly"]
    assert [response for _, response in signal.send(Sender)] == ["received", "weakly"]
    assert signal.disconnect(dispatch_uid="uid", sender=sender)


def test_a_row_made_by_hand_whose_sender_is_dead_is_not_connected(signal):
    sender = Sender()
    sender_id, reference = id(sender), weakref.ref(sender)
    del sender
    signal.receivers = [((id(receiver), sender_id), receiver, reference, False)]
    assert signal.receivers == []


@pytest.mark.parametrize("weak", [True, False])
def test_a_row_that_another_dispatcher_has_had_keeps_the_options_of_its_receiver(signal, weak):
    signal.connect(receiver, when=is_big, weak=weak)
    ((keys, guarded, *rest),) = signal.receivers
    signal.receivers = [(keys, guarded, *rest)]
    assert (signal.send(None, value=1), signal.send(None, value=11)) == ([], [(receiver, "received")])
    assert [row.connection.pinned is None for row in signal.receivers] == [weak]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.clear(),
        lambda rows: rows.pop(),
        lambda rows: rows.remove(rows[0]),
        lambda rows: rows.__delitem__(0),
        lambda rows: rows.__setitem__(slice(None), []),
    ],
    ids=["clear", "pop", "remove", "del", "assign"],
)
def test_taking_a_row_out_of_the_list_disconnects_it(signal, change):
    signal.connect(receiver)
    change(signal.receivers)
    assert signal.send(None) == []


def test_putting_a_row_into_the_list_connects_it(signal):
    other = Signal()
    other.connect(receiver)
    signal.receivers.append(other.receivers[0])
    signal.receivers += []
    assert signal.send(None) == [(receiver, "received")]


def test_a_list_that_another_one_has_replaced_is_only_a_list(signal):
    signal.connect(receiver)
    before = signal.receivers
    signal.receivers = []
    row = before.pop()
    assert (before, signal.receivers) == ([], [])
    before.append(row)
    assert signal.send(None) == []
    signal.receivers = before
    assert signal.send(None) == [(receiver, "received")]


def test_a_copy_of_the_list_is_a_plain_list(signal):
    signal.connect(receiver)
    rows = signal.receivers.copy()
    rows.clear()
    assert type(copy.copy(signal.receivers)) is type(rows) is list
    assert signal.send(None) == [(receiver, "received")]


def test_the_cache_and_the_lock_of_django_are_there(signal):
    signal.connect(receiver)
    with signal.lock:
        signal.sender_receivers_cache.clear()
    signal._clear_dead_receivers()
    signal._flag_dead_receivers()
    assert signal.send(None) == [(receiver, "received")]


def test_connecting_empties_the_cache_that_only_other_packages_fill():
    signal = Signal(use_caching=True)
    signal.sender_receivers_cache[Sender] = []
    signal.connect(receiver)
    assert len(signal.sender_receivers_cache) == 0


def test_the_table_of_the_class_is_its_descriptor():
    assert type(Signal._table).__name__ == "_LazyTable"


def test_a_row_without_a_reference_to_its_sender_finds_it_by_its_id(signal):
    class Local:
        pass

    signal.receivers = [((id(receiver), id(Local)), weakref.ref(receiver), False)]
    assert signal.send(Local) == [(receiver, "received")]
    assert signal._table.existing(Local).sender() is Local


def test_the_sender_of_such_a_row_is_found_also_after_gc_freeze(signal):
    """A server freezes what it has loaded before it forks, and the garbage collector hides it then."""

    class Local:
        pass

    gc.freeze()
    signal.receivers = [((id(receiver), id(Local)), weakref.ref(receiver), False)]
    assert signal.send(Local) == [(receiver, "received")]
    assert signal._table.existing(Local).sender() is Local
    assert gc.get_freeze_count() > 0


def test_nothing_is_frozen_that_was_not(signal):
    class Local:
        pass

    gc.unfreeze()
    try:
        signal.receivers = [((id(receiver), id(Local)), weakref.ref(receiver), False)]
        assert signal.send(Local) == [(receiver, "received")]
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()  # as tests/conftest.py has left it


def test_a_row_of_a_sender_that_cannot_be_found_is_kept_under_its_id(signal):
    sender = "a string"
    signal.receivers = [((id(receiver), id(sender)), receiver, None, False)]
    assert signal.send(sender) == [(receiver, "received")]
    signal.receivers = signal.receivers[:]
    assert signal.send(sender) == [(receiver, "received")]


def test_a_receiver_with_options_is_named_as_itself_in_its_row(signal):
    signal.connect(receiver, when=is_big)
    ((_, reference, *_),) = signal.receivers
    assert (reference.__name__, reference.__module__, reference.receiver) == ("receiver", __name__, receiver)


def test_a_dead_receiver_has_no_row(signal):
    def local(**kwargs):
        pass

    signal.connect(local, when=lambda **kwargs: True)
    (connection,) = signal._table.connections()
    guarded = connection.guarded
    del local
    gc.collect()
    assert signal.receivers == []
    assert repr(guarded()) == "SKIPPED"
