"""Writes whose time or queries are measured: each is prepared before, and its rows are checked afterwards."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from benchmarks import databases
from benchmarks.timing import Call


class Written(Protocol):
    """A row of a table in one database, with the models that it writes."""

    @property
    def alias(self) -> str:
        """The alias of the database."""

    @property
    def tables(self) -> Iterable[str]:
        """The tables that are written."""

    def empty(self) -> None:
        """Remove all rows."""


W = TypeVar("W", bound=Written)


@dataclass(frozen=True, slots=True)
class Operation(Generic[W]):
    """A write of rows."""

    name: str
    rows: int
    rounds: int
    prepare: Callable[[W, int], Call]  # returns the write of so many rows
    times: int = 1  # how often it is done in a round, of which the result is for one

    def prepared(self, by: W) -> Call:
        """Return the write, for which all is ready."""
        by.empty()
        write = self.prepare(by, self.rows)
        gc.collect()
        for table in by.tables:
            databases.vacuum(by.alias, table)
        return write


Check = Callable[[Operation[W], W], None]  # raises AssertionError if the rows are wrong after the write


def seconds(operation: Operation[W], by: W, check: Check[W], loops: int) -> float:
    """Return the seconds of one write, after which the rows must be right."""
    write = operation.prepared(by)
    start = perf_counter()
    write()
    taken = perf_counter() - start
    check(operation, by)
    return taken / operation.times


def queries(operation: Operation[W], by: W, check: Check[W], loops: int) -> float:
    """Return the number of queries of one write, after which the rows must be right."""
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    write, connection = operation.prepared(by), connections[by.alias]
    connection.queries_log = deque()  # Django's own forgets the first ones of many
    with CaptureQueriesContext(connection) as captured:
        write()
    check(operation, by)
    return len(captured) / operation.times
