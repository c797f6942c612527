"""An app of Celery whose tasks tell the context that they run under, and a worker for it in a thread."""

from contextlib import contextmanager

from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging

from heliograph.context import current
from tests.helpers.brokers import URLS

app = Celery("contexts", broker=URLS["rabbitmq"], set_as_current=False, fixups=[])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)

seen = []


@app.task(name="contexts.look")
def look():
    seen.append(current())


@app.task(name="contexts.look_twice", bind=True, max_retries=1)
def look_twice(self):
    seen.append(current())
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task(name="contexts.pass_on")
def pass_on():
    seen.append(current())
    look.delay()


def _leave_logging(**kwargs):
    """Be what sets logging up: Celery leaves it then, and pytest reads it."""


@contextmanager
def in_worker(queue):
    """Run a worker for one queue, to which everything is sent meanwhile."""
    app.conf.task_default_queue = queue
    seen.clear()
    setup_logging.connect(_leave_logging)
    with start_worker(app, pool="solo", perform_ping_check=False, queues=[queue], shutdown_timeout=60):
        yield
    setup_logging.disconnect(_leave_logging)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)
