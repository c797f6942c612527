"""What docs/signals.md promises of single signals, checked on real behaviour."""

import sys

import django
import pytest
from django.apps import apps
from django.contrib.auth import authenticate, login, logout
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.state import ModelState, ProjectState
from django.http import HttpRequest
from django.template import engines
from django.test import override_settings
from django.test.utils import isolate_apps, modify_settings

from heliograph.signals import (
    class_prepared,
    connection_created,
    got_request_exception,
    m2m_changed,
    post_migrate,
    pre_migrate,
    request_started,
    setting_changed,
    template_rendered,
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from tests.app.models import Genre, Novel, Writer
from tests.helpers.bare import run

HAS_TASKS = django.VERSION >= (6, 0)


def related_by(received):
    """Return action and primary keys of each call of a receiver of m2m_changed."""
    return [(payload["action"], payload["pk_set"]) for _, payload in received]


# --- relations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def crime(db):
    return Genre.objects.create(name="crime")


def test_an_add_has_the_keys_that_were_not_there(listen, novel, crime):
    other = Genre.objects.create()
    novel.genres.add(other)
    received = listen(m2m_changed)
    novel.genres.add(crime, other)
    assert related_by(received) == [("pre_add", {crime.pk}), ("post_add", {crime.pk})]


def test_an_add_of_what_is_there_is_sent_with_an_empty_set(listen, novel, crime):
    novel.genres.add(crime)
    received = listen(m2m_changed)
    novel.genres.add(crime)
    assert related_by(received) == [("pre_add", set()), ("post_add", set())]


def test_a_remove_has_all_keys_that_were_asked_for(listen, novel, crime):
    received = listen(m2m_changed)
    novel.genres.remove(crime)
    assert related_by(received) == [("pre_remove", {crime.pk}), ("post_remove", {crime.pk})]


def test_a_clear_has_no_keys(listen, novel, crime):
    novel.genres.add(crime)
    received = listen(m2m_changed)
    novel.genres.clear()
    assert related_by(received) == [("pre_clear", None), ("post_clear", None)]


def test_a_set_removes_and_adds_what_differs(listen, novel, crime):
    kept, gone = Genre.objects.create(), Genre.objects.create()
    novel.genres.add(kept, gone)
    received = listen(m2m_changed)
    novel.genres.set([kept, crime])
    assert related_by(received) == [
        ("pre_remove", {gone.pk}),
        ("post_remove", {gone.pk}),
        ("pre_add", {crime.pk}),
        ("post_add", {crime.pk}),
    ]


def test_a_change_from_the_side_with_the_field(listen, novel, crime):
    received = listen(m2m_changed, sender=Novel.genres.through)
    novel.genres.add(crime)
    payload = received[0].payload
    assert (payload["instance"], payload["reverse"], payload["model"]) == (novel, False, Genre)


def test_a_change_from_the_other_side(listen, novel, crime):
    received = listen(m2m_changed, sender=Novel.genres.through)
    crime.novels.add(novel)
    payload = received[0].payload
    assert (payload["instance"], payload["reverse"], payload["model"]) == (crime, True, Novel)


# --- classes ------------------------------------------------------------------------------------------------------


@isolate_apps("tests.app")
def test_a_proxy_is_prepared_and_an_abstract_model_is_not(listen):
    received = listen(class_prepared)

    class Base(models.Model):
        class Meta:
            app_label = "app"
            abstract = True

    class Child(Base):
        class Meta:
            app_label = "app"

    class Stand(Child):
        class Meta:
            app_label = "app"
            proxy = True

    assert [sender for sender, _ in received] == [Child, Stand]


def test_a_model_of_a_migration_is_prepared(listen):
    received = listen(class_prepared)
    state = ProjectState()
    state.add_model(ModelState.from_model(Writer))
    state.apps.get_model("app", "Writer")
    assert "Writer" in [sender.__name__ for sender, _ in received]


@isolate_apps("tests.app")
def test_the_fields_of_a_model_are_there_when_it_is_prepared(connect):
    fields = []
    connect(class_prepared, lambda sender, **kwargs: fields.extend(field.name for field in sender._meta.local_fields))

    class Prepared(models.Model):
        title = models.TextField()

        class Meta:
            app_label = "app"

    assert fields == ["id", "title"]


def test_a_receiver_that_an_app_connects_in_its_constructor_receives_its_models():
    early = """
        from django.apps import AppConfig
        from heliograph.signals import class_prepared
        prepared = []
        def record(sender, **kwargs):
            prepared.append(sender.__name__)
        class_prepared.connect(record)
    """
    settings = {"INSTALLED_APPS": ["heliograph", "django.contrib.contenttypes"]}
    assert run("report(prepared)", early=early, **settings) == [["ContentType"]]


# --- migrations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [pre_migrate, post_migrate])
def test_migrations_are_sent_with_their_plan(listen, transactional_db, signal):
    received = listen(signal, sender=apps.get_app_config("sessions"))
    call_command("migrate", "sessions", "zero", verbosity=0, interactive=False)
    call_command("migrate", "sessions", verbosity=0, interactive=False)
    plans = [[(migration.name, undone) for migration, undone in payload["plan"]] for _, payload in received]
    assert plans == [[("0001_initial", True)], [("0001_initial", False)]]


@pytest.mark.parametrize(("signal", "has_it"), [(pre_migrate, False), (post_migrate, True)])
def test_migrations_are_sent_with_the_models_before_or_after(listen, transactional_db, signal, has_it):
    call_command("migrate", "sessions", "zero", verbosity=0, interactive=False)
    received = listen(signal, sender=apps.get_app_config("auth"))
    call_command("migrate", "sessions", verbosity=0, interactive=False)
    models = {model._meta.label for model in received[0].payload["apps"].get_models()}
    assert ("sessions.Session" in models) is has_it


def test_post_migrate_is_sent_if_there_was_nothing_to_do(listen, transactional_db):
    received = listen(post_migrate, sender=apps.get_app_config("app"))
    call_command("migrate", verbosity=0, interactive=False)
    assert received[0].payload["plan"] == []


@pytest.mark.parametrize("signal", [pre_migrate, post_migrate])
def test_the_app_of_a_migration_is_its_sender(listen, transactional_db, signal):
    received = listen(signal)
    call_command("migrate", verbosity=0, interactive=False)
    assert all(payload["app_config"] is sender for sender, payload in received)


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["missing", "forbidden", "bad", "suspicious"])
def test_a_refusal_is_no_request_exception(listen, client, views, how):
    received = listen(got_request_exception)
    client.get(f"/refuse/{how}/")
    assert received == []


