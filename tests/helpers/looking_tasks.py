"""Tasks of Django that tell the context that they run under, and a backend that carries it in JSON."""

import json

import django
from django.utils.module_loading import import_string

from heliograph.context import current
from heliograph.context.django_tasks import CarriesContext

if django.VERSION >= (6, 0):
    from django.tasks.backends.dummy import DummyBackend
    from django.tasks.backends.immediate import ImmediateBackend
else:
    from django_tasks.backends.dummy import DummyBackend
    from django_tasks.backends.immediate import ImmediateBackend


class AtOnce(CarriesContext, ImmediateBackend):
    """Runs a task when it is enqueued."""


class Later(CarriesContext, DummyBackend):
    """Keeps tasks until a test makes them."""


def make(backend):
    """Make the tasks that a backend keeps, as a worker does: from JSON, by the paths of their functions."""
    for result in [*backend.results]:
        kept = json.dumps({"path": result.task.module_path, "args": result.args, "kwargs": result.kwargs})
        message = json.loads(kept)
        import_string(message["path"]).call(*message["args"], **message["kwargs"])
    backend.clear()


def look(title):
    seen.append((title, current()))


async def look_async(title):
    seen.append((title, current()))


seen = []
