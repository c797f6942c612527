"""Django's tasks, or those of django-tasks before Django 6.0, run under the context of whoever enqueues them."""

from __future__ import annotations

import logging
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured

from heliograph.context.context_text import UnreadableContextError, resumed, text_of_context
from heliograph.context.kept_context import Context, current, under

if django.VERSION >= (6, 0):  # pragma: django>=6.0
    from django.tasks import Task
else:  # pragma: django<6.0
    try:
        from django_tasks.base import Task  # type: ignore[assignment]
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"Contexts in tasks need django-tasks before Django 6.0 ({error}): pip install 'heliograph[tasks]'."
        ) from error

logger = logging.getLogger("heliograph.context")

# The argument with the text of a context, which a task is enqueued with, and its function never sees.
ARGUMENT = "heliograph_context"


class ContextTask(Task):  # type: ignore[type-arg]  # generic for type checkers only
    """A task that is enqueued with the context of that moment, and runs under it."""

    def enqueue(self, *args: Any, **kwargs: Any) -> Any:
        return super().enqueue(*args, **_with_context(kwargs))

    async def aenqueue(self, *args: Any, **kwargs: Any) -> Any:
        return await super().aenqueue(*args, **_with_context(kwargs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        with under(_context_in(kwargs)):
            return super().call(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        with under(_context_in(kwargs)):
            return await super().acall(*args, **kwargs)


class CarriesContext:
    """The base class that lets the tasks of a backend carry the context; it stands before the backend.

        class Backend(CarriesContext, DatabaseBackend): ...

    The backend is one of Django's tasks, or of the package django-tasks.
    """

    task_class = ContextTask


def _with_context(kwargs: dict[str, Any]) -> dict[str, Any]:
    text = text_of_context(current())
    return {**kwargs, ARGUMENT: text} if text else kwargs


def _context_in(kwargs: dict[str, Any]) -> Context:
    """Take the context out of the arguments of a task; one that nobody can read counts as empty."""
    text = kwargs.pop(ARGUMENT, "")
    try:
        return resumed(text) if text else current()
    except UnreadableContextError as error:
        logger.warning("The context of a task cannot be read: %s", error)
        return resumed("")
