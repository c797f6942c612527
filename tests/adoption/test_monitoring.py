"""Error trackers and profilers wrap what Django's dispatcher does, before adoption or after it."""

from textwrap import dedent

import pytest
from django.dispatch import Signal

from tests.helpers.bare import run

# Each replaces Signal._live_receivers in the way of one kind of tool, so that each call of a receiver is recorded.
SEEING = """
import functools
from django.db.models.signals import ModelSignal, post_save
from django.dispatch import Signal

seen = []

def seeing(receiver):
    @functools.wraps(receiver)
    def seen_receiver(*args, **kwargs):
        seen.append(receiver.__name__)
        return receiver(*args, **kwargs)
    return seen_receiver
"""
CLOSURE = """
def install():
    live_receivers = Signal._live_receivers
    def wrapper(self, sender):
        sync, later = live_receivers(self, sender)
        return [seeing(one) for one in sync], [seeing(one) for one in later]
    Signal._live_receivers = wrapper
"""
WRAPS = """
def install():
    live_receivers = Signal._live_receivers
    @functools.wraps(live_receivers)
    def wrapper(self, sender):
        sync, later = live_receivers(self, sender)
        return [seeing(one) for one in sync], [seeing(one) for one in later]
    Signal._live_receivers = wrapper
"""
OBJECT = """
class Wrapper:
    def __init__(self, wrapped, signal=None):
        self.wrapped, self.signal = wrapped, signal
    def __get__(self, signal, owner=None):
        return self if signal is None else Wrapper(self.wrapped, signal)
    def __call__(self, *args):
        sync, later = self.wrapped(*([self.signal] if self.signal else []), *args)
        return [seeing(one) for one in sync], [seeing(one) for one in later]
def install():
    Signal._live_receivers = Wrapper(Signal._live_receivers)
"""
DEFAULT_ARGUMENT = """
def install():
    def wrapper(self, sender, live_receivers=Signal._live_receivers):
        sync, later = live_receivers(self, sender)
        return [seeing(one) for one in sync], [seeing(one) for one in later]
    Signal._live_receivers = wrapper
"""
TOOLS = pytest.mark.parametrize(
    "tool",
    [CLOSURE, WRAPS, OBJECT, DEFAULT_ARGUMENT],
    ids=["a closure", "functools.wraps", "an object", "a default argument"],
)
RECEIVERS = """
class Order:
    pass

class Bakery(Order):
    pass

def first(**kwargs):
    return "first"

def second(**kwargs):
    return "second"

async def third(**kwargs):
    return "third"

signal = Signal()

def sent(signal=signal, sender=Order, **payload):
    seen.clear()
    responses = [response for _, response in signal.send(sender=sender, **payload)]
    return responses, list(seen)
"""
CASES = pytest.mark.parametrize(
    ("steps", "reported"),
    [
        (
            "signal.connect(first, sender=Order)\nreport(*[sent(price=1) for _ in range(3)])",
            [(["first"], ["first"])] * 3,
        ),
        (
            "post_save.connect(first, sender=Order)\n"
            "saved = {'instance': None, 'created': True, 'update_fields': None, 'raw': False, 'using': 'default'}\n"
            "report(*[sent(post_save, **saved) for _ in range(3)])",
            [(["first"], ["first"])] * 3,
        ),
        (
            "signal.connect(second); signal.connect(first, order=-1)\nreport(*[sent() for _ in range(3)])",
            [(["first", "second"], ["first", "second"])] * 3,
        ),
        (
            "signal.connect(first, when=lambda price, **kwargs: price > 3)\nreport(sent(price=1)[0], sent(price=5)[0])",
            [[], ["first"]],
        ),
        (
            "signal.connect(first, sender=Order, subclasses=True)\nreport(*[sent(sender=Bakery) for _ in range(3)])",
            [(["first"], ["first"])] * 3,
        ),
        (
            "from heliograph import mute\nsignal.connect(first); sent()\n"
            "with mute(first): report(sent())\nreport(sent())",
            [([], []), (["first"], ["first"])],
        ),
        ("signal.connect(first); signal.connect(third)\nreport(sent())", [(["first", "third"], ["first", "third"])]),
        ("signal.connect(first)\nreport(signal.has_listeners(Order))", [True]),
        ("signal.connect(first); sent(); signal.disconnect(first)\nreport(sent())", [([], [])]),
        (
            "signal.connect(first)\nreport([response for _, response in signal.send_robust(sender=Order)], seen)",
            [["first"], ["first"]],
        ),
        (
            "from heliograph import trace\nsignal.connect(first)\nwith trace() as flow: sent()\n"
            "report([type(event).__name__ for event in flow.events])",
            [["Sent", "Called", "Ended"]],
        ),
    ],
    ids=[
        "each receiver is seen once in each send",
        "each receiver of a model signal is seen once in each send",
        "the order is kept",
        "conditions are asked",
        "subclasses are received",
        "mute silences",
        "async receivers are awaited",
        "has_listeners tells",
        "disconnected receivers are not called",
        "robust sends are seen",
        "trace has the calls",
    ],
)


