"""Adoption: every signal of Django's class is run by this dispatcher."""

from textwrap import dedent

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.signals import request_started
from django.db.models.signals import ModelSignal, post_save
from django.dispatch import Signal, dispatcher

from heliograph import dispatch
from heliograph.adoption import adopt, is_adopted
from heliograph.dispatch import live_signals
from tests.adoption.scripts import PHOTOGRAPH, RECEIVERS
from tests.helpers.bare import run


class Order:
    """A sender."""


def record(**kwargs):
    return "recorded"


# --- while it is adopted --------------------------------------------------------------------------------------


def test_the_app_adopts_django():
    assert is_adopted()


def test_a_signal_of_django_is_an_instance_of_djangos_class():
    assert type(post_save) is ModelSignal
    assert isinstance(post_save, Signal)


def test_djangos_class_is_the_same_object_wherever_it_is_imported_from():
    assert Signal is dispatcher.Signal


def test_a_signal_that_is_made_now_is_run_by_heliograph():
    signal = Signal()
    signal.connect(record, order=3)
    assert signal in live_signals()


def test_a_signal_of_a_subclass_that_is_made_now_is_run_by_heliograph():
    class Mine(Signal):
        pass

    signal = Mine()
    signal.connect(record, order=3)
    assert signal in live_signals()


def test_a_signal_is_known_once():
    signal = Signal()
    signal.connect(record)
    assert [one for one in live_signals() if one is signal] == [signal]


def test_a_signal_of_a_package_that_the_catalogue_does_not_have_is_run_by_heliograph():
    from django.utils.autoreload import file_changed

    file_changed.connect(record, order=3)
    file_changed.disconnect(record)
    assert file_changed in live_signals()


@pytest.mark.parametrize("name", ["send", "send_robust", "asend", "asend_robust", "has_listeners", "disconnect"])
def test_a_verb_of_djangos_class_is_ours(name):
    assert getattr(Signal, name) is getattr(dispatch.Signal, name)


def test_adopting_twice_is_harmless():
    before = dict(vars(Signal)), dict(vars(ModelSignal))
    adopt()
    assert (dict(vars(Signal)), dict(vars(ModelSignal))) == before


def test_installed_apps_can_be_changed_for_a_while():
    from django.test import override_settings

    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS]):
        pass
    assert is_adopted()


def test_installed_apps_can_be_without_heliograph_for_a_while(listen):
    from django.test import override_settings

    received = listen(post_save, sender=Order)
    with override_settings(INSTALLED_APPS=[app for app in settings.INSTALLED_APPS if app != "heliograph"]):
        post_save.send(sender=Order)
    assert len(received) == 1


def test_the_public_options_work_on_djangos_signals(listen):
    received = listen(request_started, sender=Order, order=3, when=lambda environ, **kwargs: environ == {})
    for environ in ({}, {"a": 1}):
        request_started.send(sender=Order, environ=environ)
    assert len(received) == 1


def test_importing_heliograph_patches_nothing():
    script = """
        before = photograph()
        import heliograph, heliograph.adoption, heliograph.signals, heliograph.flow.listing
        report(photograph() == before)
    """
    assert run(PHOTOGRAPH + dedent(script), fresh=True, INSTALLED_APPS=[]) == [True]


# --- signals and receivers from before ------------------------------------------------------------------------


EARLY = """
import django
from django.dispatch import Signal

class Order:
    pass

class Invoice:
    pass

def early(**kwargs):
    called.append("early")

def late(**kwargs):
    called.append("late")

called = []
signal = Signal()
before = id(signal)
signal.connect(early, sender=Order)

def sent(sender=Order, **payload):
    called.clear()
    signal.send(sender=sender, **payload)
    return list(called)
"""


