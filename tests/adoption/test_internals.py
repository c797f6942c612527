"""What packages read, assign and replace on a signal that Django does not document."""

import gc
import threading
import weakref
from unittest import mock

import django
import pytest
from django.db.models.signals import ModelSignal, post_save, pre_init
from django.dispatch import Signal, dispatcher

from tests.app.models import Genre, Writer


class Order:
    """A sender."""


class Invoice:
    """Another one."""


def called_by(signal, sender=Order, **payload):
    return [receiver for receiver, _ in signal.send(sender=sender, **payload)]


def first(**kwargs):
    return "first"


def second(**kwargs):
    return "second"


def by_hand(receiver, sender, is_async=False, uid=None):
    """Return a row as Django's connect() makes it, in the shape of the Django that is installed."""
    key = (uid or id(receiver), id(sender))
    if django.VERSION < (6, 0):
        return (key, weakref.ref(receiver), is_async)
    return (key, weakref.ref(receiver), None if sender is None else weakref.ref(sender), is_async)


@pytest.fixture
def signal():
    return Signal()


# --- reading the receivers ------------------------------------------------------------------------------------


def test_a_row_begins_with_the_ids_of_receiver_and_sender(signal):
    signal.connect(first, sender=Order)
    assert signal.receivers[0][0] == (id(first), id(Order))


def test_a_row_of_a_receiver_of_anybody_has_the_id_of_none(signal):
    signal.connect(first)
    assert signal.receivers[0][0][1] == id(None)


def test_a_row_of_a_receiver_with_a_dispatch_uid_begins_with_it(signal):
    signal.connect(first, sender=Order, dispatch_uid="mine")
    assert signal.receivers[0][0] == ("mine", id(Order))


def test_a_row_of_a_bound_method_begins_with_the_ids_of_object_and_function(signal):
    class Recorder:
        def record(self, **kwargs):
            pass

    recorder = Recorder()
    signal.connect(recorder.record)
    assert signal.receivers[0][0][0] == (id(recorder), id(Recorder.record))


def test_the_key_of_a_row_is_what_django_makes_of_the_receiver(signal):
    signal.connect(first, sender=Order)
    assert signal.receivers[0][0] == (dispatcher._make_id(first), dispatcher._make_id(Order))


def test_a_row_has_a_weak_reference_to_the_receiver(signal):
    signal.connect(first)
    assert isinstance(signal.receivers[0][1], weakref.ReferenceType)
    assert signal.receivers[0][1]() is first


def test_a_row_has_a_weak_reference_to_a_bound_method(signal):
    class Recorder:
        def record(self, **kwargs):
            pass

    recorder = Recorder()
    signal.connect(recorder.record)
    assert signal.receivers[0][1]() == recorder.record


def test_a_row_of_a_strongly_connected_receiver_has_the_receiver_itself(signal):
    signal.connect(first, weak=False)
    assert signal.receivers[0][1] is first


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6.0 added the sender")
def test_a_row_has_three_parts_in_django_5(signal):
    signal.connect(first, sender=Order)
    key, receiver, is_async = signal.receivers[0]
    assert (key, receiver(), is_async) == ((id(first), id(Order)), first, False)


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6.0 added the sender")
def test_a_row_has_four_parts_with_the_sender_since_django_6(signal):
    signal.connect(first, sender=Order)
    key, receiver, sender, is_async = signal.receivers[0]
    assert (key, receiver(), sender(), is_async) == ((id(first), id(Order)), first, Order, False)


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6.0 added the sender")
def test_a_row_of_a_receiver_of_anybody_has_no_sender(signal):
    signal.connect(first)
    assert signal.receivers[0][2] is None


def test_a_row_says_that_a_receiver_is_async(signal):
    async def later(**kwargs):
        pass

    signal.connect(later)
    assert signal.receivers[0][-1] is True


def test_rows_are_in_the_order_of_calls(signal):
    signal.connect(second)
    signal.connect(first, order=-1)
    assert [row[1]() for row in signal.receivers] == [first, second]


def test_a_signal_without_receivers_has_an_empty_list(signal):
    assert signal.receivers == []


def test_the_number_of_receivers_can_be_compared_before_and_after(signal):
    before = len(signal.receivers)
    signal.connect(first)
    signal.disconnect(first)
    assert len(signal.receivers) == before


