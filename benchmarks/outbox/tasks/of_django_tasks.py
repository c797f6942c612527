"""The tasks of Django, for the database backend of django-tasks."""

from django.tasks import task

from benchmarks.outbox.shop import bodies


@task
def add_one(pk: int) -> None:
    bodies.add_one(pk)


@task
def note(number: int) -> None:
    bodies.note(number)


receive = [task(function) for function in bodies.ten(globals())]
# A stored task is looked up by the name of its function.
globals().update({one.func.__name__: one for one in receive})
