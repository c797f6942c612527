"""The costs of a unit of work: the processor's time of all who take part, and the time on the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from statistics import median
from time import perf_counter, process_time
from typing import Any

from benchmarks.outbox import cpu
from benchmarks.outbox.systems import System


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, of one unit or of many."""

    client: float
    database: float
    broker: float
    clock: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __truediv__(self, units: int) -> Cost:
        return Cost(*(seconds / units for seconds in astuple(self)))

    @property
    def both(self) -> float:
        """The processor's time of all but a broker."""
        return self.client + self.database

    @property
    def all(self) -> float:
        """The processor's time of all, also of a broker."""
        return self.both + self.broker


def typical(costs: Sequence[Cost]) -> Cost:
    """Return the median of several rounds, of each part by itself."""
    return Cost(*(median(seconds) for seconds in zip(*map(astuple, costs), strict=True)))


def of_this(system: System, alias: str = "default") -> Cost:
    """Return what this process and one of its connections have cost so far."""
    database = cpu.of(backend(alias))
    return Cost(process_time(), database, _broker(system), perf_counter())


def of_worker(system: System, process: int) -> Cost:
    """Return what a worker and its connections have cost so far."""
    database = cpu.of_all(_others())
    if system.reconnects:
        database += cpu.of_dead_children(cpu.parent(backend()))
    return Cost(cpu.of_family(process), database, _broker(system), perf_counter())


@cache
def backend(alias: str = "default") -> int:
    """Return the process of the database that serves a connection, which stays open."""
    return next(_numbers("SELECT pg_backend_pid()", alias))


def _others() -> Iterable[int]:
    return _numbers(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )


def _numbers(query: str, alias: str = "default") -> Any:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(query)
        return iter([number for (number,) in cursor.fetchall()])


def _broker(system: System) -> float:
    process = system.broker.process() if system.broker else None
    return cpu.of(process) if process else 0.0
