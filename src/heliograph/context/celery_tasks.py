"""Tasks of Celery run under the context of whoever sends them: `carry()` in the module of the app."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured

try:
    from celery.signals import before_task_publish, task_postrun, task_prerun
except ModuleNotFoundError as error:
    raise ImproperlyConfigured(
        f"Contexts in tasks of Celery need the package celery ({error}): pip install 'heliograph[celery]'."
    ) from error

from heliograph.context.context_text import UnreadableContextError, resumed, text_of_context
from heliograph.context.kept_context import current, current_context

logger = logging.getLogger("heliograph.context")

# The header of a message with the text of its context.
HEADER = "heliograph_context"


def carry() -> Callable[[], None]:
    """Let messages of Celery carry the context, and its workers restore it; return a function that ends this.

    Call it in the module of the app, which senders and workers import.
    """
    before_task_publish.connect(_send, weak=False)
    task_prerun.connect(_begin, weak=False)
    task_postrun.connect(_end, weak=False)
    return _stop


def _stop() -> None:
    for signal, function in ((before_task_publish, _send), (task_prerun, _begin), (task_postrun, _end)):
        signal.disconnect(function)


def _send(headers: dict[str, Any] | None = None, **_: Any) -> None:
    text = text_of_context(current())
    if headers is not None and text:
        headers.setdefault(HEADER, text)  # the message of a retry has that of the first one


# A task that is called at once, as with task_always_eager, has no message, and keeps the context of its caller.


def _begin(task: Any, **_: Any) -> None:
    text = getattr(task.request, HEADER, None)
    if text is None:
        return
    task.request.heliograph_outer = current_context.get()
    try:
        current_context.set(resumed(text))
    except UnreadableContextError as error:
        logger.warning("The context of %s cannot be read: %s", task.name, error)


def _end(task: Any, **_: Any) -> None:
    outer = getattr(task.request, "heliograph_outer", None)
    if outer is not None:
        current_context.set(outer)