@pytest.mark.parametrize(
    ("steps", "reported"),
    [
        ("report(sent())", ["early"]),
        ("report(sent(Invoice))", []),
        ("signal.connect(late, sender=Order, order=-1); report(sent())", ["late", "early"]),
        ("signal.connect(late, sender=Order); report(sent())", ["early", "late"]),
        ("signal.connect(early, sender=Order); report(sent())", ["early"]),
        ("signal.disconnect(early, sender=Order); report(sent())", []),
        ("report(sent()); del early", ["early"]),
        ("del early; report(sent())", []),
        ("from heliograph import mute\nwith mute(signal): report(sent())", []),
        ("from heliograph import mute\nwith mute(early): report(sent())", []),
        ("from heliograph import mute\nwith mute(sender=Order): report(sent())", []),
        ("saved = signal.receivers; signal.receivers = []; signal.receivers = saved; report(sent())", ["early"]),
        (
            "signal.connect(late, sender=Order); saved = signal.receivers; signal.receivers = []\n"
            "signal.receivers = saved; report(sent())",
            ["early", "late"],
        ),
        (
            "signal.connect(late, sender=Order); saved = signal.receivers; signal.receivers = []\n"
            "signal.receivers = saved; report(sent(Invoice))",
            [],
        ),
        ("from heliograph.adoption import release; signal.receivers; release(); report(sent())", ["early"]),
        ("from heliograph.adoption import release; signal.receivers; release(); report(sent(Invoice))", []),
        ("report([row[0][1] == id(Order) for row in signal.receivers])", [True]),
    ],
    ids=[
        "receives its sender",
        "does not receive other senders",
        "is called after a receiver of a lower order",
        "is called before one that is connected later",
        "is not connected again",
        "can be disconnected",
        "is called while it lives",
        "is gone when it dies",
        "is muted with the signal",
        "is muted by itself",
        "is muted with its sender",
        "survives assignment",
        "survives assignment beside others",
        "receives only its sender after assignment",
        "is connected after release",
        "receives only its sender after release",
        "has its sender in its row",
    ],
)
def test_a_receiver_that_was_connected_before_adoption(steps, reported):
    assert run(steps, early=EARLY) == [reported]


@pytest.mark.parametrize("sender", ["'text'", "('a', 1)", "7"])
@pytest.mark.parametrize("steps", ["pass", "from heliograph.adoption import release; signal.receivers; release()"])
def test_a_receiver_of_a_value_that_was_connected_before_adoption_receives_only_that(sender, steps):
    early = EARLY + f"\nvalue = {sender}\nsignal.connect(late, sender=value)\n"
    assert run(f"{steps}\nreport(sent(value), sent('another'))", early=early) == [["late"], []]


def test_a_signal_from_before_adoption_is_the_same_object():
    assert run("report(id(signal) == before, type(signal) is Signal)", early=EARLY) == [True, True]


def test_a_receiver_of_anybody_from_before_adoption_receives_anybody():
    assert run("report(sent(Invoice))", early=EARLY + "\nsignal.connect(late)\n") == [["late"]]


def test_a_strongly_connected_receiver_from_before_adoption_stays_alive():
    early = EARLY + "\nsignal.connect(lambda **kwargs: called.append('lambda'), sender=Order, weak=False)\n"
    assert run("import gc; gc.collect(); report(sent())", early=early) == [["early", "lambda"]]


def test_a_dispatch_uid_from_before_adoption_is_known_afterwards():
    early = EARLY + "\nsignal.connect(late, sender=Order, dispatch_uid='mine')\n"
    steps = "signal.connect(late, sender=Order, dispatch_uid='mine'); report(sent())"
    assert run(steps, early=early) == [["early", "late"]]


def test_an_async_receiver_from_before_adoption_is_awaited():
    early = """
        from django.dispatch import Signal
        signal = Signal()
        called = []
        async def later(**kwargs):
            called.append("later")
        signal.connect(later)
    """
    assert run("signal.send(sender=None); report(called)", early=early) == [["later"]]


def test_a_bound_method_from_before_adoption_is_called():
    early = """
        from django.dispatch import Signal
        signal = Signal()
        called = []
        class Recorder:
            def record(self, **kwargs):
                called.append("record")
        recorder = Recorder()
        signal.connect(recorder.record)
    """
    assert run("signal.send(sender=None); report(called)", early=early) == [["record"]]


def test_a_dead_sender_from_before_adoption_does_not_lend_its_receivers_to_another():
    early = """
        from django.dispatch import Signal
        signal = Signal()
        called = []
        def record(**kwargs):
            called.append("record")
        def sender():
            return type("Fleeting", (), {})
        signal.connect(record, sender=sender())
    """
    script = """
        import gc
        gc.collect()
        for _ in range(50):
            signal.send(sender=sender())
        report(called)
    """
    if django.VERSION >= (6, 0):  # Django 5.2 knows no more of a sender than its id
        assert run(script, early=early) == [[]]