# --- changing them --------------------------------------------------------------------------------------------


def test_assigning_an_empty_list_disconnects_all(signal):
    signal.connect(first)
    signal.receivers = []
    assert called_by(signal) == []


def test_assigning_the_list_back_connects_them_again(signal):
    signal.connect(first, sender=Order)
    signal.connect(second)
    saved = signal.receivers
    signal.receivers = []
    signal.receivers = saved
    assert called_by(signal) == [first, second]


def test_a_receiver_that_was_assigned_back_still_receives_only_its_sender(signal):
    signal.connect(first, sender=Order)
    saved = signal.receivers
    signal.receivers = []
    signal.receivers = saved
    assert called_by(signal, sender=Invoice) == []


def test_a_receiver_that_was_assigned_back_can_be_disconnected(signal):
    signal.connect(first, sender=Order)
    signal.receivers = signal.receivers.copy()
    assert signal.disconnect(first, sender=Order) is True


def test_a_receiver_that_was_assigned_back_is_not_connected_twice(signal):
    signal.connect(first, sender=Order)
    signal.receivers = signal.receivers.copy()
    signal.connect(first, sender=Order)
    assert called_by(signal) == [first]


def test_a_receiver_that_was_assigned_back_is_still_referred_to_weakly(signal):
    def fleeting(**kwargs):
        pass

    signal.connect(fleeting)
    signal.receivers = signal.receivers.copy()
    del fleeting
    gc.collect()
    assert signal.receivers == []


def test_a_copy_of_the_receivers_is_a_plain_list(signal):
    signal.connect(first)
    copied = signal.receivers.copy()
    copied.clear()
    assert called_by(signal) == [first]


def test_a_list_that_was_taken_and_changed_is_assigned(signal):
    signal.connect(first)
    signal.connect(second)
    signal.receivers = [row for row in signal.receivers if row[1]() is not first]
    assert called_by(signal) == [second]


def test_appending_a_row_connects_its_receiver(signal):
    signal.receivers.append(by_hand(first, Order))
    assert called_by(signal) == [first]


def test_an_appended_receiver_receives_only_its_sender(signal):
    signal.receivers.append(by_hand(first, Order))
    assert called_by(signal, sender=Invoice) == []


def test_an_appended_receiver_of_none_receives_anybody(signal):
    signal.receivers.append(by_hand(first, None))
    assert called_by(signal, sender=Invoice) == [first]


def test_an_appended_receiver_can_be_disconnected(signal):
    signal.receivers.append(by_hand(first, Order))
    assert signal.disconnect(first, sender=Order) is True


def test_an_appended_receiver_can_be_disconnected_by_its_dispatch_uid(signal):
    signal.receivers.append(by_hand(first, Order, uid="mine"))
    assert signal.disconnect(sender=Order, dispatch_uid="mine") is True


def test_an_appended_receiver_survives_another_assignment(signal):
    signal.receivers.append(by_hand(first, Order))
    saved = signal.receivers
    signal.receivers = []
    signal.receivers = saved
    assert called_by(signal) == [first]


def test_an_appended_receiver_keeps_its_sender_after_another_one_was_connected(signal):
    signal.receivers.append(by_hand(first, Order))
    signal.connect(second, sender=Order)
    assert [row[0][1] for row in signal.receivers] == [id(Order), id(Order)]


def test_rows_can_be_removed_in_place(signal):
    signal.connect(first)
    signal.connect(second)
    signal.receivers.remove(signal.receivers[0])
    assert called_by(signal) == [second]


def test_rows_can_be_deleted_in_place(signal):
    signal.connect(first)
    signal.connect(second)
    del signal.receivers[0]
    assert called_by(signal) == [second]


def test_a_slice_of_rows_can_be_assigned(signal):
    signal.connect(first)
    signal.connect(second)
    signal.receivers[:] = signal.receivers[1:]
    assert called_by(signal) == [second]


def test_rows_can_be_put_in_another_order(signal):
    signal.connect(first)
    signal.connect(second)
    signal.receivers.reverse()
    assert called_by(signal) == [second, first]


def test_a_list_that_was_taken_earlier_does_not_disconnect_who_came_since(signal):
    signal.connect(first)
    taken = signal.receivers
    signal.connect(second)
    taken.append(by_hand(called_by, None))
    assert second in [row[1]() for row in signal.receivers]


