"""The errors for wrong use: what is wrong, which it is, and what to do."""

import functools
import gc
import pickle
import re
from contextlib import suppress

import pytest

from heliograph.dispatch import Inline, Signal, capture, condition, mute
from heliograph.dispatch.undoing import all_or_nothing
from tests.helpers.pythons import borrows_references, counts_all_references

FILE = re.escape(__file__)


class Sender:
    pass


@Signal.define
def shipped(sender, *, order: int, carrier: str = "DHL") -> None:
    """An order left."""


def test_a_receiver_that_cannot_be_called(signal):
    with pytest.raises(TypeError, match=r"^Signal receivers must be callable\. 'text' is not: connect a function or"):
        signal.connect("text")


def test_a_receiver_without_kwargs_is_named_with_file_and_line(signal):
    def receiver(sender):
        pass

    line = receiver.__code__.co_firstlineno
    message = (
        r"^Signal receivers must accept keyword arguments \(\*\*kwargs\)\. tests\.dispatch\.test_errors\."
        rf"test_a_receiver_without_kwargs_is_named_with_file_and_line\.<locals>\.receiver \({FILE}:{line}\)"
        r" does not: add \*\*kwargs to its parameters\.$"
    )
    with pytest.raises(ValueError, match=message):
        signal.connect(receiver)


def test_a_receiver_without_any_parameter(signal):
    def receiver():
        pass

    with pytest.raises(ValueError, match=r"receiver \(.*\) does not: add"):
        signal.connect(receiver)


def test_a_bound_method_and_a_partial_without_kwargs(signal):
    class Handler:
        def method(self, sender):
            pass

    def plain(sender, other):
        pass

    handler, partial = Handler(), functools.partial(plain, other=1)
    with pytest.raises(ValueError, match=r"Handler\.method \("):
        signal.connect(handler.method)
    with pytest.raises(ValueError, match=r"partial\(tests\.dispatch.*plain\) \("):
        signal.connect(partial)


def test_a_callable_object_without_kwargs_is_named_with_the_place_of_its_call(signal):
    class Handler:
        def __call__(self, sender):
            pass

    line = Handler.__call__.__code__.co_firstlineno
    handler = Handler()
    with pytest.raises(ValueError, match=rf"Handler\.__call__ \({FILE}:{line}\) does not: add"):
        signal.connect(handler)


def test_a_callable_in_c_that_does_not_show_its_parameters_is_believed(signal):
    signal.connect(dict, weak=False)
    assert signal.send(None, value=1) == [(dict, {"signal": signal, "sender": None, "value": 1})]


def test_d5_a_receiver_that_asks_for_what_a_declared_signal_never_sends():
    def receiver(sender, order, courier, **kwargs):
        pass

    message = (
        rf"receiver \({FILE}:\d+\) asks for 'courier', which tests\.dispatch\.test_errors\.shipped never sends;"
        r" it sends sender, order, carrier\. Rename the parameter, give it a default, or add the name to the signal\.$"
    )
    with pytest.raises(TypeError, match=message):
        shipped.connect(receiver)


def test_a_receiver_with_a_default_for_what_is_never_sent_connects():
    def receiver(sender, order, courier=None, **kwargs):
        return order

    shipped.connect(receiver)
    assert shipped.send(Sender, order=1) == [(receiver, 1)]


@pytest.mark.parametrize("verb", ["send", "send_robust"])
def test_d11_a_wrong_name_fails_before_any_receiver_runs(verb):
    called = []

    def receiver(**kwargs):
        called.append(kwargs)

    shipped.connect(receiver)
    with pytest.raises(TypeError, match="courier"):
        getattr(shipped, verb)(Sender, order=1, courier="DHL")
    with pytest.raises(TypeError, match="order"):
        getattr(shipped, verb)(Sender)
    assert called == []


@pytest.mark.parametrize("verb", ["asend", "asend_robust"])
async def test_d11_a_wrong_name_fails_in_async_sends_too(verb):
    with pytest.raises(TypeError, match=r"^shipped\.send\(\) got an unexpected keyword argument 'courier'"):
        await getattr(shipped, verb)(Sender, order=1, courier="DHL")
    with pytest.raises(TypeError, match="order"):
        await getattr(shipped, verb)(Sender)


def test_the_error_of_a_wrong_name_names_the_signal():
    with pytest.raises(TypeError, match=r"^shipped\.send\(\) missing 1 required keyword-only argument: 'order'$"):
        shipped.send(Sender)


async def test_a_default_of_the_contract_is_sent_by_all_four():
    got = []

    def receiver(carrier, **kwargs):
        got.append(carrier)

    shipped.connect(receiver)
    shipped.send(Sender, order=1)
    shipped.send_robust(Sender, order=1)
    await shipped.asend(Sender, order=1)
    await shipped.asend_robust(Sender, order=1)
    assert got == ["DHL"] * 4


FLEETING = (
    r" would be collected at once: nothing but this call refers to it, and a signal refers to its receivers weakly\."
    r" Define it at module level, keep a reference to it, or pass weak=False\.$"
)


class Clerk:
    def method(self, **kwargs):
        pass


