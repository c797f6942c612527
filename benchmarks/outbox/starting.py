"""How soon after the commit a worker begins, if it has nothing else to do."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep, time
from typing import Any

from benchmarks.facts import Group, Place, Table
from benchmarks.outbox.executing import Worker, started
from benchmarks.outbox.experiments import Experiment
from benchmarks.outbox.project import Project, projects
from benchmarks.outbox.systems import WAITING, Heliograph, HeliographOnSqlite, Procrastinate, System, present

SAMPLES, IDLE = 50, (0.1, 0.9)  # seconds between two rounds; each worker also idles during the rounds of all others
PATIENCE = 20  # seconds
MEDIAN, TENTH = "median", "of ten, the slowest"


def experiments() -> Iterator[Experiment]:
    """Yield the experiments of this file."""
    yield Experiment(
        Group(
            "starting",
            "From commit to start",
            "A worker with nothing else to do, and one delivery: from the first callback after the commit, which is"
            f" before anybody notifies a broker, to the first line of what is called. {SAMPLES} times, the systems in"
            " turns, with a pause between two. On SQLite nobody can wake a worker, which must look.",
            (),
            tuple(_targets()),
            base=Procrastinate.name,
        ),
        _measured,
    )


def _targets() -> Iterator[Place]:
    yield Place("Heliograph, median, beside procrastinate", 1.0, lambda table: table.ratio(Heliograph.name, MEDIAN))
    yield Place(
        f"{Heliograph.name}, median: share of 5 ms",
        1.0,
        lambda table: table.cells[Heliograph.name, MEDIAN] / 0.005,
    )
    yield Place(
        f"{HeliographOnSqlite.name}, median: share of 100 ms",
        1.0,
        lambda table: table.cells[HeliographOnSqlite.name, MEDIAN] / 0.1,
    )


def _measured() -> Table:
    with projects(present(WAITING)) as every, ExitStack() as stack:
        for project in every:
            project.call(begin)
            stack.callback(project.call, end)
        rounds = [_round(every, number) for number in range(SAMPLES + 2)][2:]
    waits = {name: [one[name] for one in rounds] for name in rounds[0]}
    columns = {MEDIAN: median, TENTH: lambda seconds: quantiles(seconds, n=10)[-1]}
    cells = {(name, column): of(seconds) for name, seconds in waits.items() for column, of in columns.items()}
    return Table(tuple(columns), cells, Procrastinate.name)


def _round(every: list[Project], number: int) -> dict[str, float]:
    sleep(random.uniform(*IDLE))
    return {project.system.name: project.call(seconds_until_start, number) for project in every}


# --- in the process of a system -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Idle:
    """A worker, and the file in which it writes down when something began."""

    worker: Worker
    notes: Path


_idle: list[Idle] = []


def begin(system: System) -> None:
    """Start a worker."""
    from benchmarks.outbox.shop import bodies

    with tempfile.NamedTemporaryFile(prefix="heliograph_notes_", delete=False) as file:
        notes = Path(file.name)
    _idle.append(Idle(started(system, system.commands(1)[0], **{bodies.NOTES: str(notes)}), notes))


def end(system: System) -> None:
    """Stop it."""
    idle = _idle.pop()
    idle.worker.stop()
    idle.notes.unlink()


def seconds_until_start(system: System, number: int) -> float:
    """Send once, and return how long it took until that began."""
    from django.db import transaction

    committed: list[float] = []
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time()))
        system.note(number)
    deadline = monotonic() + PATIENCE
    while (began := _noted(number)) is None:
        _idle[0].worker.verify()
        assert monotonic() < deadline, f"{system.name}: nothing began within {PATIENCE} s"
        sleep(0.005)
    return began - committed[0]


def _noted(number: int) -> float | None:
    lines: Any = (line.split() for line in _idle[0].notes.read_text().splitlines())
    return next((float(began) for noted, began in lines if int(noted) == number), None)
