"""Waiting until real workers have made everything that is due, for tests whose rows other processes see."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic, sleep

from django.db import connections
from django.db.models import Q

from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.models import Delivery, State
from heliograph.testing.counted import failure
from heliograph.testing.matching import lines_of
from heliograph.testing.verified_arguments import verify_time

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

# How often the table is looked at, in seconds.
_PAUSE = 0.05


def wait_for_workers(using: str, timeout: timedelta) -> None:
    """Return when no delivery is due or running; AssertionError lists those that are after the time is over.

    Raises RuntimeError in a transaction, whose rows no worker sees.
    """
    verify_time("timeout", timeout)
    if connections[using].in_atomic_block:
        raise RuntimeError(
            "No worker sees the rows of an open transaction, such as that of a TestCase: use TransactionTestCase or"
            " transactional_db, or make the deliveries with drain()."
        )
    ends = monotonic() + timeout.total_seconds()
    while unfinished := _unfinished(using):
        if monotonic() > ends:
            raise failure(f"After {timeout.total_seconds():g} s, these deliveries are not made:", unfinished)
        sleep(_PAUSE)


def _unfinished(using: str) -> list[str]:
    due = Q(state=State.READY, due_at__lte=DatabaseNow()) | Q(state=State.RUNNING)
    return lines_of([*Delivery.objects.using(using).filter(due)])