NAMELESS = pytest.mark.parametrize(
    "make", [lambda: lambda **kwargs: 1, lambda: functools.partial(dict)], ids=["lambda", "partial"]
)


@NAMELESS
@counts_all_references
def test_d3_a_receiver_that_nobody_holds_is_refused(signal, make):
    with pytest.raises(ValueError, match=FLEETING):
        signal.connect(make())


@counts_all_references
def test_d3_a_method_whose_owner_nobody_holds_is_refused(signal):
    with pytest.raises(ValueError, match=r"Clerk\.method \(.*\)" + FLEETING):
        signal.connect(Clerk().method)


@NAMELESS
def test_d3_a_receiver_that_a_variable_holds_is_connected(signal, make):
    held = make()
    signal.connect(held)
    assert len(signal.receivers) == 1


def test_d3_a_method_that_a_variable_holds_or_whose_owner_it_holds_is_connected(signal):
    method = Clerk().method
    signal.connect(method)
    handler = Clerk()
    signal.connect(handler.method)
    assert len(signal.receivers) == 2


@NAMELESS
@borrows_references
def test_d3_where_calls_borrow_their_arguments_nothing_is_refused_and_what_nobody_holds_is_gone(signal, make):
    signal.connect(make())
    gc.collect()
    assert signal.send(None) == []


def test_an_unknown_value_of_reentrant(signal):
    with pytest.raises(ValueError, match=r"^reentrant= takes 'allow', 'skip' or 'raise', not 'never'\.$"):
        signal.connect(dict, weak=False, reentrant="never")


@pytest.mark.parametrize("policy", [Inline, "inline"])
def test_a_policy_that_is_none(signal, policy):
    message = r"^delivery= takes a delivery policy such as Inline\(\), OnCommit\(\) or Durable\(\), not .*\.$"
    with pytest.raises(TypeError, match=message):
        signal.connect(dict, weak=False, delivery=policy)


def test_a_condition_that_is_none():
    with pytest.raises(TypeError, match=r"^when= takes a condition, such as created, .*, not 3\.$"):
        condition(3)


def test_mute_and_capture_refuse_what_they_do_not_know():
    with pytest.raises(
        TypeError,
        match=r"^mute\(\) takes signals that Heliograph runs, receivers and sender classes, not \('x'.*"
        r" Import what a string names\.$",
    ):
        mute("x")
    with pytest.raises(TypeError, match=r"^capture\(\) takes signals that Heliograph runs, not 'x'\.$"):
        capture("x")


def test_a_class_cannot_be_decorated_by_mute():
    with pytest.raises(
        TypeError, match=r"^mute\(\) decorates functions, not the class Sender: decorate its methods\.$"
    ):
        mute()(Sender)


def test_a_contract_without_sender():
    with pytest.raises(TypeError, match=r"^@Signal\.define: the first parameter of .*<lambda> must be 'sender'\.$"):
        Signal.define(lambda order: None)


def test_a_contract_with_a_positional_name():
    with pytest.raises(TypeError, match=r"'order' of .*<lambda> must be keyword-only: put it behind '\*'\.$"):
        Signal.define(lambda sender, order: None)


@pytest.mark.parametrize("name", ["_private", "signal"])
def test_a_contract_with_a_name_that_cannot_be_sent(name):
    contract = eval(f"lambda sender, *, {name}: None")
    with pytest.raises(TypeError, match=rf"cannot send '{name}': choose another name\.$"):
        Signal.define(contract)


def test_an_unnamed_signal_cannot_be_pickled(signal):
    with pytest.raises(
        TypeError, match=r"^<Signal unnamed signal> cannot be pickled: it is not a variable of a module"
    ):
        pickle.dumps(signal)


def test_an_option_that_is_like_one_of_another_call_is_refused_with_that(signal):
    with pytest.raises(
        TypeError, match=r"has no option 'batchs'\. Did you mean delivery=OnCommit\(batch=True\)\? It t"
    ):
        signal.connect(shipping, batchs=True)


def test_a_condition_function_with_a_positional_parameter_is_refused(signal):
    def is_paid(sender, /, **kwargs):
        return True

    with pytest.raises(ValueError, match=r"is called with names only: take the '/' out of its parameters\.$"):
        signal.connect(shipping, when=is_paid)


def test_a_policy_of_the_users_that_inherits_from_inline_is_taken(signal):
    class Loud(Inline):
        """A policy that changes nothing."""

    signal.connect(shipping, delivery=Loud())
    assert [response for _, response in signal.send(None)] == ["sent"]


def shipping(**kwargs):
    return "sent"


@pytest.mark.parametrize("sender", [Sender, "by hand"])
def test_a_block_that_raises_undoes_its_connections_and_no_others(signal, sender):
    def named(answer):
        def same_name(**kwargs):
            return answer

        return same_name

    first, second = named("first"), named("second")
    signal.connect(first, sender=sender, dispatch_uid="one")
    with suppress(RuntimeError), all_or_nothing():
        signal.connect(second, sender="another", dispatch_uid="one")
        signal.disconnect(sender="another", dispatch_uid="one")
        signal.connect(second, sender=sender, dispatch_uid="two")
        raise RuntimeError
    assert [response for _, response in signal.send(sender)] == ["first"]
    assert not signal.has_listeners("another")
