"""The catalogue: every signal is fired for real, and carries what docs/signals.md lists."""

import importlib
import queue
import threading
import urllib.request
from urllib.error import HTTPError

import django
import pytest
from asgiref.testing import ApplicationCommunicator
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import authenticate, get_user_model
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection, models
from django.http import HttpRequest
from django.template import engines
from django.test import override_settings
from django.test.utils import isolate_apps
from pytest_django.live_server_helper import LiveServer

import heliograph.signals
from heliograph.catalogue import CATALOGUE
from heliograph.signals import (
    class_prepared,
    connection_created,
    got_request_exception,
    m2m_changed,
    m2m_changes,
    post_bulk_create,
    post_bulk_delete,
    post_delete,
    post_init,
    post_migrate,
    post_save,
    post_update,
    pre_delete,
    pre_init,
    pre_migrate,
    pre_save,
    request_finished,
    request_started,
    setting_changed,
    template_rendered,
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from tests.app.models import Genre, Novel, Review, Writer
from tests.helpers.page import arguments, in_the_table, signals

SOON = 20  # seconds until a thread that does not answer is given up
HAS_TASKS = django.VERSION >= (6, 0)
# How those signals are sent of which the page says that it makes a difference.
CONDITIONS = ("WSGI", "from `migrate`")

# Signals that DESIGN promises, in its order.
PROMISED = [
    *("pre_init", "post_init", "pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"),
    "class_prepared",
    *("pre_bulk_create", "post_bulk_create", "pre_bulk_update", "post_bulk_update", "pre_update", "post_update"),
    *("pre_bulk_delete", "post_bulk_delete", "deletion_asked", "m2m_changes"),
    *("pre_migrate", "post_migrate"),
    *("request_started", "request_finished", "got_request_exception"),
    *("connection_created", "setting_changed", "template_rendered"),
    *("user_logged_in", "user_logged_out", "user_login_failed"),
    *("task_enqueued", "task_started", "task_finished"),
]


@pytest.fixture
def listen_in_threads(connect):
    """Connect a receiver for the time of a test; its calls arrive in a queue, from any thread."""

    def listen(signal, **options):
        calls = queue.Queue()

        def record(signal, sender, **payload):
            calls.put((sender, payload))

        connect(signal, record, **options)
        return calls

    return listen


@pytest.fixture
def server(settings, transactional_db, views):
    """The address of a server that runs for the time of a test, so that it sees the test's settings."""
    settings.STATIC_URL, settings.MEDIA_URL = "/static/", "/media/"
    live = LiveServer("localhost")
    yield live.url
    live.stop()


def names(received):
    """Return the names of the arguments of a receiver's only call."""
    [(_, payload)] = received
    return payload.keys()


# --- the list -------------------------------------------------------------------------------------------------


def test_the_catalogue_is_complete():
    assert sorted(CATALOGUE) == sorted(PROMISED)


def test_the_page_has_a_section_for_each_signal():
    assert signals() == PROMISED


def test_the_page_has_each_signal_in_its_table():
    assert in_the_table() == signals()


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_names_in_the_catalogue_are_those_on_the_page(name):
    left_out = {"raw"} if name == "m2m_changed" and django.VERSION < (6, 1) else set()
    assert set(CATALOGUE[name].carries) - left_out == arguments(name, *CONDITIONS)


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.since <= django.VERSION])
def test_a_signal_of_the_catalogue_is_the_same_object_as_djangos(name):
    theirs = getattr(importlib.import_module(CATALOGUE[name].module), name)
    assert getattr(heliograph.signals, name) is theirs


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.since <= django.VERSION])
def test_a_signal_of_the_catalogue_is_named_by_its_module(name):
    assert repr(getattr(heliograph.signals, name)) == f"<Signal {CATALOGUE[name].module}.{name}>"


def test_a_signal_can_be_imported_from_the_catalogue():
    from heliograph.signals import post_save as imported

    assert imported is models.signals.post_save


def test_a_star_imports_every_signal_but_the_one_that_changes_a_test_run():
    names = {}
    exec("from heliograph.signals import *", names)
    there = {name for name, entry in CATALOGUE.items() if entry.since <= django.VERSION}
    assert {*names} - {"__builtins__"} == there - {"template_rendered"}