@TOOLS
@CASES
def test_beside_a_tool_that_came_before_adoption(tool, steps, reported):
    assert run(RECEIVERS + steps, early=SEEING + tool + "\ninstall()\n") == reported


@TOOLS
@CASES
def test_beside_a_tool_that_came_after_adoption(tool, steps, reported):
    assert run(SEEING + tool + "\ninstall()\n" + RECEIVERS + steps) == reported


def test_d7_beside_two_tools_that_came_before_adoption_each_receiver_is_seen_by_both():
    steps = "signal.connect(first)\nreport(*[sent() for _ in range(3)])"
    early = SEEING + CLOSURE + "\ninstall()\ninstall()\n"
    assert run(RECEIVERS + steps, early=early) == [(["first"], ["first", "first"])] * 3


def test_d7_beside_a_tool_from_before_and_one_from_after_adoption_each_receiver_is_seen_by_both():
    steps = "install()\nsignal.connect(first)\nreport(*[sent() for _ in range(3)])"
    early = SEEING + CLOSURE + "\ninstall()\n"
    assert run(RECEIVERS + steps, early=early) == [(["first"], ["first", "first"])] * 3


def test_a_tool_that_came_before_adoption_in_a_process_whose_objects_are_frozen():
    steps = "signal.connect(first, sender=Order, subclasses=True)\nreport(*[sent(sender=Bakery) for _ in range(3)])"
    early = SEEING + CLOSURE + "\nimport gc\ngc.freeze()\ninstall()\n"
    assert run(RECEIVERS + steps, early=early) == [(["first"], ["first"])] * 3


def test_a_tool_that_comes_between_two_sends_sees_the_second():
    steps = """
        signal.connect(first)
        sent(price=1)
        install()
        report(sent(price=1))
    """
    assert run(SEEING + CLOSURE + RECEIVERS + dedent(steps)) == [(["first"], ["first"])]


@pytest.mark.parametrize("method", ["send", "connect", "disconnect", "has_listeners"])
@pytest.mark.parametrize("wraps", ["", "@functools.wraps(original)"], ids=["", "functools.wraps"])
def test_a_wrapper_of_another_method_from_before_adoption_stays(method, wraps):
    early = f"""
        import functools
        from django.dispatch import Signal
        seen = []
        original = Signal.{method}
        {wraps}
        def wrapper(self, *args, **kwargs):
            seen.append("{method}")
            return original(self, *args, **kwargs)
        Signal.{method} = wrapper
    """
    script = """
        def record(**kwargs): pass
        signal = Signal()
        signal.connect(record)
        signal.has_listeners()
        signal.disconnect(record)
        signal.send(sender=None, price=1)
        signal.send(sender=None, price=1)
        report(seen)
    """
    times = 2 if method == "send" else 1
    assert run(dedent(script), early=early) == [[method] * times]