# --- without adoption -----------------------------------------------------------------------------------------


LEFT_ALONE = {"HELIOGRAPH": {"ADOPT_DJANGO_SIGNALS": False}}


def test_django_is_left_alone_where_the_settings_say_so():
    script = "report(photograph() == before)"
    assert run(script, early=PHOTOGRAPH + "\nbefore = photograph()", **LEFT_ALONE) == [True]


def test_a_plain_receiver_connects_to_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        receiver(post_save, sender=Order)(first)
        report(sent(post_save), sent(post_save, Bakery))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["first"], []]


def test_a_condition_works_on_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        receiver(post_save, sender=Order, when=lambda created, **kwargs: created)(first)
        report(sent(post_save, created=True), sent(post_save, created=False))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["first"], []]


def test_several_senders_work_on_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        receiver([post_save, Signal()], sender=[Order, Bakery])(first)
        report(sent(post_save), sent(post_save, Bakery), sent(post_save, int))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["first"], ["first"], []]


def test_a_receiver_is_not_re_entered_on_djangos_own_dispatcher_where_it_asks_for_that():
    script = """
        from heliograph import receiver
        class Row:
            pk = 1
        @receiver(post_save, sender=Order, reentrant="skip")
        def save_again(instance, **kwargs):
            called.append("save again")
            post_save.send(sender=Order, instance=instance)
        report(sent(post_save, instance=Row()))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["save again"]]


def test_an_async_receiver_with_a_condition_is_awaited_by_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        @receiver(post_save, sender=Order, when=lambda created, **kwargs: created)
        async def later(**kwargs):
            called.append("later")
        report(sent(post_save, created=True), sent(post_save, created=False))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["later"], []]


def test_a_receiver_with_a_condition_can_be_disconnected_from_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        receiver(post_save, sender=Order, when=lambda **kwargs: True)(first)
        report(post_save.disconnect(first, sender=Order), sent(post_save))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [True, []]


def test_a_receiver_with_a_condition_is_connected_once_to_djangos_own_dispatcher():
    script = """
        from heliograph import receiver
        for _ in range(2):
            receiver(post_save, sender=Order, when=lambda **kwargs: True)(first)
        report(sent(post_save))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["first"]]


@pytest.mark.parametrize(("option", "value"), [("order", 1), ("subclasses", True)])
def test_an_option_that_needs_adoption_says_so(option, value):
    script = f"""
        from heliograph import receiver
        try:
            receiver(post_save, sender=Order, {option}={value})(first)
        except TypeError as error:
            report(str(error))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [
        f"{option}= works on signals that Heliograph runs, and post_save is not one."
        " HELIOGRAPH has ADOPT_DJANGO_SIGNALS off: turn it on, or leave the option out.",
    ]


@pytest.mark.parametrize("scope", ["mute", "capture"])
def test_a_scope_that_needs_adoption_says_so(scope):
    script = f"""
        from heliograph import {scope}
        try:
            {scope}(post_save)
        except TypeError:
            report("TypeError")
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == ["TypeError"]


def test_our_own_signals_work_where_django_is_left_alone():
    script = """
        import heliograph
        signal = heliograph.Signal()
        signal.connect(second)
        signal.connect(first, order=-1)
        report(sent(signal))
    """
    assert run(PHOTOGRAPH + RECEIVERS + dedent(script), **LEFT_ALONE) == [["first", "second"]]


def test_the_app_is_not_needed_to_import_the_catalogue():
    script = """
        from heliograph.signals import post_save as ours
        report(ours is post_save)
    """
    assert run(PHOTOGRAPH + dedent(script), INSTALLED_APPS=[]) == [True]


# --- settings -------------------------------------------------------------------------------------------------


def test_an_unknown_key_of_the_settings_is_an_error_with_a_hint(settings):
    settings.HELIOGRAPH = {"ADOPT_DJANGO_SIGNAL": True}
    assert checks() == [
        (
            "heliograph.E001",
            "HELIOGRAPH has an unknown key 'ADOPT_DJANGO_SIGNAL'.",
            "Did you mean 'ADOPT_DJANGO_SIGNALS'?",
        ),
    ]