def test_an_unknown_name_is_refused_with_the_names_that_there_are():
    with pytest.raises(AttributeError) as caught:
        heliograph.signals.post_safe  # noqa: B018
    assert str(caught.value) == (
        "module 'heliograph.signals' has no signal 'post_safe': it has class_prepared, connection_created,"
        " deletion_asked, got_request_exception, m2m_changed, m2m_changes, post_bulk_create, post_bulk_delete,"
        " post_bulk_update, post_delete, post_init, post_migrate, post_save, post_update, pre_bulk_create,"
        " pre_bulk_delete, pre_bulk_update, pre_delete, pre_init, pre_migrate, pre_save, pre_update, request_finished,"
        " request_started, setting_changed, task_enqueued, task_finished, task_started, template_rendered,"
        " user_logged_in, user_logged_out, user_login_failed"
    )


@pytest.mark.skipif(HAS_TASKS, reason="Django 6.0 has tasks")
@pytest.mark.parametrize("name", ["task_enqueued", "task_started", "task_finished"])
def test_a_signal_of_tasks_is_refused_where_django_has_none(name):
    with pytest.raises(AttributeError) as caught:
        getattr(heliograph.signals, name)
    assert str(caught.value) == f"{name} needs Django 6.0 or later"


def test_a_name_that_python_asks_every_module_for_is_an_attribute_error():
    assert not hasattr(heliograph.signals, "__wrapped__")


def test_dir_lists_the_catalogue():
    assert set(CATALOGUE) <= set(dir(heliograph.signals))


# --- models ---------------------------------------------------------------------------------------------------


def test_pre_init_is_sent_when_an_instance_is_made(listen):
    received = listen(pre_init, sender=Writer)
    Writer(name="Ada")
    assert names(received) == arguments("pre_init")


def test_post_init_is_sent_when_an_instance_was_made(listen):
    received = listen(post_init, sender=Writer)
    Writer(name="Ada")
    assert names(received) == arguments("post_init")


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "signal"), [("pre_save", pre_save), ("post_save", post_save)])
def test_a_save_is_sent(listen, name, signal):
    received = listen(signal)
    Writer(name="Ada").save()
    assert (received[0].sender, names(received)) == (Writer, arguments(name))


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "signal"), [("pre_delete", pre_delete), ("post_delete", post_delete)])
def test_a_delete_is_sent(listen, name, signal):
    writer = Writer.objects.create()
    received = listen(signal)
    writer.delete()
    assert (received[0].sender, names(received)) == (Writer, arguments(name))


@pytest.mark.django_db
def test_m2m_changed_is_sent_before_and_after_an_add(listen):
    novel, genre = Novel.objects.create(), Genre.objects.create()
    received = listen(m2m_changed)
    novel.genres.add(genre)
    assert [(sender, payload.keys()) for sender, payload in received] == [
        (Novel.genres.through, arguments("m2m_changed")),
    ] * 2


@isolate_apps("tests.app")
def test_class_prepared_is_sent_when_a_model_was_defined(listen):
    received = listen(class_prepared)

    class Defined(models.Model):
        class Meta:
            app_label = "app"

    assert (received[0].sender, names(received)) == (Defined, arguments("class_prepared"))


# --- bulk writes ----------------------------------------------------------------------------------------------


@pytest.fixture
def writer(db):
    return Writer.objects.create(name="Ada")


WRITES = {
    "bulk_create": lambda writer: Writer.objects.bulk_create([Writer(name="Eve")]),
    "bulk_update": lambda writer: Writer.objects.bulk_update([Writer(pk=writer.pk, name="Eve")], ["name"]),
    "update": lambda writer: Writer.objects.update(name="Eve"),
    "bulk_delete": lambda writer: Writer.objects.all().delete(),
}


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("kind", WRITES)
def test_a_bulk_write_is_sent(listen, writer, when, kind):
    name = f"{when}_{kind}"
    received = listen(getattr(heliograph.signals, name), sender=Writer)  # a deletion may concern other models, too
    WRITES[kind](writer)
    assert (received[0].sender, names(received)) == (Writer, arguments(name))