def test_the_receivers_can_be_replaced_by_mock_for_a_while(signal):
    signal.connect(first)
    with mock.patch.object(signal, "receivers", []):
        received = called_by(signal)
    assert (received, called_by(signal)) == ([], [first])


def test_the_receivers_can_be_replaced_by_mock_twice(signal):
    signal.connect(first)
    with mock.patch.object(signal, "receivers", []):
        with mock.patch.object(signal, "receivers", []):
            pass
        received = called_by(signal)
    assert (received, called_by(signal)) == ([], [first])


def test_the_receivers_can_be_replaced_by_mock_around_an_assignment(signal):
    signal.connect(first)
    with mock.patch.object(signal, "receivers", []):
        saved = signal.receivers
        signal.receivers = []
        signal.receivers = saved
    assert called_by(signal) == [first]


def test_the_receivers_can_be_replaced_by_monkeypatch_for_a_while(signal):
    signal.connect(first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "receivers", [])
        received = called_by(signal)
    assert (received, called_by(signal)) == ([], [first])


def test_two_receivers_with_an_empty_dispatch_uid_are_two_as_in_django(signal):
    signal.connect(first, dispatch_uid="")
    signal.connect(second, dispatch_uid="")
    assert called_by(signal) == [first, second]


# --- the lock, the cache and the dead -------------------------------------------------------------------------


def test_a_send_goes_on_while_somebody_holds_the_lock(signal):
    signal.connect(first)
    with signal.lock:
        assert called_by(signal) == [first]


def test_receivers_can_be_assigned_while_the_lock_is_held(signal):
    signal.connect(first)
    with signal.lock:
        signal.receivers = []
    assert called_by(signal) == []


def test_the_lock_is_a_lock(signal):
    assert isinstance(signal.lock, type(threading.Lock()))


def test_the_cache_can_be_cleared():
    post_save.sender_receivers_cache.clear()
    assert len(post_save.sender_receivers_cache) == 0


def test_a_signal_with_caching_has_a_cache_with_weak_keys():
    assert isinstance(ModelSignal(use_caching=True).sender_receivers_cache, weakref.WeakKeyDictionary)


def test_a_signal_without_caching_has_a_dict_as_its_cache(signal):
    assert signal.sender_receivers_cache == {}


def test_what_a_package_put_into_the_cache_goes_when_a_receiver_is_connected():
    signal = Signal(use_caching=True)
    signal.sender_receivers_cache[Order] = ["something"]
    signal.connect(first)
    assert len(signal.sender_receivers_cache) == 0


@pytest.mark.parametrize("use_caching", [True, False])
def test_use_caching_is_what_was_asked_for(use_caching):
    assert Signal(use_caching=use_caching).use_caching is use_caching


def test_the_model_signals_use_caching():
    assert pre_init.use_caching is True


def test_use_caching_can_be_given_by_position():
    assert Signal(True).use_caching is True


def test_the_dead_can_be_cleared_by_hand(signal):
    signal.connect(first)
    with signal.lock:
        signal._clear_dead_receivers()
    assert called_by(signal) == [first]


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 6.0 gave it this name")
def test_dead_receivers_can_be_flagged_by_hand(signal):
    signal.connect(first)
    signal._flag_dead_receivers()
    assert called_by(signal) == [first]


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django 6.0 gave it another name")
def test_dead_receivers_can_be_removed_by_hand(signal):
    signal.connect(first)
    signal._remove_receiver()
    assert called_by(signal) == [first]


def test_has_listeners_returns_whether_anybody_receives_from_a_sender(signal):
    signal.connect(first, sender=Order)
    assert (signal.has_listeners(Order), signal.has_listeners(Invoice), signal.has_listeners()) == (True, False, False)


def test_live_receivers_gives_the_sync_ones_and_the_async_ones(signal):
    async def later(**kwargs):
        pass

    signal.connect(first)
    signal.connect(later)
    assert signal._live_receivers(Order) == ([first], [later])


# --- mocks ----------------------------------------------------------------------------------------------------


def test_connecting_works_while_make_id_is_a_mock(signal):
    with mock.patch("django.dispatch.dispatcher._make_id"):
        signal.connect(first, sender=Order)
    assert called_by(signal) == [first]


def test_make_id_is_djangos_own():
    assert dispatcher._make_id(first) == id(first)


