"""The backend that sends deliveries to Django's tasks, or to the package django-tasks before Django 6.0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import django
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from heliograph.outbox.conf import all_settings
from heliograph.outbox.notify.external import ExternalBackend
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.work.external_workers import run_delivery

if django.VERSION >= (6, 0):  # pragma: django>=6.0
    from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME, task, task_backends
else:  # pragma: django<6.0
    # What Django has taken over has classes of its own.
    try:
        from django_tasks import DEFAULT_TASK_BACKEND_ALIAS, DEFAULT_TASK_QUEUE_NAME
        from django_tasks import task as task  # type: ignore[no-redef]
        from django_tasks import task_backends as task_backends  # type: ignore[assignment]
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"TasksBackend needs django-tasks before Django 6.0 ({error}): pip install 'heliograph[tasks]'."
        ) from error


class TasksBackend(ExternalBackend):
    """The backend whose workers are of Django's tasks: they get the id of a delivery.

    Its options in `HELIOGRAPH_OUTBOX` are `TASK_BACKEND`, the alias in `settings.TASKS`, whose `QUEUES` must have the
    queues of the deliveries; `QUEUES`, the names there of our queues; and `NOTIFY_AGAIN_AFTER`, in seconds. Nothing in
    those workers looks after the table: `manage.py outbox run` does. Raises ImproperlyConfigured for another option,
    and for a value that does not fit.
    """

    options: ClassVar[Mapping[str, Any]] = {**ExternalBackend.options, "TASK_BACKEND": DEFAULT_TASK_BACKEND_ALIAS}

    @property
    def task_backend(self) -> Any:
        """The backend of `settings.TASKS`."""
        return task_backends[self.settings["TASK_BACKEND"]]

    def queue_of(self, queue: str) -> str:
        return super().queue_of(queue) or DEFAULT_TASK_QUEUE_NAME

    def verify(self, queue: str) -> None:
        try:
            queues, theirs = self.task_backend.queues, self.queue_of(queue)
        except Exception as error:
            raise ImproperlyConfigured(
                f"HELIOGRAPH_OUTBOX[{self.alias!r}]: TASKS has no {self.settings['TASK_BACKEND']!r} ({error})."
            ) from error
        if queues and theirs not in queues:
            raise ImproperlyConfigured(
                f"The queue {theirs!r} is none of TASKS[{self.settings['TASK_BACKEND']!r}]['QUEUES']: add it there, or"
                f" name another one in HELIOGRAPH_OUTBOX[{self.alias!r}]['OPTIONS']['QUEUES'][{queue!r}]."
            )

    def can_wait(self, seconds: float) -> bool:
        return bool(self.task_backend.supports_defer)

    def notify_in(self, seconds: float, using: str, ids: Sequence[int], queue: str) -> None:
        run_after = timezone.now() + timedelta(seconds=seconds) if seconds else None
        found = task_of(self, deliver.func, self.queue_of(queue), run_after)
        for number in ids:
            found.enqueue(number, using)


def task_of(backend: TasksBackend, function: Callable[..., None], queue: str, run_after: Any = None) -> Any:
    """Return a function as a task of one queue."""
    made: Any = task(queue_name=queue, backend=backend.settings["TASK_BACKEND"])(function)
    return made.using(run_after=run_after)


def _lazily(function: Callable[..., None]) -> Any:
    """Return an object that becomes a task when it is first used: a task reads the settings when it is made."""
    return SimpleLazyObject(partial(task_to_find, function))


def task_to_find(function: Callable[..., None]) -> Any:
    """Return the task that a worker finds by its name; the worker sets backend and queue itself."""
    backends = [backend_of(alias) for alias in all_settings()]
    own = next((one for one in backends if isinstance(one, TasksBackend)), None) or TasksBackend("default", {})
    queues = own.task_backend.queues
    name = DEFAULT_TASK_QUEUE_NAME
    return task_of(own, function, name if not queues or name in queues else min(queues))


@_lazily
def deliver(number: int, using: str) -> None:
    """Make a delivery."""
    run_delivery(number, using)