def test_a_bulk_write_that_updates_on_conflict_carries_the_same(listen, writer):
    received = listen(post_bulk_create)
    unique = {} if connection.vendor == "mysql" else {"unique_fields": ["id"]}
    objects = [Writer(pk=writer.pk, name="Eve")]
    Writer.objects.bulk_create(objects, update_conflicts=True, update_fields=["name"], **unique)
    assert names(received) == arguments("post_bulk_create")


def test_rows_that_go_along_are_a_bulk_delete(listen, writer):
    Novel.objects.create(writer=writer)
    received = listen(post_bulk_delete)
    writer.delete()
    assert (received[0].sender, names(received)) == (Novel, arguments("post_bulk_delete"))


def test_keys_that_a_deletion_changes_are_an_update(listen, db):
    novel = Novel.objects.create()
    Review.objects.create(novel=novel)
    received = listen(post_update)
    novel.delete()
    assert (received[0].sender, names(received)) == (Review, arguments("post_update"))


@pytest.mark.parametrize(("name", "kind"), [("pre_save", "bulk_create"), ("post_save", "update")])
def test_a_row_of_a_bulk_write_carries_what_one_that_is_saved_does(listen, writer, name, kind):
    received = listen(getattr(heliograph.signals, name), bulk=True)
    WRITES[kind](writer)
    assert (received[0].sender, names(received)) == (Writer, arguments(name))


@pytest.mark.django_db
def test_a_row_that_is_deleted_in_one_statement_carries_what_one_that_is_loaded_does(listen):
    Review.objects.create()
    received = listen(post_delete, bulk=True)
    Review.objects.all().delete()
    assert (received[0].sender, names(received)) == (Review, arguments("post_delete"))


@pytest.mark.django_db
def test_m2m_changes_is_sent_once_for_an_add(listen):
    novel, genre = Novel.objects.create(), Genre.objects.create()
    received = listen(m2m_changes)
    novel.genres.add(genre)
    assert (received[0].sender, names(received)) == (Novel.genres.through, arguments("m2m_changes"))


# --- migrations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pre_migrate", "post_migrate"])
def test_migrations_are_sent_for_each_app(listen, transactional_db, name):
    received = listen(getattr(heliograph.signals, name))
    call_command("migrate", verbosity=0, interactive=False)
    assert [sender for sender, _ in received] == [app for app in apps.get_app_configs() if app.models_module]


@pytest.mark.parametrize("name", ["pre_migrate", "post_migrate"])
def test_migrations_carry_what_the_page_lists(listen, transactional_db, name):
    received = listen(getattr(heliograph.signals, name), sender=apps.get_app_config("app"))
    call_command("migrate", verbosity=0, interactive=False)
    assert names(received) == arguments(name, "from `migrate`")


def test_flush_carries_what_the_page_lists(listen, transactional_db):
    received = listen(post_migrate, sender=apps.get_app_config("app"))
    call_command("flush", verbosity=0, interactive=False, inhibit_post_migrate=False)
    assert names(received) == arguments("post_migrate")


def test_flush_sends_no_pre_migrate(listen, transactional_db):
    received = listen(pre_migrate)
    call_command("flush", verbosity=0, interactive=False, inhibit_post_migrate=False)
    assert received == []


# --- requests, of a real server ---------------------------------------------------------------------------------


def test_request_started_is_sent_when_a_request_comes_in(listen_in_threads, server):
    calls = listen_in_threads(request_started)
    urllib.request.urlopen(f"{server}/hello/").close()
    sender, payload = calls.get(timeout=SOON)
    assert (sender, payload.keys()) == (WSGIHandler, arguments("request_started", "WSGI"))


def test_request_finished_is_sent_when_the_response_is_closed(listen_in_threads, server):
    calls = listen_in_threads(request_finished)
    urllib.request.urlopen(f"{server}/hello/").close()
    sender, payload = calls.get(timeout=SOON)
    assert (sender, payload.keys()) == (WSGIHandler, arguments("request_finished"))


def test_got_request_exception_is_sent_when_a_view_raises(listen_in_threads, server):
    calls = listen_in_threads(got_request_exception)
    with pytest.raises(HTTPError) as caught:
        urllib.request.urlopen(f"{server}/fail/")
    caught.value.close()
    sender, payload = calls.get(timeout=SOON)
    assert (sender, payload.keys()) == (None, arguments("got_request_exception"))


