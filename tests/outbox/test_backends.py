"""Durable receivers whose deliveries are made by the workers of Celery and of Django's tasks."""

import os
import re
import subprocess
import sys
import uuid
from contextlib import contextmanager
from time import monotonic

import django
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

from heliograph import Durable, Signal
from heliograph.deprecation import HeliographDeprecationWarning
from heliograph.outbox.backends.celery import CeleryBackend
from heliograph.outbox.backends.tasks import TasksBackend, deliver, task_to_find
from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.upkeep.sweeping import sweep
from tests.app.models import Article
from tests.helpers.external_workers import celeries, senders
from tests.helpers.external_workers.brokers import MAIL, QUEUE
from tests.helpers.external_workers.receivers import effects
from tests.helpers.external_workers.settings import LEASE_IN_SECONDS, outbox
from tests.helpers.external_workers.workers import PATIENCE, ROOT, OfCelery, OfTasks, until

if django.VERSION >= (6, 0):
    from django.tasks import task_backends
    from django.tasks.exceptions import InvalidTask as InvalidTaskError

    OF_TASKS = "django.tasks.backends"
else:
    from django_tasks import task_backends
    from django_tasks.exceptions import InvalidTaskError

    OF_TASKS = "django_tasks.backends"

committed = pytest.mark.django_db(transaction=True)

in_test = pytest.mark.django_db

pytestmark = pytest.mark.usefixtures("external_receivers")

CELERIES = ("rabbitmq", "redis")

# --- what the tests share -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("external")


@pytest.fixture(scope="module", params=[*CELERIES, "tasks"])
def workers(request, folder, shared_database):
    """External workers for all tests of the module."""
    if request.param == "tasks":
        workers = OfTasks(folder)
        yield workers
        workers.stop()
        return
    with queues_of(request.param, QUEUE, MAIL):
        workers = OfCelery(folder, request.param)
        yield workers
        workers.stop()


@contextmanager
def queues_of(broker, *queues):
    """Delete the queues of a broker afterwards."""
    yield
    app = getattr(celeries, broker)
    with app.connection_for_write() as connection:
        for queue in queues:
            bound = app.amqp.queues[queue](connection.default_channel)
            bound.declare()  # so that a client of Redis knows what there is to delete
            bound.delete()


@pytest.fixture
def send(workers, settings):
    """Send to a durable receiver, in one transaction, so that the external workers are notified."""
    if workers.name == "tasks":  # its table is in the project of its workers only
        return workers.server.send
    settings.HELIOGRAPH_OUTBOX = outbox(workers.name)
    return senders.send


def all_are(state, meanwhile=lambda: None):
    """Wait until all deliveries are in this state."""

    def are():
        meanwhile()
        states = {*Delivery.objects.values_list("state", flat=True)}
        return states == {state.value}

    until(are, lambda: [*Delivery.objects.values()])


def runs():
    """Wait until a delivery runs, and return it."""
    return until(Delivery.objects.filter(state=State.RUNNING).first, lambda: [*Delivery.objects.values()])


# --- external workers ---------------------------------------------------------------------------------------------


@committed
def test_external_workers_make_what_they_are_notified_of(send):
    send("recorded", "a", "b", "c")
    all_are(State.SUCCESSFUL)
    assert sorted(effects()) == [("a", 1), ("b", 1), ("c", 1)]
    assert str(os.getpid()) not in Article.objects.values_list("slug", flat=True)


@committed
def test_an_observer_of_the_project_receives_deliveries_in_the_processes_of_external_workers(send, workers):
    send("recorded", "a")
    all_are(State.SUCCESSFUL)
    number, process = Delivery.objects.get().pk, Article.objects.get().slug
    for name in ("delivery_started", "delivery_finished"):
        line = f"observed {name} of {number} in process {process}"
        until(lambda line=line: workers.worker.says(line), lambda: str(workers.worker))


@committed
@pytest.mark.parametrize(("signal", "attempts"), [("flaky", 3), ("postponed", 2)])
def test_a_failed_attempt_is_followed_by_another_one_of_the_external_workers(send, signal, attempts):
    send(signal, "a")
    all_are(State.SUCCESSFUL)
    assert effects() == [("a", attempts)]


@committed
def test_deliveries_with_one_key_are_made_in_their_order(send):
    titles = [f"{number:02}" for number in range(10)]
    send("ordered", *titles)
    all_are(State.SUCCESSFUL)
    assert [title for title, _ in effects()] == titles