@pytest.mark.django_db
def test_the_exception_is_at_hand_in_got_request_exception(connect, client, views):
    found = []
    connect(got_request_exception, lambda **kwargs: found.append(sys.exc_info()[0]))
    client.raise_request_exception = False
    client.get("/fail/")
    assert found == [ZeroDivisionError]


@pytest.mark.django_db
def test_got_request_exception_has_the_request(listen, client, views):
    received = listen(got_request_exception)
    client.raise_request_exception = False
    client.get("/fail/")
    assert received[0].payload["request"].path == "/fail/"


def test_request_started_is_sent_before_any_middleware(connect, client, settings, views):
    steps = []
    settings.MIDDLEWARE = [f"{__name__}.{RecordingMiddleware.__name__}"]
    RecordingMiddleware.steps = steps
    connect(request_started, lambda **kwargs: steps.append("request_started"))
    client.get("/hello/")
    assert steps == ["request_started", "middleware"]


class RecordingMiddleware:
    steps: list[str]

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        self.steps.append("middleware")
        return self.get_response(request)


# --- databases ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_connection_created_is_sent_again_when_a_connection_was_closed(listen):
    received = listen(connection_created)
    for _ in range(2):
        connection.close()
        Writer.objects.exists()
    assert len(received) == 2


@pytest.mark.django_db(transaction=True)
def test_connection_created_is_not_sent_for_a_connection_that_is_open(listen):
    Writer.objects.exists()
    received = listen(connection_created)
    Writer.objects.exists()
    assert received == []


# --- tests --------------------------------------------------------------------------------------------------------


def test_setting_changed_sends_the_new_value_and_the_old_one(listen):
    received = listen(setting_changed)
    with override_settings(LANGUAGE_CODE="nl"):
        pass
    assert [payload for _, payload in received] == [
        {"setting": "LANGUAGE_CODE", "value": "nl", "enter": True},
        {"setting": "LANGUAGE_CODE", "value": "en-us", "enter": False},
    ]


def test_setting_changed_sends_none_for_a_setting_that_goes(listen):
    received = listen(setting_changed)
    with override_settings(COLOUR="red"):
        pass
    assert [payload["value"] for _, payload in received] == ["red", None]


def test_modify_settings_sends_setting_changed(listen):
    received = listen(setting_changed)
    with modify_settings(MIDDLEWARE={"append": "tests.middleware"}):
        pass
    assert [payload["setting"] for _, payload in received] == ["MIDDLEWARE"] * 2


def test_the_settings_fixture_sends_setting_changed(listen, settings):
    received = listen(setting_changed)
    settings.LANGUAGE_CODE = "nl"
    assert [payload["value"] for _, payload in received] == ["nl"]


def test_an_assignment_to_the_settings_sends_nothing(listen, monkeypatch):
    from django.conf import settings

    received = listen(setting_changed)
    monkeypatch.setattr(settings, "COLOUR", "red", raising=False)
    assert received == []


def test_the_settings_have_the_new_value_in_setting_changed(connect):
    from django.conf import settings

    values = []
    connect(setting_changed, lambda **kwargs: values.append(settings.LANGUAGE_CODE))
    with override_settings(LANGUAGE_CODE="nl"):
        pass
    assert values == ["nl", "en-us"]


