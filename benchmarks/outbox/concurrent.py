"""How many transactions a second concurrent senders commit, with and without notices to the workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from time import monotonic
from typing import Any

from benchmarks.facts import Group, Place, Table
from benchmarks.outbox.experiments import Experiment
from benchmarks.outbox.project import Project, projects
from benchmarks.outbox.systems import TOGETHER, Heliograph, HeliographWithoutNotices, Plain, System, present

SENDERS, ROUNDS, SECONDS = (1, 4, 16, 32, 64), 6, 2.0
MOST = 1 / 0.95  # without notices, beside with them


def experiments() -> Iterator[Experiment]:
    """Yield the experiments of this file."""
    yield Experiment(
        Group(
            "concurrent",
            "Concurrent senders",
            "Processes that do nothing but commit: `atomic()` with `create()` of a row, which one durable receiver"
            " receives. Transactions a second, of all of them together, by how many there are; somebody listens to the"
            " notices. The second row has `NOTICES` off, and the last one what Heliograph does not do: `pg_notify` in"
            f" the transaction that commits. The median of {ROUNDS} rounds of {SECONDS:.0f} s each, the systems in"
            " turns, and in the other order each second round.",
            (),
            tuple(_targets()),
            base=HeliographWithoutNotices.name,
            unit="a second",
        ),
        _measured,
    )


def _targets() -> Iterator[Place]:
    for column in ("16", "32", "64"):
        yield Place(
            f"{column} senders: without notices, beside with them",
            MOST,
            lambda table, column=column: 1 / table.ratio(Heliograph.name, column),
        )


def _measured() -> Table:
    cells: dict[tuple[str, str], float] = {}
    with projects(present(TOGETHER)) as every:
        for count in SENDERS:
            rounds = [_round(every[:: (-1) ** number], count) for number in range(ROUNDS)]
            cells |= {(name, str(count)): median(one[name] for one in rounds) for name in rounds[0]}
    return Table(tuple(map(str, SENDERS)), cells, HeliographWithoutNotices.name)


def _round(every: list[Project], count: int) -> dict[str, float]:
    return {project.system.name: project.call(transactions_per_second, count) for project in every}


# --- in the process of a system -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """The number of transactions that one sender has committed, and the seconds that they took."""

    count: int
    seconds: float

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.count / self.seconds


def transactions_per_second(system: System, count: int) -> float:
    """Return how many transactions so many senders commit in a second."""
    from django.db import connections

    connections.close_all()  # a fork would share them
    fork = get_context("fork")
    together, shares = fork.Barrier(count + 1), fork.SimpleQueue()
    senders = [fork.Process(target=_send, args=(system, together, shares)) for _ in range(count)]
    for sender in senders:
        sender.start()
    with _listening():
        together.wait()
        every: list[Share] = [shares.get() for _ in senders]
    for sender in senders:
        sender.join()
    expected = 0 if isinstance(system, Plain) else sum(share.count for share in every)
    assert system.waiting() >= expected, f"{system.name}: {system.waiting()} wait, and {expected} were sent"
    system.empty()
    return sum(share.rate for share in every)


def _send(system: System, together: Any, shares: Any) -> None:
    """Write until the time is over; the first transaction, which connects, does not count."""
    from benchmarks.outbox.sending import write
    from benchmarks.outbox.shop.models import Order

    write(Order, os.getpid(), system.notified_once)
    together.wait()
    began, count = monotonic(), 0
    while monotonic() < began + SECONDS:
        write(Order, count, system.notified_once)
        count += 1
    shares.put(Share(count, monotonic() - began))


@contextmanager
def _listening() -> Iterator[None]:
    """Listen to the notices, as a worker does."""
    from django.db import connections

    listener = connections["default"].copy()
    with listener.cursor() as cursor:
        cursor.execute("LISTEN heliograph_outbox")
    try:
        yield
    finally:
        listener.close()