@committed
def test_what_runs_longer_than_a_lease_is_not_taken_away(send, workers):
    send("held", "a")
    row = runs()
    lasts = Delivery.objects.filter(claimed_at__lt=DatabaseLater(-1.2 * LEASE_IN_SECONDS))
    until(lasts.exists, "it has run for longer than a lease")
    workers.look_after()
    assert Delivery.objects.filter(leased_until__gt=DatabaseNow()).get().worker == row.worker
    Article.objects.create(title="go")
    all_are(State.SUCCESSFUL)
    assert effects() == [("go", 0), ("a", 1)]


@committed
def test_what_a_killed_process_was_making_is_made_by_another(send, workers):
    send("held", "a")
    workers.kill_maker_of(runs())
    all_are(State.SUCCESSFUL, workers.look_after)
    assert effects() == [("a", 2)]
    assert "was lost in attempt 1" in Delivery.objects.get().error


@committed
def test_a_delivery_of_a_receiver_that_external_workers_do_not_know_waits(send):
    send("unknown", "a")
    send("recorded", "b")
    until(Delivery.objects.filter(state=State.SUCCESSFUL).exists)
    waiting = Delivery.objects.exclude(state=State.SUCCESSFUL).get()
    assert (waiting.state, waiting.attempts) == (State.READY, 0)


# --- what was not notified --------------------------------------------------------------------------------------------


@committed
def test_what_no_broker_could_be_notified_of_is_made_all_the_same(workers, settings, caplog):
    settings.HELIOGRAPH_OUTBOX = outbox("nowhere")
    senders.send("recorded", "a")
    assert "The backend 'external' could not be notified of 1 delivery of the queue" in caplog.text
    all_are(State.SUCCESSFUL, workers.look_after)
    assert effects() == [("a", 1)]


@committed
def test_external_workers_are_notified_of_a_far_off_attempt_when_it_is_due(send, workers):
    send("late", "a")
    all_are(State.SUCCESSFUL, workers.look_after)
    assert effects() == [("a", 2)]


# --- Celery -------------------------------------------------------------------------------------------------------


def said(script, **variables):
    """Return what a process with the settings of the tests says that runs this script."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **variables}
    command = [sys.executable, "-W", "ignore", "-c", f"import django\n{script}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}".strip()


def test_no_process_is_forked_while_the_tables_are_looked_after():
    script = """
import os
from threading import Event, Timer
django.setup()
from django.conf import settings
from django.db.backends.signals import connection_created
from heliograph.outbox.upkeep.upkeep_thread import UpkeepThread
settings.HELIOGRAPH_OUTBOX = {"external": {"BACKEND": "tests.outbox.test_notified_again.Recorder"}}
settings.HELIOGRAPH_OUTBOX["external"]["OPTIONS"] = {"NOTIFY_AGAIN_AFTER": 0.1}
is_at_work, may_go_on = Event(), Event()

def hold(**kwargs):
    is_at_work.set()
    may_go_on.wait(60)

connection_created.connect(hold)
UpkeepThread().start()
is_at_work.wait(60)
Timer(0.2, may_go_on.set).start()
child = os.fork()
if not child:
    os._exit(0 if may_go_on.is_set() else 1)
