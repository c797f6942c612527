"""Django's contract of signals, without Django."""

import gc
import subprocess
import sys
import warnings
import weakref

import pytest


def first(sender, **kwargs):
    return "first"


def second(sender, **kwargs):
    return "second"


class Sender:
    pass


class Listener:
    def method(self, **kwargs):
        return "method"

    def __call__(self, **kwargs):
        return "called"


def responses(signal, sender=None, **payload):
    """Return the responses of one send."""
    return [response for _, response in signal.send(sender=sender, **payload)]


def test_the_dispatcher_runs_where_django_cannot_be_imported():
    code = "import sys; sys.modules['django'] = None; import heliograph.dispatch; heliograph.Signal().send(None)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_send_without_receivers_returns_an_empty_list(signal):
    assert signal.send(sender=Sender, value=1) == []


def test_a_send_returns_receivers_with_their_responses_in_the_order_of_connecting(signal):
    signal.connect(first)
    signal.connect(second, sender=Sender)
    assert signal.send(sender=Sender) == [(first, "first"), (second, "second")]


def test_a_receiver_gets_signal_sender_and_payload(signal):
    got = {}

    def receiver(**kwargs):
        got.update(kwargs)

    signal.connect(receiver)
    signal.send(sender=Sender, value=1)
    assert got == {"signal": signal, "sender": Sender, "value": 1}


def test_a_receiver_of_one_sender_does_not_receive_another(signal):
    signal.connect(first, sender=Sender)
    assert responses(signal, object) == []
    assert responses(signal, None) == []


def test_connecting_twice_connects_once(signal):
    signal.connect(first)
    signal.connect(first)
    assert responses(signal) == ["first"]


def test_one_receiver_connected_to_a_sender_and_to_all_is_called_twice(signal):
    signal.connect(first)
    signal.connect(first, sender=Sender)
    assert responses(signal, Sender) == ["first", "first"]


def test_disconnect_says_whether_the_receiver_was_connected(signal):
    signal.connect(first, sender=Sender)
    assert signal.disconnect(first) is False
    assert signal.disconnect(first, sender=Sender) is True
    assert signal.disconnect(first, sender=Sender) is False
    assert responses(signal, Sender) == []


def test_the_first_receiver_with_a_dispatch_uid_stays(signal):
    signal.connect(first, dispatch_uid="uid")
    signal.connect(second, dispatch_uid="uid")
    assert responses(signal) == ["first"]
    assert signal.disconnect(dispatch_uid="uid") is True
    assert responses(signal) == []


def test_an_exception_ends_a_send_and_is_raised(signal):
    def fails(**kwargs):
        raise ValueError("no")

    signal.connect(fails)
    signal.connect(first)
    with pytest.raises(ValueError, match=r"^no$"):
        signal.send(sender=Sender)


def test_a_robust_send_keeps_the_exception_with_its_traceback_and_goes_on(signal, caplog):
    def fails(**kwargs):
        raise ValueError("no")

    signal.connect(fails)
    signal.connect(first)
    (_, error), rest = signal.send_robust(sender=Sender)
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None
    assert rest == (first, "first")
    (record,) = caplog.records
    name = "test_a_robust_send_keeps_the_exception_with_its_traceback_and_goes_on.<locals>.fails"
    assert record.getMessage() == f"Error calling {name} in Signal.send_robust() (no)"
    assert record.name == "django.dispatch"
    assert record.exc_info[1] is error


def test_a_receiver_that_connects_another_does_not_change_the_send_under_way(signal):
    def connects(**kwargs):
        signal.connect(second)
        return "connects"

    signal.connect(connects)
    assert responses(signal) == ["connects"]
    assert responses(signal) == ["connects", "second"]


def test_a_receiver_that_disconnects_itself_does_not_skip_the_next(signal):
    def leaves(**kwargs):
        signal.disconnect(leaves)
        return "leaves"

    signal.connect(leaves)
    signal.connect(first)
    assert responses(signal) == ["leaves", "first"]
    assert responses(signal) == ["first"]


def test_has_listeners_follows_connections(signal):
    assert not signal.has_listeners()
    signal.connect(first, sender=Sender)
    assert signal.has_listeners(Sender)
    assert not signal.has_listeners()