def test_an_unknown_key_that_is_like_no_other_lists_what_there_is(settings):
    settings.HELIOGRAPH = {"COLOUR": "red"}
    id, message, hint = checks()[0]
    assert (id, message) == ("heliograph.E001", "HELIOGRAPH has an unknown key 'COLOUR'.")
    assert "ADOPT_DJANGO_SIGNALS" in hint.removeprefix("There are: ").removesuffix(".").split(", ")


def test_a_key_that_is_not_a_string_is_an_error(settings):
    settings.HELIOGRAPH = {3: True}
    assert [id for id, *_ in checks()] == ["heliograph.E001"]


def test_every_unknown_key_is_an_error_of_its_own(settings):
    settings.HELIOGRAPH = {"ONE": 1, "TWO": 2}
    assert [id for id, *_ in checks()] == ["heliograph.E001", "heliograph.E001"]


def test_a_value_that_is_no_bool_is_an_error(settings):
    settings.HELIOGRAPH = {"AUTODISCOVER": "no"}
    assert checks() == [("heliograph.E001", "HELIOGRAPH['AUTODISCOVER'] is 'no'.", "Set it to True or False.")]


@pytest.mark.parametrize("names", ["password", 1, [2], [""], None])
def test_sensitive_fields_that_are_no_names_are_an_error(settings, names):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": names}
    hint = "Set it to a list of names, such as 'password', and of fields of models, such as 'shop.Customer.iban'."
    assert checks() == [("heliograph.E001", f"HELIOGRAPH['SENSITIVE_FIELDS'] is {names!r}.", hint)]


@pytest.mark.parametrize("name", ["app.Article.colour", "app.Nothing.title", "nothing.Article.title", "Article.title"])
def test_a_sensitive_field_that_no_model_declares_is_an_error(settings, name):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["password", name, "app.Article.title"]}
    text = f"HELIOGRAPH['SENSITIVE_FIELDS'] has {name!r}, and there is no such field."
    assert checks() == [("heliograph.E001", text, "Write the model that declares the field: 'app.Model.field'.")]


def test_known_settings_pass_the_check(settings):
    settings.HELIOGRAPH = {"ADOPT_DJANGO_SIGNALS": True}
    assert checks() == []


def test_no_settings_pass_the_check(settings):
    if hasattr(settings, "HELIOGRAPH"):
        del settings.HELIOGRAPH
    assert checks() == []


@pytest.mark.parametrize("wrong", [None, ["ADOPT_DJANGO_SIGNALS"], True])
def test_settings_that_are_not_a_dict_keep_django_from_starting(wrong):
    script = "report('started')"
    early = """
        import django
        from django.core.exceptions import ImproperlyConfigured
        start = django.setup
        def setup():
            try:
                start()
            except ImproperlyConfigured as error:
                report(str(error))
        django.setup = setup
    """
    assert run(script, early=early, HELIOGRAPH=wrong)[0] == f"HELIOGRAPH must be a dict of settings, not {wrong!r}."


def test_the_check_runs_with_djangos_checks(settings):
    from django.core.checks import run_checks

    settings.HELIOGRAPH = {"COLOUR": "red"}
    assert [error.id for error in run_checks([apps.get_app_config("heliograph")])] == ["heliograph.E001"]


def checks():
    from heliograph.checks import check_settings

    return [(error.id, error.msg, error.hint) for error in check_settings(None)]


def test_a_receiver_with_options_is_still_known_after_release_and_adoption():
    script = """
        from django.contrib.auth.models import User
        from django.db.models.signals import post_save
        from heliograph import receiver
        from heliograph.adoption import adopt, release

        @receiver(post_save, sender=User, when=lambda **kwargs: True)
        def record(**kwargs):
            pass

        release()
        adopt()
        report(post_save.disconnect(record, sender=User), post_save.send(User))
    """
    apps = ["heliograph", "django.contrib.contenttypes", "django.contrib.auth"]
    assert run(script, INSTALLED_APPS=apps) == [True, []]
