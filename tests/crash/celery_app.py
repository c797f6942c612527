"""The app of Celery, whose workers make deliveries."""

import os

from celery import Celery

app = Celery("crash", broker=os.environ.get("HELIOGRAPH_CRASH_BROKER"), set_as_current=False)
app.conf.update(
    task_default_queue=os.environ.get("HELIOGRAPH_CRASH_QUEUE", "crash"),
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,  # with it, a worker idles for long after a connection was lost
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
app.autodiscover_tasks()
