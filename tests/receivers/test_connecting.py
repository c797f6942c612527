"""Connecting to several senders and signals: each form of them, and all of them or none."""

import gc
import importlib

import pytest
from django.apps import AppConfig, apps
from django.core.exceptions import FieldDoesNotExist
from django.core.management.sql import emit_post_migrate_signal
from django.db import models
from django.db.models.signals import ModelSignal
from django.dispatch import receiver as django_receiver
from django.test.utils import isolate_apps

from heliograph import Signal, changed, created, dispatch, receiver
from heliograph.changes.plans import PLANS
from heliograph.dispatch import live_signals
from heliograph.signals import (
    m2m_changes,
    post_bulk_create,
    post_delete,
    post_init,
    post_migrate,
    post_save,
    post_update,
    pre_migrate,
    user_logged_in,
)
from tests.app import apps as app_of_tests
from tests.app.models import Genre, Named, Novel, Writer
from tests.helpers.bare import run

opened = Signal(name="library.opened")
closed = Signal(name="library.closed")


def record(**kwargs):
    """A receiver."""


def connections(function=record):
    """Return the signals that a receiver is connected to, with its senders."""
    return [
        (signal.name.rpartition(".")[2], one.bucket.sender())
        for signal in live_signals()
        for one in signal._table.connections()
        if one.receiver() is function
    ]


NOT_ADOPTED = {
    "HELIOGRAPH": {"ADOPT_DJANGO_SIGNALS": False},
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "heliograph"],
}


class Refusing:
    """A policy that refuses a receiver of one sender, or of one signal."""

    def __init__(self, refused):
        self.refused = refused

    def deliver(self, call):
        return call.make()

    def connected(self, options, receiver, place):
        if self.refused in (place.sender, place.signal):
            raise TypeError("not here")
        return options


# --- several senders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("several", [list, tuple])
@pytest.mark.parametrize("signal", [post_save, post_update, m2m_changes, post_init], ids=lambda one: one.name)
def test_a_list_and_a_tuple_of_models_are_several_senders(connect, signal, several):
    connect(signal, record, sender=several([Writer, "app.Genre"]))
    assert {sender for _, sender in connections()} == {Writer, Genre}
    signal.disconnect(record, sender=several(["app.Writer", Genre]))
    assert connections() == []


@pytest.mark.parametrize("decorate", [receiver, django_receiver, dispatch.receiver], ids=["ours", "django", "plain"])
def test_a_tuple_of_models_is_several_senders_in_every_decorator(decorate):
    decorate(post_save, sender=(Writer, Genre))(record)
    received = connections()
    post_save.disconnect(record, sender=(Writer, Genre))
    assert [sender for _, sender in received] == [Writer, Genre]


def test_a_tuple_is_a_value_where_anything_can_be_a_sender(connect):
    connect(opened, record, sender=("main", 1))
    assert opened.send(sender=("main", 1)) == [(record, None)]


def test_a_tuple_of_users_is_several_senders_of_a_signal_that_classes_send(connect):
    connect(user_logged_in, record, sender=(Writer, Genre))
    assert [sender for _, sender in connections()] == [Writer, Genre]


def test_a_signal_of_models_of_another_package_takes_a_tuple(connect):
    signal = ModelSignal()
    connect(signal, record, sender=(Writer, "app.Genre"))
    assert [sender for _, sender in connections()] == [Writer, Genre]


def test_subclasses_of_several_named_models_are_received(connect):
    connect(post_save, record, sender=["app.Novel", Named], subclasses=True)
    assert {sender for _, sender in connections()} == {Novel, Named}


def test_a_model_that_a_migration_works_with_can_be_a_sender(connect):
    state = type("Old", (models.Model,), {"__module__": "__fake__", "Meta": type("Meta", (), {"app_label": "old"})})
    connect(post_save, record, sender=state)
    assert connections() == [("post_save", state)]


# --- apps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender",
    [
        pytest.param("app", id="label"),
        pytest.param("tests.app", id="name"),
        pytest.param(app_of_tests.TestsConfig, id="class"),
        pytest.param(lambda: apps.get_app_config("app"), id="app"),
        pytest.param(lambda: apps.get_app_config("app").module, id="module"),
        pytest.param(["app"], id="list"),
    ],
)
@pytest.mark.parametrize("signal", [pre_migrate, post_migrate], ids=["pre_migrate", "post_migrate"])
def test_an_app_is_a_sender_of_the_signals_of_migrations_in_each_of_its_forms(signal, sender):
    sender = sender() if not isinstance(sender, type) and callable(sender) else sender
    receiver(signal, sender=sender)(record)
    received = connections()
    assert signal.disconnect(record, sender=sender)
    assert received == [(signal.name.rpartition(".")[2], apps.get_app_config("app"))]
    assert connections() == []


