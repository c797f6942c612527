"""Senders that are named: "app.Model", also where the model is not there yet."""

import pytest
from django.apps.registry import Apps
from django.contrib.auth import get_user_model
from django.core.checks.model_checks import _check_lazy_references
from django.db import models
from django.db.models.signals import ModelSignal, post_init, post_save, pre_save
from django.dispatch import receiver as django_receiver
from django.test.utils import isolate_apps

from heliograph import receiver, when_models_are_loaded
from tests.app.models import Audiobook, Genre, Novel, Reprint, Writer
from tests.helpers.bare import run


def record(**kwargs):
    """A receiver."""


class Recorder:
    def record(self, **kwargs):
        """A receiver that is a method."""

    def __call__(self, **kwargs):
        """A receiver that is an object."""


def send(signal, sender):
    return [called for called, _ in signal.send(sender=sender, instance=None)]


@pytest.fixture
def signal():
    return ModelSignal(use_caching=True)


def test_a_sender_can_be_named(signal):
    signal.connect(record, sender="app.Writer")
    assert send(signal, Writer) == [record]


def test_the_name_of_a_sender_does_not_mind_the_case(signal):
    signal.connect(record, sender="app.writer")
    assert send(signal, Writer) == [record]


def test_other_models_are_not_received(signal):
    signal.connect(record, sender="app.Writer")
    assert send(signal, Genre) == []


def test_a_list_of_senders_can_be_named(signal):
    signal.connect(record, sender=["app.Writer", Genre])
    assert [send(signal, model) for model in (Writer, Genre, Novel)] == [[record], [record], []]


def test_a_sender_can_be_named_in_djangos_decorator(signal):
    django_receiver(signal, sender="app.Writer")(record)
    assert send(signal, Writer) == [record]


def test_djangos_decorator_takes_a_list_of_signals(signal):
    django_receiver([signal, post_init], sender="app.Writer")(record)
    received = send(signal, Writer) == [record] and record in [row[1]() for row in post_init.receivers]
    post_init.disconnect(record, sender=Writer)
    assert received


def test_djangos_decorator_takes_a_tuple_of_signals(signal):
    django_receiver((signal,), sender="app.Writer")(record)
    assert send(signal, Writer) == [record]


def test_djangos_decorator_takes_our_options(signal):
    django_receiver(signal, sender=["app.Writer", "app.Genre"], order=3, when=lambda **kwargs: True)(record)
    assert [send(signal, model) for model in (Writer, Genre)] == [[record], [record]]


def test_a_named_sender_can_be_given_with_an_order(signal):
    first = Recorder()
    signal.connect(record, sender="app.Writer")
    signal.connect(first, sender="app.Writer", order=-1)
    assert send(signal, Writer) == [first, record]


def test_a_named_sender_can_be_given_with_subclasses(signal):
    signal.connect(record, sender="app.Novel", subclasses=True)
    assert [send(signal, model) for model in (Novel, Reprint, Audiobook, Writer)] == [[record], [record], [record], []]


def test_a_receiver_can_be_disconnected_from_a_named_sender(signal):
    signal.connect(record, sender=Writer)
    signal.disconnect(record, sender="app.Writer")
    assert send(signal, Writer) == []


def test_a_receiver_can_be_disconnected_from_a_list_of_named_senders(signal):
    signal.connect(record, sender=[Writer, Genre])
    signal.disconnect(record, sender=["app.Writer", "app.Genre"])
    assert [send(signal, model) for model in (Writer, Genre)] == [[], []]


def test_a_name_without_a_dot_is_refused_in_djangos_words(signal):
    with pytest.raises(ValueError, match=r"^Invalid model reference 'Writer'\. String model references must be of"):
        signal.connect(record, sender="Writer")


@isolate_apps("tests.app")
def test_a_model_that_is_defined_later_is_received_from_then_on(signal):
    signal.connect(record, sender="app.Later")

    class Later(models.Model):
        class Meta:
            app_label = "app"

    assert send(signal, Later) == [record]


@isolate_apps("tests.app")
def test_a_list_of_models_may_be_loaded_one_by_one(signal):
    signal.connect(record, sender=["app.Soon", "app.Never"], order=-1)

    class Soon(models.Model):
        class Meta:
            app_label = "app"

    assert send(signal, Soon) == [record]


@isolate_apps("tests.app")
def test_a_receiver_is_kept_while_it_waits_for_its_model(signal):
    received = []

    def fleeting(**kwargs):
        received.append(kwargs)

    signal.connect(fleeting, sender="app.Later", weak=False)
    del fleeting

    class Later(models.Model):
        class Meta:
            app_label = "app"

    signal.send(sender=Later)
    assert len(received) == 1


@isolate_apps("tests.app")
def test_an_option_that_does_not_exist_is_refused_before_the_model_is_there(signal):
    with pytest.raises(TypeError):
        signal.connect(record, sender="app.Later", oder=1)


@isolate_apps("tests.app")
def test_a_wrong_value_of_an_option_is_refused_before_the_model_is_there(signal):
    with pytest.raises(ValueError, match=r"^reentrant= takes"):
        signal.connect(record, sender="app.Later", reentrant="never")


