"""Modules that are imported again, apps that are made again, and models that are defined for a while."""

import gc
import importlib
import sys
import weakref

import pytest
from django.apps import AppConfig
from django.db import models
from django.dispatch import Signal
from django.test import TestCase
from django.test.utils import isolate_apps, override_settings

from heliograph import mute
from heliograph.signals import post_init, post_save
from tests.app.models import Writer

RECEIVERS = """
from heliograph import receiver
from heliograph.signals import post_save
from tests.app.models import Writer

calls = []

@receiver(post_save, sender=Writer)
def record(**kwargs):
    calls.append({version})
"""


class App(AppConfig):
    """An app that connects its receivers when it is ready, as Django says."""

    name = "tests.adoption"
    label = "reloading"
    signal = Signal()

    def ready(self):
        self.signal.connect(ready_receiver, sender=Writer)


def ready_receiver(**kwargs):
    """A receiver."""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module with a receiver, in a file of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "receivers_of_a_test.py"
    path.write_text(RECEIVERS.format(version="'first'"))
    module = importlib.import_module(path.stem)
    yield module
    post_save.disconnect(module.record, sender=Writer)
    del sys.modules[path.stem]


def edit(module):
    """Change the file of a module, as a developer does while the server runs."""
    path = module.__spec__.origin
    with open(path, "w") as file:
        file.write(RECEIVERS.format(version="'second'") + "\n# longer than before, so that no old bytecode is taken\n")
    importlib.invalidate_caches()
    return importlib.reload(module)


@pytest.mark.django_db
def test_d2_a_module_that_is_reloaded_connects_its_receiver_once(module):
    importlib.reload(module)
    Writer.objects.create()
    assert module.calls == ["first"]


@pytest.mark.django_db
def test_d2_a_receiver_that_was_edited_takes_the_place_of_the_old_one(module):
    old = module.record
    edit(module)
    Writer.objects.create()
    assert (module.calls, old is module.record) == (["second"], False)


@pytest.mark.django_db
def test_d2_a_module_that_is_imported_under_two_names_connects_its_receiver_once(module, monkeypatch):
    spec = importlib.util.spec_from_file_location("package.receivers_of_a_test", module.__spec__.origin)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    Writer.objects.create()
    assert len(module.calls + again.calls) == 1


def test_d2_an_app_that_is_ready_twice_connects_its_receivers_once():
    app = App("tests.adoption", sys.modules["tests.adoption"])
    app.ready()
    app.ready()
    assert len(App.signal.send(sender=Writer)) == 1


def test_installed_apps_that_are_set_again_leave_receivers_connected_once(listen, settings):
    received = listen(post_save, sender=Writer)
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS]):
        post_save.send(sender=Writer)
    assert len(received) == 1


def define(name="Fleeting"):
    """Define a model in the apps of the moment."""
    return type(name, (models.Model,), {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "app"})})


def test_a_model_that_is_defined_for_a_while_is_not_kept_by_its_receivers(listen):
    with isolate_apps("tests.app"):
        model = define()
        post_init.connect(ready_receiver, sender=model)
        model()
        reference = weakref.ref(model)
        model._meta.apps.clear_cache()
        model._meta.apps.all_models.clear()
        del model
    gc.collect()
    assert reference() is None


def test_a_model_that_has_gone_leaves_nothing_in_the_table():
    before = len(post_init._table.buckets)
    with isolate_apps("tests.app"):
        for number in range(20):
            model = define(f"Fleeting{number}")
            post_init.connect(ready_receiver, sender=model)
            model()
        del model
    gc.collect()
    assert len(post_init._table.buckets) <= before


def test_a_model_that_takes_the_name_of_another_does_not_inherit_its_receivers():
    with isolate_apps("tests.app"):
        post_init.connect(ready_receiver, sender=define())
    with isolate_apps("tests.app"):
        model = define()
        assert ready_receiver not in [receiver for receiver, _ in post_init.send(sender=model, instance=None)]


def test_two_models_of_one_name_have_their_own_receivers(listen):
    with isolate_apps("tests.app"):
        one = define()
    with isolate_apps("tests.app"):
        other = define()
    received = listen(post_init, sender=one)
    one()
    other()
    assert [sender for sender, _ in received] == [one]


class TestWithData(TestCase):
    """Django copies what setUpTestData makes, for each test."""

    @classmethod
    def setUpTestData(cls):
        cls.signal = Signal()
        cls.kept = {"signal": cls.signal, "writer": Writer.objects.create(name="Ada")}
        cls.received = []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(mute(post_save))

    def test_a_signal_of_the_test_data_is_one_object(self):
        assert self.kept["signal"] is self.signal

    def test_a_receiver_of_a_signal_of_the_test_data_is_called(self):
        self.signal.connect(ready_receiver)
        assert [receiver for receiver, _ in self.signal.send(sender=None)] == [ready_receiver]

    def test_a_class_can_be_muted(self):
        calls = []

        def record(**kwargs):
            calls.append(kwargs)

        post_save.connect(record, sender=Writer)
        Writer.objects.create()
        assert calls == []


@pytest.mark.django_db
def test_a_class_that_was_muted_is_muted_no_longer(listen):
    received = listen(post_save, sender=Writer)
    Writer.objects.create()
    assert len(received) == 1
