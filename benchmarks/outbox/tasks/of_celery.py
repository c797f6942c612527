"""The tasks of Celery."""

from benchmarks.outbox.shop import bodies
from benchmarks.outbox.tasks.celery_app import app

add_one = app.task(bodies.add_one, name="add_one")
note = app.task(bodies.note, name="note")
receive = [app.task(function, name=function.__name__) for function in bodies.ten(globals())]