@pytest.mark.django_db
def test_a_receiver_of_an_app_is_called_when_the_app_is_migrated(listen):
    received = listen(post_migrate, sender="auth")
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert [payload["app_config"].label for _, payload in received] == ["auth"]


def test_the_class_of_all_apps_is_no_sender():
    with pytest.raises(ValueError, match=r"AppConfig'> is no installed app, and apps send post_migrate\."):
        receiver(post_migrate, sender=AppConfig)(record)


def test_an_app_is_not_known_while_apps_are_loaded():
    script = """
        report(error)
    """
    early = """
        from heliograph import receiver
        from heliograph.signals import post_migrate
        try:
            @receiver(post_migrate, sender="auth")
            def record(**kwargs): pass
        except TypeError as raised:
            error = str(raised).partition(": ")[2]
        """
    assert run(script, early=early) == [
        "sender='auth' is not known while apps are being loaded. Connect the receiver in ready() of your AppConfig,"
        " or in a module that ready() imports."
    ]


def test_an_app_is_a_sender_also_where_django_runs_its_signals():
    script = """
        from heliograph import receiver
        from heliograph.signals import post_migrate
        from django.apps import apps
        from django.core.management import call_command
        received = []
        @receiver(post_migrate, sender="auth")
        def record(sender, **kwargs):
            received.append(sender.label)
        call_command("migrate", verbosity=0)
        report(received)
    """
    assert run(script, **NOT_ADOPTED) == [["auth"]]


def test_a_tuple_and_an_instance_are_treated_alike_where_django_runs_its_signals():
    script = """
        from heliograph import receiver
        from heliograph.signals import post_save
        from django.contrib.auth.models import Group, Permission, User
        def record(**kwargs): pass
        try:
            receiver(post_save, sender=[Group, User(pk=1)])(record)
        except TypeError as error:
            report(str(error).partition(": ")[2])
        report(len(post_save.receivers))
        receiver(post_save, sender=(Group, Permission))(record)
        report(len(post_save.receivers))
    """
    assert run(script, **NOT_ADOPTED) == [
        "sender=<User pk=1> never sends post_save. Pass its class, User; for this row only, add"
        " when=lambda instance, **kwargs: instance.pk == 1.",
        0,
        2,
    ]


# --- all or nothing -------------------------------------------------------------------------------------------------

IN_EVERY_WAY = {
    "connect": lambda signal, **options: signal.connect(record, **options),
    "receiver": lambda signal, **options: receiver(signal, **options)(record),
    "receiver of the dispatcher": lambda signal, **options: dispatch.receiver(signal, **options)(record),
    "receiver of Django": lambda signal, **options: django_receiver(signal, **options)(record),
}
in_every_way = pytest.mark.parametrize("way", IN_EVERY_WAY.values(), ids=IN_EVERY_WAY)


@in_every_way
@pytest.mark.parametrize("signal", [post_save, post_update, ModelSignal()], ids=["post_save", "post_update", "other"])
def test_d5_a_list_of_senders_of_which_a_policy_refuses_one_connects_none(way, signal):
    with pytest.raises(TypeError, match="not here"):
        way(signal, sender=[Writer, "app.Novel", Genre], delivery=Refusing(Genre))
    assert connections() == []


@in_every_way
def test_d5_a_list_of_senders_of_which_one_has_no_such_field_connects_none(way):
    with pytest.raises(FieldDoesNotExist, match="has no field 'title'"):
        way(post_save, sender=["app.Article", Writer], when=changed("title"))
    assert connections() == []


@in_every_way
def test_d5_a_list_of_values_of_which_a_policy_refuses_one_connects_none(way):
    with pytest.raises(TypeError, match="not here"):
        way(opened, sender=["main", "branch"], delivery=Refusing("branch"))
    assert connections() == []


@in_every_way
def test_d5_a_list_of_senders_of_which_one_is_no_model_connects_none(way):
    with pytest.raises(TypeError, match="never sends post_save"):
        way(post_save, sender=[Writer, Writer(pk=1)])
    assert connections() == []


@pytest.mark.parametrize("decorate", [receiver, dispatch.receiver], ids=["ours", "plain"])
@pytest.mark.parametrize(
    ("signals", "options"),
    [
        pytest.param([post_save, post_migrate], {"sender": Writer}, id="a sender of one only"),
        pytest.param([post_save, post_update], {"sender": Writer, "when": created}, id="a condition of one only"),
        pytest.param([post_save, opened], {"sender": Writer, "delivery": Refusing(opened)}, id="a policy"),
        pytest.param([opened, closed], {"delivery": Refusing(closed)}, id="a policy of custom signals"),
        pytest.param([post_bulk_create, post_init], {"sender": (Writer, Named)}, id="an abstract model"),
    ],
)
def test_d5_a_list_of_signals_of_which_one_is_refused_connects_to_none(decorate, signals, options):
    with pytest.raises(TypeError):
        decorate(signals, **options)(record)
    assert connections() == []