async def respond(path):
    """Let Django's ASGI application respond to a request, as a server does."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "http_version": "1.1"}
    communicator = ApplicationCommunicator(ASGIHandler(), {**scope, "asgi": {"version": "3.0"}})
    await communicator.send_input({"type": "http.request", "body": b""})
    start = await communicator.receive_output(timeout=SOON)
    await communicator.receive_output(timeout=SOON)
    await communicator.wait(timeout=SOON)
    return start["status"]


async def test_request_started_is_sent_under_asgi(listen, async_database, views):
    received = listen(request_started)
    await respond("/hello/")
    assert (received[0].sender, names(received)) == (ASGIHandler, arguments("request_started", "ASGI"))


async def test_request_finished_is_sent_under_asgi(listen, async_database, views):
    received = listen(request_finished)
    await respond("/hello/")
    assert (received[0].sender, names(received)) == (ASGIHandler, arguments("request_finished"))


async def test_got_request_exception_is_sent_under_asgi(listen, async_database, views):
    received = listen(got_request_exception)
    await respond("/fail/")
    assert (received[0].sender, names(received)) == (None, arguments("got_request_exception"))


# --- databases ------------------------------------------------------------------------------------------------


def test_connection_created_is_sent_when_a_thread_opens_a_connection(listen_in_threads, transactional_db):
    calls = listen_in_threads(connection_created)

    def use_the_database():
        Writer.objects.exists()
        connection.close()

    thread = threading.Thread(target=use_the_database)
    thread.start()
    thread.join()
    sender, payload = calls.get(timeout=SOON)
    assert (sender, payload.keys()) == (type(payload["connection"]), arguments("connection_created"))


# --- tests ----------------------------------------------------------------------------------------------------


def test_setting_changed_is_sent_when_a_setting_is_changed_and_when_it_is_changed_back(listen):
    received = listen(setting_changed)
    with override_settings(LANGUAGE_CODE="nl"):
        pass
    assert [payload.keys() for _, payload in received] == [arguments("setting_changed")] * 2


def test_the_sender_of_setting_changed_is_the_class_that_holds_the_settings(listen):
    received = listen(setting_changed)
    with override_settings(LANGUAGE_CODE="nl"):
        holders = [type(django_settings._wrapped)]
    holders.append(type(django_settings._wrapped))
    assert [sender for sender, _ in received] == holders


def test_template_rendered_is_sent_when_a_template_is_rendered(listen):
    received = listen(template_rendered)
    template = engines["django"].from_string("hello")
    template.render()
    assert (received[0].sender, names(received)) == (template.template, arguments("template_rendered"))


# --- users ----------------------------------------------------------------------------------------------------


def test_user_logged_in_is_sent_at_a_login(listen, ada, client, views):
    received = listen(user_logged_in)
    client.get("/log-in/?name=ada&password=engine")
    assert (received[0].sender, names(received)) == (get_user_model(), arguments("user_logged_in"))


def test_user_logged_out_is_sent_at_a_logout(listen, ada, client, views):
    client.force_login(ada)
    received = listen(user_logged_out)
    client.get("/log-out/")
    assert (received[0].sender, names(received)) == (get_user_model(), arguments("user_logged_out"))


def test_user_login_failed_is_sent_when_credentials_are_refused(listen, ada, client, views):
    received = listen(user_login_failed)
    client.get("/log-in/?name=ada&password=guess")
    assert (received[0].sender, names(received)) == ("django.contrib.auth", arguments("user_login_failed"))


def test_a_receiver_can_name_the_sender_of_user_login_failed(listen, ada):
    received = listen(user_login_failed, sender="django." + "contrib.auth")
    authenticate(HttpRequest(), username="ada", password="guess")
    assert len(received) == 1


# --- tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_TASKS, reason="Django 6.0 brought tasks")
@pytest.mark.parametrize("name", ["task_enqueued", "task_started", "task_finished"])
@pytest.mark.parametrize("task", ["double", "fail"])
def test_a_task_is_sent(listen, name, task):
    from django.tasks.backends.immediate import ImmediateBackend

    from tests.helpers import tasks

    received = listen(getattr(heliograph.signals, name))
    getattr(tasks, task).enqueue(*([2] if task == "double" else []))
    assert (received[0].sender, names(received)) == (ImmediateBackend, arguments(name))