def test_a_wrapper_of_connect_of_the_model_signals_from_before_adoption_stays():
    early = """
        from django.db.models.signals import ModelSignal
        seen = []
        original = ModelSignal.connect
        def wrapper(self, *args, **kwargs):
            seen.append("connect")
            return original(self, *args, **kwargs)
        ModelSignal.connect = wrapper
    """
    script = """
        from django.db.models.signals import post_save
        def record(**kwargs): pass
        post_save.connect(record)
        report(seen)
    """
    assert run(dedent(script), early=early) == [["connect"]]


def test_a_wrapper_of_send_on_one_signal_from_before_adoption_stays():
    early = """
        from django.db.models.signals import post_save
        seen = []
        original = post_save.send
        def wrapper(*args, **kwargs):
            seen.append("send")
            return original(*args, **kwargs)
        post_save.send = wrapper
    """
    script = """
        def first(**kwargs): seen.append("first")
        def second(**kwargs): seen.append("second")
        post_save.connect(second)
        post_save.connect(first, order=-1)
        for _ in range(2):
            post_save.send(sender=str, instance=None, created=True, update_fields=None, raw=False, using="default")
        report(seen)
    """
    assert run(dedent(script), early=early) == [["send", "first", "second"] * 2]


def test_what_stands_for_send_on_one_signal_stays_after_release():
    script = """
        from heliograph.adoption import release
        from django.dispatch import Signal
        signal = Signal()
        signal.send = lambda **kwargs: "theirs"
        release()
        report(signal.send(sender=None))
    """
    assert run(dedent(script)) == ["theirs"]


def test_a_wrapper_of_connect_from_before_adoption_may_pass_our_options():
    early = """
        from django.dispatch import Signal
        original = Signal.connect
        def wrapper(self, *args, **kwargs):
            return original(self, *args, **kwargs)
        Signal.connect = wrapper
    """
    script = """
        from django.db.models.signals import post_save
        class Order: pass
        called = []
        def second(**kwargs): called.append("second")
        def first(**kwargs): called.append("first")
        post_save.connect(second, sender=Order)
        post_save.connect(first, sender=[Order], order=-1, when=lambda **kwargs: True)
        post_save.send(sender=Order)
        report(called)
    """
    assert run(dedent(script), early=early) == [["first", "second"]]


def test_a_mock_of_send_that_is_in_place_during_adoption_leaves_our_send_behind():
    early = """
        from unittest import mock
        from django.dispatch import Signal
        patch = mock.patch.object(Signal, "send")
        patch.start()
    """
    script = """
        patch.stop()
        called = []
        signal = Signal()
        signal.connect(lambda **kwargs: called.append("second"), weak=False)
        signal.connect(lambda **kwargs: called.append("first"), weak=False, order=-1)
        signal.send(sender=None)
        signal.send(sender=None)
        report(called)
    """
    assert run(dedent(script), early=early) == [["first", "second", "first", "second"]]


# --- what is called by a send: as quick after a tool has gone as before it came ----------------------------------

CALLS = """
import sys

def calls_of(function):
    names = []
    def record(frame, event, argument):
        if event == "call":
            names.append(frame.f_code.co_name)
    sys.setprofile(record)
    try:
        function()
    finally:
        sys.setprofile(None)
    return names
"""


def test_a_send_is_as_short_after_a_tool_has_gone_as_before_it_came():
    steps = """
        def send():
            signal.send(sender=Order, price=1)
        signal.connect(first, sender=Order)
        send(); send()
        before = calls_of(send)
        original = Signal._live_receivers
        install()
        send()
        Signal._live_receivers = original
        send()
        report(calls_of(send) == before, "_live_receivers" in before)
    """
    assert run(SEEING + CLOSURE + RECEIVERS + CALLS + dedent(steps)) == [True, False]