@isolate_apps("tests.app")
def test_d5_a_model_that_is_not_loaded_is_not_waited_for_when_another_sender_is_refused():
    with pytest.raises(TypeError, match="not here"):
        post_save.connect(record, sender=["app.Later", Genre], delivery=Refusing(Genre))

    class Later(models.Model):
        class Meta:
            app_label = "app"

    assert connections() == []
    assert models.options.Options.default_apps._pending_operations == {}


@isolate_apps("tests.app")
def test_d5_a_model_that_is_not_loaded_is_not_waited_for_when_another_signal_is_refused():
    with pytest.raises(TypeError, match="never sends post_migrate"):
        receiver([post_save, post_migrate], sender=Writer)(record)
    with pytest.raises(ValueError, match="no installed app"):
        receiver([post_save, post_migrate], sender="app.Later")(record)
    assert models.options.Options.default_apps._pending_operations == {}


def test_d5_what_was_connected_before_stays_when_a_list_is_refused(connect):
    connect(post_save, record, sender=Writer)
    with pytest.raises(TypeError, match="not here"):
        post_save.connect(record, sender=["app.Writer", Genre], delivery=Refusing(Genre))
    assert connections() == [("post_save", Writer)]


@pytest.mark.parametrize("sender", ["main", Writer])
def test_d5_a_receiver_that_was_imported_again_gives_way_to_the_first_when_a_list_is_refused(
    tmp_path, monkeypatch, sender
):
    (tmp_path / "shelves.py").write_text("def record(**kwargs):\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    shelves = importlib.import_module("shelves")
    first = shelves.record
    opened.connect(first, sender=sender, order=3, weak=False)
    importlib.reload(shelves)
    with pytest.raises(TypeError, match="not here"):
        receiver([opened, closed], sender=sender, delivery=Refusing(closed))(shelves.record)
    orders = [(one.receiver(), one.order) for one in opened._table.connections()]
    called = [called for called, _ in opened.send(sender=sender)]
    opened.disconnect(first, sender=sender)
    assert (orders, called) == ([(first, 3)], [first])


class RefusingAnother(Refusing):
    """A policy that itself connects receivers, of which it expects one to be refused."""

    def connected(self, options, receiver, place):
        with pytest.raises(TypeError, match="not here"):
            post_save.connect(dict, sender=["app.Genre", Writer], weak=False, delivery=Refusing(Writer))
        return options


def test_d5_a_list_that_is_refused_inside_another_leaves_the_other_connected():
    post_save.connect(record, sender=["app.Novel", Writer], delivery=RefusingAnother(None))
    received, others = connections(), connections(dict)
    post_save.disconnect(record, sender=["app.Novel", Writer])
    assert (received, others) == ([("post_save", Novel), ("post_save", Writer)], [])


def test_d5_a_list_that_was_connected_goes_when_the_list_around_it_is_refused():
    with pytest.raises(TypeError, match="not here"):
        receiver([post_save, opened], sender=["app.Novel", Writer], delivery=Refusing(opened))(record)
    assert connections() == []


@isolate_apps("tests.app")
def test_d5_a_model_is_not_watched_any_more_when_its_list_of_senders_is_refused():
    class Watched(models.Model):  # a model of its own: what another test has left behind may watch any other one
        title = models.CharField(max_length=10)

        class Meta:
            app_label = "app"

    with pytest.raises(TypeError, match="not here"):
        receiver([post_save, post_delete], sender=Watched, when=changed("title"), delivery=Refusing(post_delete))(
            record
        )
    gc.collect()
    assert Watched not in PLANS


def test_d5_signals_that_django_runs_are_disconnected_again_when_another_is_refused():
    script = """
        from heliograph import receiver
        from heliograph.signals import post_save, post_migrate
        from django.contrib.auth.models import Group
        from django.dispatch import Signal
        ours, theirs = Signal(), Signal()
        def record(**kwargs): pass
        for signals in ([post_save, post_migrate], [ours, post_migrate]):
            try:
                receiver(signals, sender=Group)(record)
            except TypeError as error:
                report(str(error).partition(": ")[2])
        report(len(post_save.receivers), len(ours.receivers))
    """
    message = "sender=auth.Group never sends post_migrate, which apps send. Pass its app: sender='auth'."
    assert run(script, **NOT_ADOPTED) == [message, message, 0, 0]


def test_a_disconnect_of_a_list_of_which_one_is_no_model_disconnects_none(connect):
    connect(post_save, record, sender=Writer)
    with pytest.raises(TypeError, match="never sends post_save"):
        post_save.disconnect(record, sender=[Writer, Writer(pk=1)])
    assert connections() == [("post_save", Writer)]
