"""A queue of deliveries, and one worker that executes them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from time import monotonic, sleep
from typing import Any

from benchmarks.facts import Group, Place, Table
from benchmarks.outbox import costs
from benchmarks.outbox.costs import Cost
from benchmarks.outbox.experiments import Experiment
from benchmarks.outbox.project import projects
from benchmarks.outbox.systems import (
    EXECUTING,
    CeleryOnRabbit,
    CeleryOnRedis,
    DjangoTasks,
    Heliograph,
    Procrastinate,
    System,
    environment,
    present,
)

ROUNDS = {1: 3, 4: 2}
QUEUED, BEGIN = 1_000, 150  # what a worker does first is not measured: it imports, and its queries are planned
PATIENCE = 120  # seconds
BOTH, WORKER, DATABASE, ALL = "worker and database", "worker", "database", "with the broker"
COLUMNS = {
    BOTH: lambda cost: cost.both,
    WORKER: lambda cost: cost.client,
    DATABASE: lambda cost: cost.database,
    ALL: lambda cost: cost.all,
}
SHIPPED = (CeleryOnRedis, CeleryOnRabbit)
CONCURRENCY = {1: "concurrency 1", 4: "concurrency 4"}
ABOUT = (
    f" Each has {QUEUED:,} counters and as many deliveries in its queue, then one worker is started; the first {BEGIN}"
    " or so are not measured. A delivery updates the counter whose number it carries,"
    ' `Counter.objects.filter(pk=pk).update(n=F("n") + 1)`; in the second row it is that of a `post_save`, whose'
    " instance is loaded. The best of some rounds, the systems in turns; afterwards every counter must be 1, and every"
    " delivery recorded as done. All connections are persistent (`CONN_MAX_AGE = None`), which Celery does not heed: as"
    " it ships, it opens one for each task, but for the last row, which has a setting that its documentation does not"
    " mention. Celery has its faster pool of `solo` and `prefork`, of `prefork` and `threads` with concurrency 4, takes"
    " 64 tasks at once and stores no results. django-tasks-db has no concurrency. Nobody logs."
)


def experiments() -> Iterator[Experiment]:
    """Yield the experiments of this file."""
    yield Experiment(
        Group(
            "executing",
            "A delivery executed",
            "The processor's time of one worker, with its children and its connections' processes in PostgreSQL, for"
            " each delivery." + ABOUT,
            (),
            tuple(_cost_targets()),
            base=Procrastinate.name,
        ),
        _measured,
    )
    yield Experiment(
        Group(
            "rate",
            "Deliveries per second",
            "What one worker executes in a second on the clock, in the runs of the table above, and in others with"
            " four threads or processes. The best round counts.",
            (),
            tuple(_rate_targets()),
            base=Procrastinate.name,
            unit="a second",
        ),
        _measured_rates,
    )


def _cost_targets() -> Iterator[Place]:
    """Yield targets beside procrastinate, and beside Celery as it ships with the broker that costs less."""
    for words, others, limit in (("procrastinate", (Procrastinate,), 0.4), ("the cheaper Celery", SHIPPED, 0.25)):
        if present(others):
            yield Place(
                f"{Heliograph.name}, {BOTH}, beside {words}",
                limit,
                lambda table, others=others: (
                    table.cells[Heliograph.name, BOTH] / min(_cells(table, present(others), BOTH))
                ),
            )


def _rate_targets() -> Iterator[Place]:
    """Yield targets for what the others execute, as a share of what we do."""
    for column in CONCURRENCY.values():
        for others in ((Procrastinate,), (DjangoTasks,), SHIPPED):
            found = [system for system in present(others) if system.commands(_number(column))]
            if found:
                yield Place(
                    f"{' or '.join(system.name for system in found)}, {column}: share of Heliograph's",
                    0.5,
                    lambda table, found=found, column=column: (
                        max(_cells(table, found, column)) / table.cells[Heliograph.name, column]
                    ),
                )


def _number(column: str) -> int:
    return next(number for number, name in CONCURRENCY.items() if name == column)


def _cells(table: Table, found: Sequence[System], column: str) -> list[float]:
    return [table.cells[system.name, column] for system in found]


def _measured() -> Table:
    runs = _runs(1)
    best = {name: min(found, key=lambda cost: cost.both) for name, found in runs.items()}
    cells = {(name, column): of(cost) for name, cost in best.items() for column, of in COLUMNS.items()}
    return Table(tuple(COLUMNS), cells, Procrastinate.name)


def _measured_rates() -> Table:
    cells = {
        (name, column): 1 / min(cost.clock for cost in costs)
        for concurrency, column in CONCURRENCY.items()
        for name, costs in _runs(concurrency).items()
    }
    order = [kind.name for kind in EXECUTING]
    ordered = dict(sorted(cells.items(), key=lambda cell: order.index(cell[0][0])))
    return Table(tuple(CONCURRENCY.values()), ordered, Procrastinate.name)


@cache
def _runs(concurrency: int) -> dict[str, list[Cost]]:
    """Return the rounds of each system, in the order of the table; all its commands count together."""
    runs: dict[str, list[Cost]] = {}
    with projects(present(EXECUTING)) as every:
        for _ in range(ROUNDS[concurrency]):
            for project in every:
                for number in range(len(project.system.commands(concurrency))):
                    cost = project.call(cost_of_executing, concurrency, number)
                    runs.setdefault(project.system.name, []).append(cost)
    return runs


# --- in the process of a system -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that runs."""

    name: str
    process: subprocess.Popen[bytes]
    errors: Any  # the file of what it says

    def verify(self) -> None:
        """Raise AssertionError if it has ended."""
        if self.process.poll() is not None:
            self.errors.seek(0)
            raise AssertionError(f"{self.name}: the worker has ended:\n{self.errors.read().decode()}")

    def stop(self) -> None:
        """Let it finish; it may not want to."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.errors.close()


def started(system: System, command: Sequence[str], **variables: str) -> Worker:
    """Return a worker of a system."""
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - the worker writes, and its owner reads
    variables = {**environment(system), **variables}
    process = subprocess.Popen(command, env=variables, stdout=errors, stderr=errors, start_new_session=True)
    return Worker(system.name, process, errors)


def cost_of_executing(system: System, concurrency: int, number: int) -> Cost:
    """Return the costs of one delivery, from a round of many by one of the worker commands of the system."""
    _fill(system)
    worker = started(system, system.commands(concurrency)[number])
    try:
        begin, before = _once(system, worker, BEGIN)
        end, after = _once(system, worker, QUEUED)
        _verify(system)
    finally:
        worker.stop()
    return (after - before) / (end - begin)


def _fill(system: System) -> None:
    """Queue a delivery for each of the counters."""
    from django.db import connection, transaction

    from benchmarks.outbox.shop.models import Counter, Item

    system.empty()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {Counter._meta.db_table}, {Item._meta.db_table} RESTART IDENTITY")
        for counter in Counter.objects.bulk_create([Counter() for _ in range(QUEUED)]):
            system.add_one(counter.pk)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _once(system: System, worker: Worker, count: int) -> tuple[int, Cost]:
    """Wait until so many are executed; return how many are, and what the worker has cost until then."""
    deadline = monotonic() + PATIENCE
    while (executed := _executed()) < count:
        worker.verify()
        assert monotonic() < deadline, f"{system.name}: {executed} of {count} after {PATIENCE} s"
        sleep(0.01)
    return executed, costs.of_worker(system, worker.process.pid)


def _executed() -> int:
    from benchmarks.outbox.shop.models import Counter

    return Counter.objects.filter(n__gt=0).count()


def _verify(system: System) -> None:
    """Check that everything was executed once, and that this is recorded."""
    from benchmarks.outbox.shop.models import Counter

    wrong = Counter.objects.exclude(n=1).count()
    assert not wrong, f"{system.name}: {wrong} were not executed once"
    deadline = monotonic() + 10
    while (found := _left(system)) and monotonic() < deadline:
        sleep(0.05)
    assert not found, f"{system.name}: {found}"


def _left(system: System) -> Any:
    waiting, finished = system.waiting(), system.finished()
    return None if not waiting and finished in (None, QUEUED) else f"{waiting} wait, and {finished} are done"
