"""The workers of the demonstration: one that is killed half way, and one that makes the rest."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter, sleep

from django.conf import settings
from django.core.management.base import CommandError
from django.db.models import Count
from heliograph.outbox.models import UNFINISHED, Delivery, State

LOG = settings.DATA_DIR / "workers.log"

# How many seconds a worker may take for what it is waited for.
PATIENCE = 120.0


@dataclass(frozen=True)
class Work:
    """How many deliveries waited, how many the first worker made, and had in its hands at the end, and all seconds."""

    waiting: int
    made: int
    held: int
    seconds: float


def waiting() -> int:
    """Return how many deliveries are not finished."""
    return _left().total()


def work() -> Work:
    """Let a worker make half of the deliveries, kill it with more in its hands, and let another one make the rest."""
    start, count = perf_counter(), waiting()
    left = _left_by_a_killed_one(count // 2)
    with _worker() as last:
        _wait(last, lambda left: not left)
    return Work(count, count - left.total(), left[State.RUNNING], perf_counter() - start)


def _left_by_a_killed_one(half: int) -> Counter[str]:
    """Kill a worker when half of the deliveries is left, and one more if that had nothing in its hands just then."""
    while True:
        with _worker() as worker:
            _wait(worker, lambda left: left.total() <= half and (left[State.RUNNING] or not left))
            worker.kill()  # SIGKILL, to which nobody can react
        left = _left()
        if left[State.RUNNING] or not left:
            return left


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker as one does in production, as a process of its own; it stops when the block ends."""
    with (
        LOG.open("ab") as log,
        subprocess.Popen([sys.executable, settings.BASE_DIR / "manage.py", "outbox", "run"], stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _wait(worker: subprocess.Popen[bytes], is_done: Callable[[Counter[str]], object]) -> None:
    """Look at what is left until that is as wanted."""
    deadline = monotonic() + PATIENCE
    while not is_done(_left()):
        if worker.poll() is not None:
            raise CommandError(f"A worker ended by itself, with status {worker.returncode}: {LOG} says why.")
        if monotonic() > deadline:
            raise CommandError(f"A worker has not made its deliveries in {PATIENCE:.0f} s: {LOG} may say why.")
        sleep(0.005)


def _left() -> Counter[str]:
    """Count what waits, and what workers have in their hands."""
    left = Delivery.objects.filter(state__in=UNFINISHED).order_by()
    return Counter(dict(left.values_list("state").annotate(Count("pk"))))