def test_a_function_that_dies_is_gone(signal):
    def local(**kwargs):
        return "local"

    signal.connect(local)
    assert responses(signal) == ["local"]
    del local
    gc.collect()
    assert responses(signal) == []
    assert not signal.has_listeners()


def test_a_bound_method_is_gone_with_its_owner(signal):
    listener = Listener()
    signal.connect(listener.method)
    assert signal.send(None) == [(listener.method, "method")]
    del listener
    gc.collect()
    assert responses(signal) == []


def test_a_callable_object_is_referred_to_weakly(signal):
    listener = Listener()
    signal.connect(listener)
    assert responses(signal) == ["called"]
    del listener
    gc.collect()
    assert responses(signal) == []


@pytest.mark.parametrize("verb", ["send", "send_robust"])
def test_a_receiver_that_dies_during_a_send_still_receives_it(signal, verb):
    listeners = [Listener()]

    def drops(**kwargs):
        listeners.clear()

    signal.connect(drops)
    signal.connect(listeners[0].method)
    for names in ({}, {}):
        assert [response for _, response in getattr(signal, verb)(None, **names)] == [None, "method"]
        listeners.append(Listener())
        signal.connect(listeners[0].method)


def test_a_strong_connection_keeps_a_receiver_alive(signal):
    signal.connect(Listener().method, weak=False)
    signal.connect(lambda **kwargs: "lambda", weak=False)
    gc.collect()
    assert responses(signal) == ["method", "lambda"]


def test_a_receiver_without_weak_references_can_be_connected_strongly(signal):
    class Slots:
        __slots__ = ()

        def __call__(self, **kwargs):
            return "slots"

    receiver = Slots()
    signal.connect(receiver, weak=False)
    assert signal.send(None) == [(receiver, "slots")]
    assert signal.disconnect(receiver)
    with pytest.raises(TypeError, match="cannot create weak reference to 'Slots' object"):
        signal.connect(receiver)


def test_receivers_that_die_between_two_sends_are_dropped_among_others(signal):
    listeners = [Listener() for _ in range(5)]
    for listener in listeners:
        signal.connect(listener.method, sender=Sender)
    signal.connect(first)
    assert len(responses(signal, Sender)) == 6
    del listeners[1:], listener
    assert responses(signal, Sender) == ["method", "first"]


def test_a_dead_receiver_does_not_bring_its_connection_back_when_its_id_is_used_again(signal):
    for _ in range(50):
        listener = Listener()
        signal.connect(listener)
        assert responses(signal) == ["called"]
        del listener
    assert len(signal._table.anyone.index) < 20


def test_the_index_forgets_receivers_that_died_when_others_come(signal):
    dying = [Listener() for _ in range(100)]
    for listener in dying:
        signal.connect(listener)
    del dying, listener
    signal.connect(first)
    assert len(signal._table.anyone.index) == 1


def test_a_sender_that_dies_takes_its_receivers_along(signal):
    class Local:
        pass

    reference = weakref.ref(Local)
    signal.connect(first, sender=Local)
    signal.send(sender=Local)
    del Local
    gc.collect()
    assert reference() is None
    assert signal.receivers == []


def test_a_dead_sender_leaves_no_cycle_behind(signal):
    class Local:
        pass

    signal.connect(first, sender=Local)
    signal.connect(second, sender=Local, subclasses=True)
    signal.send(sender=Local)
    gc.collect()
    del Local
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    ours = [one for one in gc.garbage if type(one).__module__.startswith("heliograph")]
    gc.garbage.clear()
    assert ours == []


def test_warnings_of_a_receiver_point_at_who_sent(signal):
    def warns(**kwargs):
        warnings.warn("look", stacklevel=3)

    signal.connect(warns)
    for _ in range(2):
        with pytest.warns(UserWarning, match="look") as caught:
            signal.send(None, value=1)
    assert caught[0].filename == __file__


def test_a_send_does_not_keep_its_sender_alive(signal):
    class Local:
        pass

    reference = weakref.ref(Local)
    signal.connect(first)
    signal.send(sender=Local)
    del Local
    gc.collect()
    assert reference() is None
