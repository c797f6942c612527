"""A worker that runs in a thread of the test."""

import threading
from contextlib import contextmanager

from heliograph.outbox.worker import Worker
from tests.helpers.waiting import LONG


@contextmanager
def working(*, stops=True, **options):
    """Run a worker in a thread for the time of the block, at whose end it is delivered to stop, or has been."""
    one = Worker(**{"grace": LONG, **options})
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield one
    finally:
        if stops:
            one.stop()
        thread.join(LONG)
        assert not thread.is_alive(), "the worker ends when it is delivered to"
