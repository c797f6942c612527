"""Receivers of signals of their own, each of which leaves an article, and the policies that they are connected with."""

import logging
import os
import time

from heliograph import Durable, Retry, RetryAfter, Signal, fixed
from tests.app.models import Article

logger = logging.getLogger("heliograph.external")

recorded, mailed, flaky, postponed, late, ordered, held, unknown = (Signal() for _ in range(8))


def leave(title, delivery):
    """Say which attempt it was, and of which process."""
    Article.objects.create(title=title, words=delivery.attempt, slug=str(os.getpid()))


def record(sender, title, delivery, **kwargs):
    leave(title, delivery)


def mail(sender, title, delivery, **kwargs):
    leave(title, delivery)


def fail_at_first(sender, title, delivery, **kwargs):
    leave(title, delivery)
    if delivery.attempt < 3:
        raise ConnectionError("It works the third time.")


def postpone(sender, title, delivery, **kwargs):
    leave(title, delivery)
    return RetryAfter(0.2) if delivery.attempt == 1 else None


def fail_for_long(sender, title, delivery, **kwargs):
    leave(title, delivery)
    if delivery.attempt == 1:
        raise ConnectionError("It works later.")


def follow(sender, title, key, delivery, **kwargs):
    leave(title, delivery)


def wait(sender, title, delivery, **kwargs):
    """Wait in the first attempt until somebody has written that it may go on."""
    while delivery.attempt == 1 and not Article.objects.filter(title="go").exists():
        time.sleep(0.05)
    leave(title, delivery)


def not_in_workers(sender, title, **kwargs):
    raise AssertionError("A process that sends has made its own delivery.")


# What the workers connect, and the tests for the time of one.
IN_WORKERS = [
    (recorded, record, Durable(backend="external")),
    (mailed, mail, Durable(backend="external", queue="mail")),
    (flaky, fail_at_first, Durable(backend="external", retry=Retry(attempts=3, backoff=fixed(0.2), jitter=0))),
    (postponed, postpone, Durable(backend="external", retry=Retry(attempts=2))),
    # Longer than external workers wait that are notified of the next attempt at once.
    (late, fail_for_long, Durable(backend="external", retry=Retry(backoff=fixed(1.5), jitter=0))),
    (ordered, follow, Durable(backend="external", key="key")),
    (held, wait, Durable(backend="external", atomic=False, retry=Retry(backoff=fixed(0), jitter=0))),
]
IN_SENDERS = [*IN_WORKERS, (unknown, not_in_workers, Durable(backend="external"))]


def log_delivery(event):
    """Observe the deliveries of a process."""
    logger.info("observed %s of %d in process %d", event.name, event.id, os.getpid())


def connect_all(connections):
    """Connect these for as long as the process lives."""
    for signal, receiver, policy in connections:
        signal.connect(receiver, delivery=policy)


def effects():
    return [*Article.objects.order_by("pk").values_list("title", "words")]
