"""Tasks run under the context of whoever sends them: group W of the cases."""

import uuid

import django
import pytest

from heliograph.context import Actor, acting, celery_tasks, current
from tests.helpers import celery_messages, looking_tasks
from tests.helpers.waiting import until

if django.VERSION >= (6, 0):
    from django.tasks import task, task_backends
else:
    from django_tasks import task, task_backends

ADA, BOB = Actor("", "ada"), Actor("", "bob")


# --- Celery -----------------------------------------------------------------------------------------------------


@pytest.fixture
def _carried():
    stop = celery_tasks.carry()
    yield
    stop()


@pytest.fixture(scope="module")
def messages():
    """Send to a worker of Celery; the list has the context of each task."""
    with celery_messages.in_worker(f"contexts-{uuid.uuid4().hex}"):
        yield celery_messages.seen


@pytest.fixture
def seen(messages):
    messages.clear()
    return messages


@pytest.mark.usefixtures("_carried")
def test_w8_a_task_of_celery_has_the_actor_and_its_own_span(seen):
    with acting("ada", reason="import") as sent:
        celery_messages.look.delay()
    until(lambda: seen)
    [one] = seen
    assert (one.actor, one.reason, one.parent) == (ADA, "import", sent.traceparent)


@pytest.mark.usefixtures("_carried")
def test_w8_the_next_task_of_the_worker_has_nothing_of_it(seen):
    with acting("ada"):
        celery_messages.look.delay()
    celery_messages.look.delay()
    until(lambda: len(seen) == 2)
    assert [one.actor for one in seen] == [ADA, None]


@pytest.mark.usefixtures("_carried")
def test_w8_a_retry_has_the_cause_of_the_first_attempt(seen):
    with acting("ada") as sent:
        celery_messages.look_twice.delay()
    until(lambda: len(seen) == 2)
    assert [(one.actor, one.parent) for one in seen] == [(ADA, sent.traceparent)] * 2


@pytest.mark.usefixtures("_carried")
def test_w8_a_task_that_a_task_sends_has_its_actor_and_its_span_as_the_cause(seen):
    with acting("ada"):
        celery_messages.pass_on.delay()
    until(lambda: len(seen) == 2)
    first, second = seen
    assert (second.actor, second.parent) == (ADA, first.traceparent)


@pytest.mark.usefixtures("_carried")
def test_w8_a_task_that_is_called_at_once_has_the_context_of_its_caller(seen):
    with acting("ada") as sent:
        celery_messages.look.apply()
        assert current() is sent
    assert seen == [sent]


def test_without_carry_a_task_has_no_context(seen):
    with acting("ada"):
        celery_messages.look.delay()
    until(lambda: seen)
    assert [one.actor for one in seen] == [None]


@pytest.mark.usefixtures("_carried")
def test_a_header_that_nobody_can_read_is_logged(seen, caplog):
    celery_messages.look.apply_async(headers={celery_tasks.HEADER: "nonsense"})
    until(lambda: seen)
    assert [one.actor for one in seen] == [None]
    assert "The context of contexts.look cannot be read" in caplog.text


# --- Django's tasks ---------------------------------------------------------------------------------------------


@pytest.fixture
def tasks(settings):
    kinds = {"default": "Later", "now": "AtOnce"}
    settings.TASKS = {name: {"BACKEND": f"tests.helpers.looking_tasks.{kind}"} for name, kind in kinds.items()}
    looking_tasks.seen.clear()
    plain = looking_tasks.look, looking_tasks.look_async
    looking_tasks.look, looking_tasks.look_async = map(task, plain)  # a task reads the settings when it is made
    yield looking_tasks.seen
    looking_tasks.look, looking_tasks.look_async = plain


@pytest.mark.parametrize("name", ["look", "look_async"])
def test_w8_a_task_of_django_has_the_actor_and_its_own_span(tasks, name):
    with acting("ada") as sent:
        getattr(looking_tasks, name).enqueue("a")
    with acting("bob"):
        looking_tasks.make(task_backends["default"])
        assert current().actor == BOB
    [(title, one)] = tasks
    assert (title, one.actor, one.parent) == ("a", ADA, sent.traceparent)


async def test_w8_so_has_one_that_async_code_enqueues(tasks):
    with acting("ada"):
        await looking_tasks.look.aenqueue(title="a")
    looking_tasks.make(task_backends["default"])
    assert [(title, one.actor) for title, one in tasks] == [("a", ADA)]


def test_w8_a_task_of_django_that_is_run_at_once_has_the_actor(tasks):
    with acting("ada"):
        looking_tasks.look.using(backend="now").enqueue("a")
    assert [(title, one.actor) for title, one in tasks] == [("a", ADA)]


def test_a_task_that_is_enqueued_without_a_context_has_no_argument_more(tasks):
    result = looking_tasks.look.enqueue("a")
    assert (result.args, result.kwargs) == (["a"], {})
    looking_tasks.make(task_backends["default"])
    assert [(title, one.actor) for title, one in tasks] == [("a", None)]


def test_an_argument_that_nobody_can_read_is_logged(tasks, caplog):
    looking_tasks.look.enqueue("a", heliograph_context="nonsense")
    looking_tasks.make(task_backends["default"])
    assert [(title, one.actor) for title, one in tasks] == [("a", None)]
    assert "The context of a task cannot be read" in caplog.text
