"""How long requests take, which of them fail, and how a connection to the database is set up."""

from contextvars import ContextVar
from time import perf_counter
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.backends.base.base import BaseDatabaseWrapper
from heliograph import receiver
from heliograph.signals import connection_created, got_request_exception, request_finished, request_started

from pages.timing import TIMES

HANDLERS = [WSGIHandler, ASGIHandler]  # a style sheet has a handler of its own, and is not timed
SET_UP = {"sqlite": "PRAGMA temp_store = MEMORY", "postgresql": "SET lock_timeout = '10s'"}

began: ContextVar[float | None] = ContextVar("began", default=None)


@receiver(request_started, sender=HANDLERS)
def start_clock(sender: type, **kwargs: Any) -> None:
    """Remember when a request began, for this thread or task only: a server answers many at once."""
    began.set(perf_counter())


@receiver(request_finished, sender=HANDLERS)
def stop_clock(sender: type, **kwargs: Any) -> None:
    """Add the seconds that a request has taken."""
    if (start := began.get()) is not None:
        TIMES.add(perf_counter() - start)
        began.set(None)


@receiver(got_request_exception)
def count_exception(sender: type | None, **kwargs: Any) -> None:
    """Count a request that has ended in an exception."""
    TIMES.exceptions += 1


@receiver(connection_created)
def set_up_connection(sender: type, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Set up each new connection to the database, in every process and thread."""
    if statement := SET_UP.get(connection.vendor):
        with connection.cursor() as cursor:
            cursor.execute(statement)
