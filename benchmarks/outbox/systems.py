"""The systems that are compared: how each is notified, run and emptied."""

from __future__ import annotations

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.outbox import brokers
from benchmarks.outbox.brokers import Broker

VARIABLE = "HELIOGRAPH_BENCH_SYSTEM"  # the variable of the environment that names the system of a project
NEVER = 10**9
_CELERY = "benchmarks.outbox.tasks.celery_app"

Pools = Mapping[int, Sequence[Sequence[str]]]


class System(ABC):
    """One way to have work done after a commit, with its own project and database."""

    name: ClassVar[str]
    key: ClassVar[str]
    package: ClassVar[str] = ""
    module: ClassVar[str] = ""  # whether it is there says whether the package is installed
    apps: ClassVar[tuple[str, ...]] = ()
    table: ClassVar[str] = ""
    broker: ClassVar[Broker | None] = None
    reconnects: ClassVar[bool] = False  # whether its worker opens a connection to the database for each delivery

    def settings(self) -> dict[str, Any]:
        """Return what its project has beside the settings of all."""
        return {}

    def databases(self, make: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the DATABASES of its project."""
        return {"default": make(self.key)}

    @abstractmethod
    def send(self, task: Any, **payload: Any) -> None:
        """Have one of its tasks executed after the commit."""

    def notified(self, pk: int, receivers: int) -> None:
        """Send what is sent for a row to so many, unless saving it does that."""
        for task in self.tasks.receive[:receivers]:
            self.send(task, pk=pk)

    def notified_once(self, pk: int) -> None:
        """Send what is sent for a row to one."""
        self.notified(pk, receivers=1)

    def add_one(self, pk: int) -> None:
        """Send what updates a counter."""
        self.send(self.tasks.add_one, pk=pk)

    def note(self, number: int) -> None:
        """Send what notes the time."""
        self.send(self.tasks.note, number=number)

    @abstractmethod
    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        """Return the commands of a worker, where there are several ways to run one."""

    def waiting(self) -> int:
        """Return how many wait to be executed."""
        return _count(self.table, self.is_waiting)

    def finished(self, alias: str = "default") -> int | None:
        """Return how many are recorded as executed, or None where nobody records it."""
        return _count(self.table, self.is_finished, alias)

    is_waiting: ClassVar[str] = ""
    is_finished: ClassVar[str] = ""

    def empty(self) -> None:
        """Forget all that was sent."""
        _execute(f"TRUNCATE {self.table} CASCADE")

    @cached_property
    def tasks(self) -> Any:
        """The module with what it does for an order."""
        return import_module(f"benchmarks.outbox.tasks.of_{self.key}")


class Plain(System):
    """The rows alone."""

    name, key = "the row alone", "plain"

    def send(self, task: Any, **payload: Any) -> None:
        raise NotImplementedError

    def notified(self, pk: int, receivers: int) -> None:
        """Nobody is notified."""

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        return ()

    def waiting(self) -> int:
        return 0

    def empty(self) -> None:
        """There is nothing to forget."""


class Heliograph(System):
    """Durable receivers; saving an order sends to them."""

    name, key = "Heliograph", "heliograph"
    package = "heliograph"
    apps = ("heliograph", "heliograph.outbox")
    table = "heliograph_outbox_delivery"
    is_waiting, is_finished = "state = 'READY'", "state = 'SUCCESSFUL'"

    def settings(self) -> dict[str, Any]:
        return {"RECEIVERS": "benchmarks.outbox.tasks.of_heliograph"}

    @cached_property
    def tasks(self) -> Any:
        return import_module("benchmarks.outbox.tasks.of_heliograph")

    def send(self, task: Any, **payload: Any) -> None:
        task.send(sender=None, **payload)

    def notified(self, pk: int, receivers: int) -> None:
        """Saving the row has notified them."""

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        return [_django("outbox", "run", "--concurrency", str(concurrency), "--verbosity", "0")]


class HeliographWithoutNotices(Heliograph):
    """The same, where nobody wakes a worker."""

    name, key = "Heliograph, no notices", "heliograph_silent"

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "HELIOGRAPH_OUTBOX": {"default": {"OPTIONS": {"NOTICES": False}}}}


class HeliographNotifyingInside(HeliographWithoutNotices):
    """A variant to compare with: the notice is in the transaction that commits the row."""

    name, key = "Heliograph, pg_notify in the transaction", "heliograph_inside"

    def notified(self, pk: int, receivers: int) -> None:
        _execute("SELECT pg_notify('heliograph_outbox', 'default')")


class HeliographLoaded(Heliograph):
    """The same, for a delivery of a save, whose instance is loaded."""

    name, key = "Heliograph, an instance loaded", "heliograph_loaded"

    def add_one(self, pk: int) -> None:
        """Save an item, whose receiver updates the counter."""
        from benchmarks.outbox.shop.models import Item

        Item.objects.create(pk=pk, title="Darjeeling First Flush", price="12.90")


class HeliographOnSqlite(Heliograph):
    """The same in a SQLite database, with the settings that Django's documentation has for production."""

    name, key = "Heliograph, SQLite", "heliograph_sqlite"

    def databases(self, make: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL;"}
        file = Path(tempfile.gettempdir()) / f"{make(self.key)['NAME']}.sqlite3"
        return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": options}}

    def empty(self) -> None:
        _execute(f"DELETE FROM {self.table}")


class HeliographTwice(Heliograph):
    """Two databases, one of which is full of finished deliveries."""

    name, key = "Heliograph, two databases", "heliograph_claims"

    def databases(self, make: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {"default": make(f"{self.key}_empty"), "full": make(f"{self.key}_full")}


class Procrastinate(System):
    """Procrastinate with its Django app."""

    name, key = "procrastinate", "procrastinate"
    package, module = "procrastinate", "procrastinate"
    apps = ("procrastinate.contrib.django",)
    table = "procrastinate_jobs"
    is_waiting, is_finished = "status = 'todo'", "status = 'succeeded'"

    def settings(self) -> dict[str, Any]:
        return {"PROCRASTINATE_IMPORT_PATHS": ["benchmarks.outbox.tasks.of_procrastinate"]}

    def send(self, task: Any, **payload: Any) -> None:
        task.defer(**payload)

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        return [_django("procrastinate", "worker", "--concurrency", str(concurrency))]


class DjangoTasks(System):
    """The database backend of django-tasks, a package of its own since 0.12."""

    name, key = "django-tasks-db", "django_tasks"
    package, module = "django-tasks-db", "django_tasks_db"
    apps = ("django_tasks_db",)
    table = "django_tasks_database_dbtaskresult"
    is_waiting, is_finished = "status = 'READY'", "status = 'SUCCESSFUL'"

    def settings(self) -> dict[str, Any]:
        return {"TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}}

    def send(self, task: Any, **payload: Any) -> None:
        task.enqueue(**payload)

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        # It writes two lines for each task unless it is asked to be silent, as the others are.
        return [_django("db_worker", "--no-startup-delay", "--verbosity", "0")] if concurrency == 1 else ()


class Celery(System):
    """Celery with a broker, notified after the commit."""

    package, module = "celery", "celery"
    reconnects = True
    kept_connections: ClassVar[int | None] = None

    def settings(self) -> dict[str, Any]:
        assert self.broker is not None
        return {
            "CELERY_BROKER_URL": self.broker.url,
            "CELERY_TASK_DEFAULT_QUEUE": self.broker.queue(self.key),
            "CELERY_TASK_IGNORE_RESULT": True,
            # As its documentation advises for many short tasks.
            "CELERY_WORKER_PREFETCH_MULTIPLIER": 64,
            "KEPT_CONNECTIONS": self.kept_connections,
        }

    @cached_property
    def tasks(self) -> Any:
        return import_module("benchmarks.outbox.tasks.of_celery")

    def send(self, task: Any, **payload: Any) -> None:
        task.delay_on_commit(**payload)

    def commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        pools = {1: (("solo",), ("prefork", "-c", "1")), 4: (("prefork", "-c", "4"), ("threads", "-c", "4"))}
        # What workers tell each other is nothing where there is one.
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        command = (sys.executable, "-m", "celery", "-A", _CELERY, "worker", "-l", "WARNING", *quiet)
        return [(*command, "--pool", *pool) for pool in pools[concurrency]]

    def waiting(self) -> int:
        assert self.broker is not None
        return self.broker.waiting(self.key)

    def finished(self, alias: str = "default") -> int | None:
        return None

    def empty(self) -> None:
        assert self.broker is not None
        self.broker.empty(self.key)


class CeleryOnRedis(Celery):
    """Celery as it ships: it opens a connection to the database for each task."""

    name, key, broker = "Celery, Redis", "celery_redis", brokers.REDIS


class CeleryOnRabbit(Celery):
    """The same with RabbitMQ."""

    name, key, broker = "Celery, RabbitMQ", "celery_rabbitmq", brokers.RABBITMQ


class CeleryKept(CeleryOnRedis):
    """The same with an old setting that its documentation does not mention any more."""

    name, key = "Celery, Redis, CELERY_DB_REUSE_MAX", "celery_kept"
    reconnects = False
    kept_connections = NEVER


KINDS: tuple[type[System], ...] = (
    Plain,
    Heliograph,
    HeliographLoaded,
    HeliographWithoutNotices,
    HeliographNotifyingInside,
    HeliographOnSqlite,
    HeliographTwice,
    Procrastinate,
    DjangoTasks,
    CeleryOnRedis,
    CeleryOnRabbit,
    CeleryKept,
)
SENDING: tuple[type[System], ...] = (Plain, Heliograph, Procrastinate, DjangoTasks, CeleryOnRedis, CeleryOnRabbit)
TOGETHER: tuple[type[System], ...] = (Plain, HeliographWithoutNotices, Heliograph, HeliographNotifyingInside)
EXECUTING: tuple[type[System], ...] = (
    Heliograph,
    HeliographLoaded,
    Procrastinate,
    DjangoTasks,
    CeleryOnRedis,
    CeleryOnRabbit,
    CeleryKept,
)
WAITING: tuple[type[System], ...] = (
    Heliograph,
    HeliographOnSqlite,
    Procrastinate,
    DjangoTasks,
    CeleryOnRedis,
    CeleryOnRabbit,
)


def named(key: str) -> System:
    """Return a system by its key."""
    return next(kind() for kind in KINDS if kind.key == key)


def absent(kind: type[System]) -> str:
    """Return why a system cannot be measured here, or nothing."""
    if kind.module and not find_spec(kind.module):
        return f"{kind.package} is not installed"
    if kind.broker and not kind.broker.answers():
        return f"{kind.broker.name} does not answer"
    return ""


def present(kinds: Sequence[type[System]]) -> list[System]:
    """Return those that can be measured here."""
    return [kind() for kind in kinds if not absent(kind)]


def environment(system: System) -> dict[str, str]:
    """Return the environment of a process in the project of a system."""
    return {**os.environ, **variables(system.key)}


def variables(key: str) -> dict[str, str]:
    """Return the variables that make a process one of a project."""
    return {"DJANGO_SETTINGS_MODULE": "benchmarks.outbox.settings", VARIABLE: key}


def _django(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "django", *command)


def _execute(statement: str, alias: str = "default") -> list[tuple[Any, ...]]:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _count(table: str, condition: str, alias: str = "default") -> int:
    return int(_execute(f"SELECT count(*) FROM {table} WHERE {condition}", alias)[0][0])
