"""The workers of the demonstration: those that are killed, and one that makes the rest."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter

from django.conf import settings
from django.core.management.base import CommandError
from django.db.models import Count
from heliograph.outbox.models import UNFINISHED, Delivery, State

from demo import commands

LOG = settings.DATA_DIR / "workers.log"

# How many seconds a worker may write no line. On a slow machine everything takes longer, but the lines do not stop.
PATIENCE = 120.0
SOON = 0.05  # seconds of silence, after which the table is asked whether anything is left

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


class SilentWorkerError(CommandError):
    """A worker has said nothing for too long."""

    def __init__(self) -> None:
        super().__init__(f"A worker has said nothing for {PATIENCE:.0f} s: {LOG} may say why.")


@dataclass(frozen=True)
class Worker:
    """A worker, and each line that it says; an empty one when it has ended."""

    process: subprocess.Popen[bytes]
    said: SimpleQueue[bytes]

    def next_line(self, seconds: float = PATIENCE) -> bytes | None:
        """Return the next line that the worker says, or None if it is silent for so long; to end is an error."""
        try:
            line = self.said.get(timeout=seconds)
        except Empty:
            return None
        if not line:
            raise CommandError(f"A worker ended by itself, with status {self.process.wait()}: {LOG} says why.")
        return line

    def kill(self) -> None:
        """Kill the worker by SIGKILL, to which it cannot react."""
        self.process.kill()


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
    with worker() as last:
        for done in follow(last, made, total):
            show(done, total)
    return Work(total, made, left[State.RUNNING], perf_counter() - start)


def finish() -> None:
    """Let a worker make all deliveries that wait, and those that they cause."""
    with worker() as last:
        follow_to_the_end(last)


def follow_to_the_end(worker: Worker, most: float = inf) -> None:
    """Listen to a worker until nothing waits any more, or until it has made so many deliveries.

    The waiting deliveries are counted in the table: a worker may write its line shortly before it commits the row.
    """
    made, heard = 0, perf_counter()
    while made < most:
        if line := worker.next_line(SOON):
            made, heard = made + bool(FINISHED.search(line)), perf_counter()
        elif not waiting():
            return
        elif perf_counter() - heard > PATIENCE:
            raise SilentWorkerError


def _left_by_a_killed_one(total: int, show: Show) -> Counter[str]:
    """Kill a worker when half of the deliveries are made, and another one if the first had none under way."""
    left = _left()
    while left and not left[State.RUNNING]:
        made = total - left.total()
        with worker() as first:
            for done in follow(first, made, max(total - total // 2, made + 1)):
                show(done, total)
            first.kill()
        left = _left()
    return left


@contextmanager
def worker() -> Iterator[Worker]:
    """Run a worker as one does in production, as a process of its own; it stops when the block ends."""
    with subprocess.Popen(commands.worker(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        worker = Worker(process, SimpleQueue())
        reader = Thread(target=_read, args=(worker,))
        reader.start()
        try:
            yield worker
        finally:
            process.terminate()
            reader.join()


def _read(worker: Worker) -> None:
    """Pass on what a worker says, and keep it in the log."""
    assert worker.process.stderr
    with LOG.open("ab") as log:
        for line in worker.process.stderr:
            log.write(line)
            worker.said.put(line)
    worker.said.put(b"")


def follow(worker: Worker, made: int, wanted: int) -> Iterator[int]:
    """Listen to a worker until it has made so many deliveries as are wanted, with those that were made before it.

    Yield the number after each delivery.
    """
    while made < wanted:
        if (line := worker.next_line()) is None:
            raise SilentWorkerError
        if FINISHED.search(line):
            made += 1
            yield made


def _left() -> Counter[str]:
    """Count what waits, and what workers have in their hands."""
    left = Delivery.objects.filter(state__in=UNFINISHED).order_by()
    return Counter(dict(left.values_list("state").annotate(Count("pk"))))
