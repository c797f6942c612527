"""All groups, and the measuring of one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from benchmarks import (
    asynchronous,
    audit,
    bulk,
    changes,
    connecting,
    kept,
    memory,
    models,
    recipes,
    sending,
    threads,
    transactions,
)
from benchmarks.facts import Group, Result, Table
from benchmarks.project import set_up
from benchmarks.timing import interleaved

Cells = Mapping[tuple[str, str], float]


def groups() -> list[Group]:
    """Return all groups, in the order in which they are measured."""
    modules = (
        sending,
        models,
        connecting,
        asynchronous,
        threads,
        memory,
        changes,
        transactions,
        bulk,
        kept,
        recipes,
        audit,
    )
    return [group for module in modules for group in module.groups()]


def measured(group: Group) -> Result:
    """Measure one group: all of it in one process, and again in others, of which the best figures count.

    Where a process happens to put things in memory moves its figures by a percent or two, for as long as it lives.
    """
    process = {"initializer": partial(set_up, *group.apps), "max_tasks_per_child": 1}
    with ProcessPoolExecutor(1, get_context("spawn"), **process) as pool:
        runs = list(pool.map(_cells, [group.name] * group.processes))
    best = {place: min(run[place] for run in runs) for place in runs[0]}
    return Result(group, Table(tuple(column.name for column in group.columns), best, group.base))


def _cells(name: str) -> Cells:
    """Measure a group, in the process that was made for it."""
    cells: dict[tuple[str, str], float] = {}
    group = next(group for group in groups() if group.name == name)
    for column in group.columns:
        print(f"{name}: {column.name}", file=sys.stderr, flush=True)
        cells |= {(candidate, column.name): best for candidate, best in interleaved(column.candidates()).items()}
    return cells
