"""The backend that sends deliveries to workers of Celery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

try:
    from celery import Celery, current_app, shared_task
    from celery.app.utils import find_app
    from celery.signals import worker_ready, worker_shutdown
except ModuleNotFoundError as error:
    raise ImproperlyConfigured(f"CeleryBackend needs Celery ({error}): pip install 'heliograph[celery]'.") from error

from heliograph.outbox.notify.external import ExternalBackend
from heliograph.outbox.upkeep.upkeep_thread import UpkeepThread
from heliograph.outbox.work.external_workers import run_delivery

RUN = "heliograph.outbox.run"

# The process has committed and is about to answer a request, so a broken connection is replaced once, and no more is
# tried. Without a policy, kombu tries for seconds.
_PATIENCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}


class CeleryBackend(ExternalBackend):
    """The backend whose workers are Celery's: they get the id of a delivery, and look after the table too.

    Its options in `HELIOGRAPH_OUTBOX` are `APP`, the path of the app as for `celery -A`, by default the current app;
    `QUEUES`, Celery's names of our queues, where "default" is the queue that Celery chooses; and `NOTIFY_AGAIN_AFTER`,
    in seconds. Raises ImproperlyConfigured for another option, and for a value that does not fit.
    """

    options: ClassVar[Mapping[str, Any]] = {**ExternalBackend.options, "APP": None}
    usual_queues: ClassVar[Mapping[str, str | None]] = {"default": None}

    @property
    def app(self) -> Celery:
        """The app; ImproperlyConfigured if the project has none, so that Celery has made one up."""
        if self.settings["APP"]:
            return self._named_app
        app: Celery = current_app._get_current_object()
        if app.main == "default" and not app.set_as_current:
            raise ImproperlyConfigured(
                "There is no app of Celery in this process: import yours where Django starts, in the __init__.py of"
                f" the project, or name it in HELIOGRAPH_OUTBOX[{self.alias!r}]['OPTIONS']['APP']."
            )
        return app

    @cached_property
    def _named_app(self) -> Celery:
        path = self.settings["APP"]
        try:
            app: Celery = find_app(path)
        except Exception as error:  # whatever there is under this path
            raise ImproperlyConfigured(
                f"HELIOGRAPH_OUTBOX[{self.alias!r}]['OPTIONS']['APP']: {path!r} is no app of Celery ({error})."
            ) from error
        return app

    def verify(self, queue: str) -> None:
        _ = self.app

    def can_wait(self, seconds: float) -> bool:
        """Return whether the time is short: workers of Celery keep in memory what waits, and brokers send it again."""
        return not self.app.conf.task_always_eager and seconds <= float(self.settings["NOTIFY_AGAIN_AFTER"])

    def notify_in(self, seconds: float, using: str, ids: Sequence[int], queue: str) -> None:
        app, theirs = self.app, self.queue_of(queue)
        options: dict[str, Any] = {"queue": theirs} if theirs else {}
        if seconds:
            options["countdown"] = seconds
        with app.producer_or_acquire() as producer:
            for number in ids:
                app.tasks[RUN].apply_async(
                    (number, using), producer=producer, retry=True, retry_policy=_PATIENCE, **options
                )


# The message is acknowledged before the task runs, whatever the project has for its own tasks: the delivery of a killed
# worker comes back when its lease ends, and not before. RabbitMQ closes a channel whose message was not acknowledged
# within half an hour.
@shared_task(name=RUN, ignore_result=True, acks_late=False)
def run(number: int, using: str) -> None:
    """Make a delivery."""
    run_delivery(number, using)


# --- in a worker --------------------------------------------------------------------------------------------------

_upkeep = UpkeepThread()


# Celery imports this module in its workers; a module is the only thing that it starts with a worker.
@worker_ready.connect
def start_upkeep(**_: Any) -> None:
    """Look after the tables for as long as this worker lives."""
    _upkeep.start()


@worker_shutdown.connect
def stop_upkeep(**_: Any) -> None:
    """Stop with the worker."""
    _upkeep.stop()