def test_a_signal_that_is_first_sent_beside_a_tool_is_as_short_as_others_once_the_tool_has_gone():
    steps = """
        def send(signal):
            signal.send(sender=Order, price=1)
        other = Signal()
        for one in (signal, other):
            one.connect(first, sender=Order)
        original = Signal._live_receivers
        install()
        send(other); send(other)
        Signal._live_receivers = original
        for one in (signal, other):
            send(one); send(one)
        report(calls_of(lambda: send(other)) == calls_of(lambda: send(signal)))
    """
    assert run(SEEING + CLOSURE + RECEIVERS + CALLS + dedent(steps)) == [True]


# --- the Sentry SDK itself ----------------------------------------------------------------------------------------

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration

transactions = []

def start():
    sentry_sdk.init(
        dsn="https://key@localhost/1",
        integrations=[DjangoIntegration(signals_spans=True)],
        default_integrations=False,
        auto_enabling_integrations=False,
        traces_sample_rate=1.0,
        before_send_transaction=lambda event, hint: transactions.append(event),  # None: nothing is sent
    )

def spans(function):
    with sentry_sdk.start_transaction(name="test"):
        function()
    return [span["description"] for span in transactions.pop()["spans"]]
"""
SENTRY_RECEIVERS = """
from django.db.models.signals import post_save
from django.dispatch import Signal

class Order:
    pass

class Bakery(Order):
    pass

def first(**kwargs):
    pass

def second(**kwargs):
    pass

def send(sender=Order):
    post_save.send(sender=sender, instance=None, created=True, update_fields=None, raw=False, using="default")
"""
SENTRY_CASES = pytest.mark.parametrize(
    ("steps", "reported"),
    [
        ("post_save.connect(first, sender=Order)\nreport(*[spans(send) for _ in range(3)])", [["__main__.first"]] * 3),
        (
            "post_save.connect(second, sender=Order); post_save.connect(first, order=-1)\nreport(spans(send))",
            [["__main__.first", "__main__.second"]],
        ),
        (
            "post_save.connect(first, when=lambda **kwargs: True)\nreport(len(spans(send)))",
            [1],
        ),
        (
            "post_save.connect(first, sender=Order, subclasses=True)\nreport(spans(lambda: send(Bakery)))",
            [["__main__.first"]],
        ),
        (
            "from heliograph import mute\npost_save.connect(first); send()\nwith mute(first): report(spans(send))",
            [[]],
        ),
    ],
    ids=["each receiver has one span", "in order", "with a condition", "for a subclass", "none while muted"],
)


@SENTRY_CASES
def test_sentry_started_in_the_settings(steps, reported):
    assert run(SENTRY_RECEIVERS + steps, early=SENTRY + "\nstart()\n") == reported


@SENTRY_CASES
def test_sentry_started_after_django(steps, reported):
    assert run(SENTRY + "\nstart()\n" + SENTRY_RECEIVERS + steps) == reported


def test_sentry_has_the_module_of_a_receiver_with_a_condition():
    steps = """
        post_save.connect(first, when=lambda **kwargs: True)
        report(spans(send))
    """
    assert run(SENTRY_RECEIVERS + dedent(steps), early=SENTRY + "\nstart()\n") == [["__main__.first"]]


def test_the_pair_of_a_receiver_that_sentry_wraps_has_its_name():
    steps = """
        post_save.connect(first, when=lambda **kwargs: True)
        report([receiver.__name__ for receiver, _ in post_save.send(sender=Order)])
    """
    assert run(SENTRY_RECEIVERS + dedent(steps), early=SENTRY + "\nstart()\n") == [["first"]]


def test_no_tool_has_wrapped_the_receivers_of_this_process():
    assert Signal._live_receivers.__module__ == "heliograph.dispatch.signal"