print("forked", os.waitpid(child, 0)[1])
"""
    assert said(script, HELIOGRAPH_TEST_DATABASE="sqlite").startswith("forked 0")


@committed
@pytest.mark.parametrize("workers", CELERIES, indirect=True)
def test_a_database_that_cannot_be_looked_after_is_logged_once(workers):
    for chore in ("rescue", "sweep", "prune"):
        failed = f"The deliveries cannot be looked after: {chore} 'bare' failed"
        until(lambda failed=failed: workers.worker.says(failed), lambda: str(workers.worker))
        assert workers.worker.log.read_text().count(failed) == 1


@contextmanager
def deserted(broker):
    """Have a queue where nobody listens; a new one, since who has declared one does not see that it was deleted."""
    queue = f"{QUEUE}_{uuid.uuid4().hex[:8]}"
    with queues_of(broker, queue):
        yield queue


def take(broker, queue):
    """Take a message from a queue, and return what the task is given."""
    app = getattr(celeries, broker)
    with app.connection_for_read() as connection, connection.SimpleQueue(app.amqp.queues[queue]) as messages:
        message = messages.get(timeout=PATIENCE)
        message.ack()
        return message.payload[0]


@committed
@pytest.mark.parametrize("broker", CELERIES)
def test_a_queue_of_ours_is_the_queue_of_celery_that_the_settings_name(broker, settings):
    with deserted(broker) as queue:
        settings.HELIOGRAPH_OUTBOX = outbox(broker, QUEUES={"mail": queue})
        senders.send("mailed", "a")
        assert take(broker, queue) == [Delivery.objects.get().pk, "default"]


@committed
def test_a_message_that_is_lost_is_sent_again(workers, settings):
    sent_by = "rabbitmq" if workers.name == "tasks" else workers.name
    with deserted(sent_by) as queue:
        settings.HELIOGRAPH_OUTBOX = outbox(sent_by, QUEUES={"default": queue})
        senders.send("recorded", "a")
        take(sent_by, queue)
    all_are(State.SUCCESSFUL, workers.look_after)
    assert effects() == [("a", 1)]


@in_test
@pytest.mark.parametrize(
    ("queue", "options", "expected"),
    [
        ("default", {}, None),
        ("mail", {}, "mail"),
        ("mail", {"QUEUES": {"mail": "slow"}}, "slow"),
        ("mail", {"QUEUES": {"mail": None}}, None),
        ("default", {"QUEUES": {"default": "fast"}}, "fast"),
        ("default", {"QUEUES": {"mail": "slow"}}, None),
    ],
)
def test_queues_have_the_names_of_celerys_but_for_the_default_one(queue, options, expected):
    assert CeleryBackend("external", options).queue_of(queue) == expected


@in_test
def test_an_eager_celery_makes_deliveries_after_the_commit(settings):
    settings.HELIOGRAPH_OUTBOX = outbox("eager")
    with transaction.atomic():
        senders.send("recorded", "a")
        assert effects() == []
    assert effects() == [("a", 1)]


@in_test
def test_an_eager_celery_leaves_the_next_attempt_to_a_sweep(settings):
    settings.HELIOGRAPH_OUTBOX = outbox("eager")
    senders.send("flaky", "a")
    assert Delivery.objects.get().attempts == 1
    for _ in range(2):
        Delivery.objects.update(due_at=DatabaseNow())
        assert sweep("default") == 1
    assert effects() == [("a", 3)]


def test_without_an_app_of_celery_the_error_says_what_to_do():
    script = """
django.setup()
from heliograph.outbox.backends.celery import CeleryBackend
CeleryBackend("external", {}).notify("default", [1], "default")
"""
    assert said(script).endswith(
        "There is no app of Celery in this process: import yours where Django starts, in the __init__.py of the"
        " project, or name it in HELIOGRAPH_OUTBOX['external']['OPTIONS']['APP']."
    )


def test_the_app_of_celery_of_a_project_is_found_in_every_thread():
    script = """
from celery import Celery
from concurrent.futures import ThreadPoolExecutor
app = Celery("shop")
django.setup()
from heliograph.outbox.backends.celery import CeleryBackend
with ThreadPoolExecutor(1) as pool:
    print(pool.submit(lambda: CeleryBackend("external", {}).app.main).result())
"""
    assert said(script) == "shop"


def test_a_package_that_is_not_installed_is_missed_where_its_backend_is_used():
    script = """
import sys
sys.modules["celery"] = sys.modules["django_tasks"] = None
django.setup()
import heliograph.outbox.tasks  # which others look for, too
from django.conf import settings
from heliograph.outbox.notify.lookup import backend_of
settings.HELIOGRAPH_OUTBOX = {
    "celery": {"BACKEND": "heliograph.outbox.backends.celery.CeleryBackend"},
    "tasks": {"BACKEND": "heliograph.outbox.backends.tasks.TasksBackend"},
}
for alias in ("default", "celery", "tasks"):
    try:
        print(type(backend_of(alias)).__name__)
    except Exception as error:
        print(type(error).__name__, error)