def test_template_rendered_is_sent_for_templates_that_are_included(listen):
    received = listen(template_rendered)
    engine = engines["django"]
    template = engine.from_string("{% include other %}")
    template.render({"other": engine.from_string("{{ colour }}"), "colour": "red"})
    assert len(received) == 2


def test_template_rendered_is_sent_for_templates_that_are_extended(listen):
    received = listen(template_rendered)
    engine = engines["django"]
    template = engine.from_string("{% extends other %}")
    template.render({"other": engine.from_string("{% block a %}{% endblock %}")})
    assert len(received) == 2


def test_template_rendered_has_the_context(listen):
    received = listen(template_rendered)
    engines["django"].from_string("{{ colour }}").render({"colour": "red"})
    assert received[0].payload["context"]["colour"] == "red"


def test_template_rendered_is_not_sent_outside_of_tests():
    early = """
        from heliograph.signals import template_rendered
        received = []
        def record(**kwargs):
            received.append(kwargs)
        template_rendered.connect(record)
    """
    script = """
        from django.template import engines
        engines["django"].from_string("hello").render()
        report(received)
    """
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    assert run(script, early=early, TEMPLATES=templates) == [[]]


# --- users --------------------------------------------------------------------------------------------------------


@pytest.fixture
def request_with_session(db):
    request = HttpRequest()
    request.session = SessionStore()
    return request


def test_the_request_has_its_user_in_user_logged_in(connect, ada, request_with_session):
    users = []
    connect(user_logged_in, lambda request, user, **kwargs: users.append((request.user, user)))
    request_with_session.user = None
    login(request_with_session, ada, "django.contrib.auth.backends.ModelBackend")
    assert users == [(ada, ada)]


def test_the_session_is_not_saved_yet_in_user_logged_in(connect, ada, request_with_session):
    found = []

    def look(request, **kwargs):
        stored = Session.objects.filter(session_key=request.session.session_key).first()
        found.append(("_auth_user_id" in request.session, bool(stored and stored.get_decoded())))

    connect(user_logged_in, look)
    login(request_with_session, ada, "django.contrib.auth.backends.ModelBackend")
    assert found == [(True, False)]


def test_the_session_is_what_it_was_in_user_logged_out(connect, ada, request_with_session):
    found = []
    request_with_session.session["basket"] = ["book"]
    connect(user_logged_out, lambda request, **kwargs: found.append(request.session.get("basket")))
    logout(request_with_session)
    assert found == [["book"]]


def test_what_a_receiver_of_user_logged_out_writes_into_the_session_is_gone(connect, ada, request_with_session):
    connect(user_logged_out, lambda request, **kwargs: request.session.update({"note": "kept"}))
    logout(request_with_session)
    assert "note" not in request_with_session.session


def test_nobody_can_log_out(listen, request_with_session):
    received = listen(user_logged_out)
    logout(request_with_session)
    assert [(sender, payload["user"]) for sender, payload in received] == [(type(None), None)]


def test_passwords_are_masked_in_user_login_failed(listen, ada):
    received = listen(user_login_failed)
    authenticate(HttpRequest(), username="ada", password="guess")
    assert received[0].payload["credentials"] == {"username": "ada", "password": "*" * 20}


def test_the_request_of_user_login_failed_may_be_none(listen, ada):
    received = listen(user_login_failed)
    authenticate(username="ada", password="guess")
    assert received[0].payload["request"] is None


def test_user_login_failed_is_not_sent_when_somebody_is_known(listen, ada):
    received = listen(user_login_failed)
    authenticate(username="ada", password="engine")
    assert received == []


# --- tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_TASKS, reason="Django 6.0 brought tasks")
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("double", [("task_enqueued", "READY"), ("task_started", "RUNNING"), ("task_finished", "SUCCESSFUL")]),
        ("fail", [("task_enqueued", "READY"), ("task_started", "RUNNING"), ("task_finished", "FAILED")]),
    ],
)
def test_a_task_goes_through_these(connect, task, expected):
    from heliograph import signals
    from tests.helpers import tasks

    seen = []

    def record(signal, task_result, **kwargs):
        seen.append((signal.name.rpartition(".")[2], task_result.status.name))

    for name in ("task_enqueued", "task_started", "task_finished"):
        connect(getattr(signals, name), record)
    getattr(tasks, task).enqueue(*([2] if task == "double" else []))
    assert seen == expected


@pytest.mark.skipif(not HAS_TASKS, reason="Django 6.0 brought tasks")
def test_the_exception_of_a_task_is_at_hand_in_task_finished(connect):
    from heliograph.signals import task_finished
    from tests.helpers import tasks

    found = []
    connect(task_finished, lambda task_result, **kwargs: found.append((sys.exc_info()[0], len(task_result.errors))))
    tasks.fail.enqueue()
    assert found == [(ZeroDivisionError, 1)]