def test_the_apps_of_a_connection_can_be_given(signal):
    registry = Apps()
    signal.connect(record, sender="app.Later", apps=registry)

    class Later(models.Model):
        class Meta:
            app_label = "app"
            apps = registry

    assert send(signal, Later) == [record]


# --- Django's check of senders that never load ------------------------------------------------------------------


def missing(signal, receiver, **options):
    """Connect to a model that does not exist, and return what Django's check says."""
    apps = Apps()
    signal.connect(receiver, sender="library.Shelf", apps=apps, **options)
    return [(error.id, error.msg, error.obj) for error in _check_lazy_references(apps)]


def test_djangos_check_names_a_function_whose_model_never_loads():
    assert missing(post_save, record) == [
        (
            "signals.E001",
            "The function 'record' was connected to the 'post_save' signal with a lazy reference to the sender"
            " 'library.shelf', but app 'library' isn't installed.",
            __name__,
        ),
    ]


def test_djangos_check_names_a_method_whose_model_never_loads():
    recorder = Recorder()
    assert missing(pre_save, recorder.record) == [
        (
            "signals.E001",
            "Bound method 'Recorder.record' was connected to the 'pre_save' signal with a lazy reference to the sender"
            " 'library.shelf', but app 'library' isn't installed.",
            __name__,
        ),
    ]


def test_djangos_check_names_the_class_of_an_object_whose_model_never_loads():
    recorder = Recorder()
    assert missing(post_init, recorder) == [
        (
            "signals.E001",
            "An instance of class 'Recorder' was connected to the 'post_init' signal with a lazy reference to the"
            " sender 'library.shelf', but app 'library' isn't installed.",
            __name__,
        ),
    ]


def test_djangos_check_names_a_receiver_with_options_whose_model_never_loads():
    found = missing(post_save, record, order=3, when=lambda **kwargs: True, subclasses=True)
    assert [(id, msg.partition(" was ")[0]) for id, msg, _ in found] == [("signals.E001", "The function 'record'")]


def test_djangos_check_speaks_of_each_sender_of_a_list():
    apps = Apps()
    receiver(post_save, sender=["library.Shelf", "library.Room"], apps=apps)(record)
    assert [error.msg.split("'")[5] for error in _check_lazy_references(apps)] == ["library.room", "library.shelf"]


@isolate_apps("tests.app")
def test_djangos_check_says_so_where_the_app_has_no_such_model():
    apps = models.options.Options.default_apps
    post_save.connect(record, sender="app.Shelf")
    assert [error.msg for error in _check_lazy_references(apps)] == [
        "The function 'record' was connected to the 'post_save' signal with a lazy reference to the sender 'app.shelf',"
        " but app 'app' doesn't provide model 'shelf'.",
    ]


# --- the swapped user model -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_user_model_can_be_named_by_its_setting(listen, settings):
    received = listen(post_save, sender=settings.AUTH_USER_MODEL)
    get_user_model().objects.create(username="ada")
    assert len(received) == 1


SWAPPED = {
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "heliograph", "tests.helpers.members"],
    "AUTH_USER_MODEL": "members.Member",
}


def test_a_swapped_user_model_can_be_named_before_it_is_loaded():
    script = """
        from django.core.management import call_command
        from tests.helpers.members.models import Member
        call_command("migrate", run_syncdb=True, verbosity=0)
        Member.objects.create_user("ada")
        report(received)
    """
    early = """
        from django.db.models.signals import post_save
        received = []
        def record(sender, **kwargs):
            received.append(sender.__name__)
        post_save.connect(record, sender="members.Member")
        """
    assert run(script, early=early, **SWAPPED) == [["Member"]]


def test_a_user_model_that_was_swapped_out_is_refused_as_a_sender():
    script = """
        from heliograph import receiver
        from heliograph.signals import post_init, post_save
        from django.contrib.auth.models import User
        def record(sender, **kwargs): pass
        for sender in (User, "auth.User"):
            try:
                receiver(post_save, sender=sender)(record)
            except TypeError as error:
                report(str(error).partition(": ")[2])
        receiver(post_init, sender=User)(record)  # which sends nothing else
        report(len(post_save.receivers))
    """
    message = (
        "sender=auth.User never sends post_save."
        " It is swapped for members.Member: pass sender=settings.AUTH_USER_MODEL."
    )
    assert run(script, **SWAPPED) == [message, message, 0]


# --- when models are loaded -------------------------------------------------------------------------------------------


def test_functions_are_called_once_and_in_order_as_soon_as_models_are_loaded():
    early = """
        from django.apps import apps
        from heliograph import when_models_are_loaded
        called = []
        for name in ("first", "second"):
            when_models_are_loaded(lambda name=name: called.append((name, apps.models_ready)))
        assert called == []
    """
    assert run("report(called)", early) == [[("first", True), ("second", True)]]


def test_a_function_is_called_at_once_if_models_are_loaded_already():
    called = []
    when_models_are_loaded(lambda: called.append("now"))
    assert called == ["now"]