"""
    default, celery, tasks = said(script).splitlines()
    assert default == "DatabaseBackend"
    assert re.fullmatch(
        r"ImproperlyConfigured CeleryBackend needs Celery \(.*\): pip install 'heliograph\[celery\]'\.", celery
    )
    if django.VERSION >= (6, 0):
        assert tasks == "TasksBackend"
    else:
        missed = r"ImproperlyConfigured TasksBackend needs django-tasks before Django 6.0 \(.*\): pip install"
        assert re.fullmatch(rf"{missed} 'heliograph\[tasks\]'\.", tasks)


@in_test
def test_an_app_of_celery_that_there_is_not_fails_when_it_is_verified(settings):
    settings.HELIOGRAPH_OUTBOX = outbox("nosuch")
    message = r"\['OPTIONS'\]\['APP'\]: 'tests.helpers.external_workers.celeries:nosuch' is no app of Celery \("
    with pytest.raises(ImproperlyConfigured, match=message):
        backend_of("external").verify("default")


def test_the_current_app_of_celery_is_used_where_none_is_named():
    with celeries.set_current(celeries.redis):
        assert CeleryBackend("external", {}).app is celeries.redis


def test_notifying_celery_does_not_wait_for_a_broker_that_is_away(settings):
    settings.HELIOGRAPH_OUTBOX = outbox("nowhere")
    began = monotonic()
    with pytest.raises(OperationalError):
        backend_of("external").notify("default", [1], "default")
    assert monotonic() - began < 30  # Celery itself tries a hundred times, in pauses of up to 30 seconds


# --- Django's tasks -----------------------------------------------------------------------------------------------


@pytest.fixture
def tasks(settings):
    """Have the deliveries made by a backend of Django's tasks: `tasks("immediate.ImmediateBackend")`."""

    def use(backend, options=None, **more):
        settings.TASKS = {"default": {"BACKEND": f"{OF_TASKS}.{backend}", **more}}
        settings.HELIOGRAPH_OUTBOX = outbox("tasks", **(options or {}))
        return task_backends["default"]

    return use


@in_test
def test_the_immediate_backend_makes_deliveries_after_the_commit(tasks):
    tasks("immediate.ImmediateBackend")
    with transaction.atomic():
        senders.send("recorded", "a")
        assert effects() == []
    assert effects() == [("a", 1)]


@in_test
def test_the_immediate_backend_makes_many_deliveries_of_one_key_in_their_order(tasks):
    tasks("immediate.ImmediateBackend")
    titles = [f"{number:03}" for number in range(100)]
    senders.send("ordered", *titles)
    assert [title for title, _ in effects()] == titles


@in_test
def test_what_a_delivery_sends_is_made_after_it_by_the_immediate_backend(tasks, receive):
    tasks("immediate.ImmediateBackend")
    first, second, received = Signal(), Signal(), []

    @receive(first, delivery=Durable(backend="external", atomic=False))
    def send_second(sender, **kwargs):
        second.send(sender=None)
        received.append("first")

    @receive(second, delivery=Durable(backend="external"))
    def record_second(sender, **kwargs):
        received.append("second")

    first.send(sender=None)
    assert received == ["first", "second"]


@in_test
def test_the_dummy_backend_has_the_ids_of_the_deliveries(tasks):
    dummy = tasks("dummy.DummyBackend", QUEUES=["default", "mail"])
    senders.send("recorded", "a", "b")
    senders.send("mailed", "c")
    enqueued = [(result.task.queue_name, result.args) for result in dummy.results]
    first, second, third = Delivery.objects.order_by("pk").values_list("pk", flat=True)
    expected = [("default", [first, "default"]), ("default", [second, "default"]), ("mail", [third, "default"])]
    assert enqueued == expected


@in_test
def test_a_task_of_the_table_is_found_by_its_name(tasks):
    dummy = tasks("dummy.DummyBackend")
    senders.send("recorded", "a")
    task = import_string(dummy.results[0].task.module_path)
    assert isinstance(task, dummy.task_class)
    task.call(*dummy.results[0].args)
    assert effects() == [("a", 1)]


@in_test
def test_a_task_that_comes_too_early_is_sent_again_with_its_time(tasks):
    dummy = tasks("dummy.DummyBackend")
    senders.send("recorded", "a")
    Delivery.objects.update(due_at=DatabaseLater(100))
    task = dummy.results.pop().task
    task.call(Delivery.objects.get().pk, "default")
    assert [result.task.run_after for result in dummy.results] == [approximately(Delivery.objects.get().due_at)]


def approximately(time):
    """Be equal to times close by: clocks differ."""

    class Near:
        def __eq__(self, other):
            return abs((other - time).total_seconds()) < 20

        __hash__ = None

    return Near()


