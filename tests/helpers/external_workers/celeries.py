"""An app of Celery for each broker."""

from contextlib import contextmanager

from celery import Celery, current_app

from tests.helpers.external_workers.brokers import BROKERS, QUEUE


def made(broker, **settings):
    app = Celery(broker, broker=BROKERS[broker], set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        **settings,
    )
    app.autodiscover_tasks()
    return app


rabbitmq = made("rabbitmq")
redis = made("redis")
nowhere = made("nowhere")
eager = made("nowhere", task_always_eager=True)


@contextmanager
def set_current(app):
    """Have an app be the current one of this thread."""
    before = current_app._get_current_object()
    app.set_current()
    try:
        yield
    finally:
        before.set_current()
