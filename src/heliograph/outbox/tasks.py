"""Celery's task, where its `autodiscover_tasks()` finds it."""

from importlib.util import find_spec

# Where Celery is not installed, others may look for a module of this name: huey, dramatiq.
if find_spec("celery") is not None:
    from heliograph.outbox.backends.celery import run as run