@in_test
def test_a_task_that_comes_twice_is_made_once(tasks):
    dummy = tasks("dummy.DummyBackend")
    senders.send("recorded", "a")
    (result,) = dummy.results
    for _ in range(2):
        result.task.call(*result.args)
    assert effects() == [("a", 1)]


@in_test
def test_a_queue_that_tasks_do_not_have_fails_when_it_is_verified(tasks):
    tasks("dummy.DummyBackend", QUEUES=["default"])
    backend_of("external").verify("default")
    message = (
        r"The queue 'mail' is none of TASKS\['default'\]\['QUEUES'\]: add it there, or name another one in"
        r" HELIOGRAPH_OUTBOX\['external'\]\['OPTIONS'\]\['QUEUES'\]\['mail'\]\.$"
    )
    with pytest.raises(ImproperlyConfigured, match=message):
        backend_of("external").verify("mail")
    with pytest.raises(InvalidTaskError):
        backend_of("external").notify("default", [1], "mail")


@in_test
def test_an_alias_that_tasks_do_not_have_fails_when_it_is_verified(tasks):
    tasks("dummy.DummyBackend", {"TASK_BACKEND": "nosuch"})
    with pytest.raises(ImproperlyConfigured, match=r"^HELIOGRAPH_OUTBOX\['external'\]: TASKS has no 'nosuch' \("):
        backend_of("external").verify("default")


@in_test
def test_a_queue_that_tasks_do_not_have_may_stand_for_another(tasks):
    dummy = tasks("dummy.DummyBackend", {"QUEUES": {"mail": "slow", "default": None}}, QUEUES=["default", "slow"])
    backend_of("external").verify("mail")
    senders.send("mailed", "a")
    senders.send("recorded", "a")
    assert [result.task.queue_name for result in dummy.results] == ["slow", "default"]


@in_test
def test_tasks_without_a_default_queue_are_sent(tasks):
    tasks("dummy.DummyBackend", QUEUES=["mail"])
    assert task_to_find(deliver.func).queue_name == "mail"


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", [CeleryBackend, TasksBackend])
@pytest.mark.parametrize("seconds", [0, -1, True, "60", None])
def test_a_time_that_is_none_fails(backend, seconds):
    message = (
        rf"^HELIOGRAPH_OUTBOX\['external'\]\['OPTIONS'\]\['NOTIFY_AGAIN_AFTER'\] takes seconds, more than none, not"
        rf" {seconds!r}\.$"
    )
    with pytest.raises(ImproperlyConfigured, match=message):
        backend("external", {"NOTIFY_AGAIN_AFTER": seconds})


@pytest.mark.parametrize("backend", [CeleryBackend, TasksBackend])
@pytest.mark.parametrize("queues", ["mail", ["mail"], {"mail": 1}, {1: "mail"}, None])
def test_queues_that_are_none_fail(backend, queues):
    message = (
        r"^HELIOGRAPH_OUTBOX\['external'\]\['OPTIONS'\]\['QUEUES'\] takes a dict from names of queues to those of the"
        r" external workers, or to None, not "
    )
    with pytest.raises(ImproperlyConfigured, match=message):
        backend("external", {"QUEUES": queues})


@pytest.mark.parametrize(
    ("backend", "known"),
    [(CeleryBackend, "NOTIFY_AGAIN_AFTER, QUEUES, APP"), (TasksBackend, "NOTIFY_AGAIN_AFTER, QUEUES, TASK_BACKEND")],
)
def test_an_option_that_there_is_not_fails(backend, known):
    with pytest.raises(ImproperlyConfigured, match=f"has no 'APPS': {backend.__name__} takes {known}"):
        backend("external", {"APPS": "shop"})


@in_test
@pytest.mark.parametrize("backend", [CeleryBackend, TasksBackend])
def test_the_old_name_of_an_option_works_and_is_warned_of(backend):
    text = r"\['TELL_AGAIN_AFTER'\] is now 'NOTIFY_AGAIN_AFTER'\. Use that: Heliograph 1\.0 removes the old name\.$"
    with pytest.warns(HeliographDeprecationWarning, match=rf"^HELIOGRAPH_OUTBOX\['external'\]\['OPTIONS'\]{text}"):
        made = backend("external", {"TELL_AGAIN_AFTER": 5})
    assert made.settings["NOTIFY_AGAIN_AFTER"] == 5
