"""The workers of the demonstration: one that is killed half way, and one that makes the rest."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter

from django.conf import settings
from django.core.management.base import CommandError
from django.db.models import Count
from heliograph.outbox.models import UNFINISHED, Delivery, State

LOG = settings.DATA_DIR / "workers.log"

# How many seconds a worker may be silent. On a slow machine all takes longer, but it does not stop.
PATIENCE = 120.0

# What a worker says when a delivery is finished.
FINISHED = re.compile(rb"Delivery \d+ of \S+ (succeeded|is discarded|is dead)")

Show = Callable[[int, int], None]


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


def work(show: Show) -> Work:
    """Let a worker make half of the deliveries, kill it with more in its hands, and let another one make the rest.

    After each delivery `show` is called with the number of those that are finished, and of all.
    """
    start, total = perf_counter(), waiting()
    left = _left_by_a_killed_one(total, show)
    made = total - left.total()
    with _worker() as last:
        _follow(last, made, total, total, show)
    return Work(total, made, left[State.RUNNING], perf_counter() - start)


def _left_by_a_killed_one(total: int, show: Show) -> Counter[str]:
    """Kill a worker when half of the deliveries are made, and one more if it had nothing in its hands just then."""
    left = _left()
    while left and not left[State.RUNNING]:
        made = total - left.total()
        with _worker() as worker:
            _follow(worker, made, max(total - total // 2, made + 1), total, show)
            worker.process.kill()  # SIGKILL, to which nobody can react
        left = _left()
    return left


@dataclass(frozen=True)
class _Worker:
    """A worker, and each line that it says; an empty one when it has ended."""

    process: subprocess.Popen[bytes]
    said: SimpleQueue[bytes]


@contextmanager
def _worker() -> Iterator[_Worker]:
    """Run a worker as one does in production, as a process of its own; it stops when the block ends."""
    command = [sys.executable, settings.BASE_DIR / "manage.py", "outbox", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        worker = _Worker(process, SimpleQueue())
        reader = Thread(target=_read, args=(worker,))
        reader.start()
        try:
            yield worker
        finally:
            process.terminate()
            reader.join()


def _read(worker: _Worker) -> None:
    """Pass on what a worker says, and keep it in the log."""
    assert worker.process.stderr
    with LOG.open("ab") as log:
        for line in worker.process.stderr:
            log.write(line)
            worker.said.put(line)
    worker.said.put(b"")


def _follow(worker: _Worker, made: int, wanted: int, total: int, show: Show) -> None:
    """Listen to a worker until it has made so many deliveries as are wanted, with those that were made before it."""
    while made < wanted:
        if FINISHED.search(_line(worker)):
            made += 1
            show(made, total)


def _line(worker: _Worker) -> bytes:
    """Return the next line that a worker says; to be silent for too long, or to end, is an error."""
    try:
        line = worker.said.get(timeout=PATIENCE)
    except Empty:
        raise CommandError(f"A worker has said nothing for {PATIENCE:.0f} s: {LOG} may say why.") from None
    if not line:
        raise CommandError(f"A worker ended by itself, with status {worker.process.wait()}: {LOG} says why.")
    return line


def _left() -> Counter[str]:
    """Count what waits, and what workers have in their hands."""
    left = Delivery.objects.filter(state__in=UNFINISHED).order_by()
    return Counter(dict(left.values_list("state").annotate(Count("pk"))))