def test_a_mock_of_send_on_the_class_is_called(signal):
    signal.connect(first)
    called_by(signal)
    with mock.patch.object(Signal, "send") as send:
        signal.send(sender=Order, price=3)
    send.assert_called_once_with(sender=Order, price=3)


def test_a_mock_of_send_on_the_class_keeps_receivers_from_being_called(listen):
    received = listen(post_save, sender=Order)
    post_save.send(sender=Order)
    with mock.patch.object(Signal, "send"):
        post_save.send(sender=Order)
    assert len(received) == 1


def test_a_mock_of_send_on_the_subclass_is_called():
    with mock.patch.object(ModelSignal, "send") as send:
        post_save.send(sender=Order)
    send.assert_called_once_with(sender=Order)


def test_receivers_are_called_again_after_a_mock_of_send_on_the_class(signal):
    signal.connect(first)
    called_by(signal)
    with mock.patch.object(Signal, "send"):
        pass
    assert called_by(signal) == [first]


def test_receivers_are_called_after_a_mock_of_send_on_the_subclass(listen):
    received = listen(post_save, sender=Order)
    with mock.patch.object(ModelSignal, "send"):
        pass
    post_save.send(sender=Order)
    assert len(received) == 1


def test_a_mock_of_send_on_a_signal_is_called():
    with mock.patch.object(post_save, "send") as send:
        post_save.send(sender=Order)
    send.assert_called_once_with(sender=Order)


@pytest.mark.django_db
def test_a_save_calls_a_mock_of_send_on_the_signal():
    with mock.patch.object(post_save, "send") as send:
        Writer.objects.create()
    assert send.call_args.kwargs["sender"] is Writer


def test_receivers_are_called_again_after_a_mock_of_send_on_a_signal(listen):
    received = listen(post_save, sender=Order)
    with mock.patch.object(post_save, "send"):
        pass
    post_save.send(sender=Order)
    assert len(received) == 1


def test_a_mock_of_send_on_a_signal_that_was_never_sent_leaves_it_working(signal):
    signal.connect(first)
    with mock.patch.object(signal, "send"):
        pass
    assert called_by(signal) == [first]


@pytest.mark.django_db
def test_a_save_goes_on_where_a_signal_is_replaced_in_the_module_that_sends_it():
    with mock.patch("django.db.models.base.post_save") as replaced:
        Genre.objects.create()
    assert replaced.send.call_count == 1


def test_a_mock_of_live_receivers_on_the_class_decides_who_is_called(signal):
    signal.connect(first)
    called_by(signal)
    with mock.patch.object(Signal, "_live_receivers", return_value=([second], [])):
        received = called_by(signal)
    assert received == [second]


def test_a_mock_of_live_receivers_decides_from_the_first_send_on(signal):
    signal.connect(first)
    with mock.patch.object(Signal, "_live_receivers", return_value=([second], [])):
        received = [called_by(signal) for _ in range(3)]
    assert received == [[second]] * 3


def test_a_wrapper_of_send_on_a_signal_is_called_each_time(signal, monkeypatch):
    original, calls = signal.send, []
    signal.connect(first)
    monkeypatch.setattr(signal, "send", lambda *args, **named: calls.append(named) or original(*args, **named))
    for _ in range(3):
        signal.send(sender=Order, price=1)
    assert len(calls) == 3


def test_a_mock_can_be_connected(signal):
    receiver = mock.Mock()
    signal.connect(receiver, sender=Order)
    signal.send(sender=Order, price=3)
    receiver.assert_called_once_with(signal=signal, sender=Order, price=3)


def test_a_mock_with_the_signature_of_a_receiver_can_be_connected(signal):
    receiver = mock.create_autospec(first)
    signal.connect(receiver, sender=Order)
    signal.send(sender=Order, price=3)
    receiver.assert_called_once_with(signal=signal, sender=Order, price=3)


def test_an_async_mock_is_awaited(signal):
    receiver = mock.AsyncMock()
    signal.connect(receiver, sender=Order)
    signal.send(sender=Order, price=3)
    receiver.assert_awaited_once_with(signal=signal, sender=Order, price=3)


def test_a_mock_in_the_place_of_a_receivers_name_does_not_replace_the_receiver(signal):
    signal.connect(first)
    with mock.patch(f"{__name__}.first"):
        received = signal.send(sender=Order)
    assert [response for _, response in received] == ["first"]
