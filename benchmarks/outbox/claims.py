"""The costs of a claim beside a million finished deliveries, and in a table without them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.facts import Group, Place, Table
from benchmarks.outbox import costs
from benchmarks.outbox.costs import Cost
from benchmarks.outbox.experiments import Experiment
from benchmarks.outbox.project import projects
from benchmarks.outbox.systems import HeliographTwice, System

ROUNDS, WARMING, SIZE, FINISHED = 150, 20, 20, 1_000_000
EMPTY, FULL = "empty table", f"{FINISHED:,} finished"
ALIASES = {EMPTY: "default", FULL: "full"}
CPU, CLOCK = "processor's time", "on the clock"
LIMIT = 1.2


def experiments() -> Iterator[Experiment]:
    """Yield the experiments of this file."""
    yield Experiment(
        Group(
            "claims",
            "A claim beside a million finished deliveries",
            f"{SIZE} deliveries are due, and one statement claims them: in a table that has no others, and in one with"
            f" {FINISHED:,} that are finished, after `VACUUM ANALYZE`. The median of {ROUNDS} claims each, in turns."
            " The processor's time is that of the process and of its connection's; on the clock there is the commit.",
            (),
            tuple(
                Place(f"{figure}, beside the empty table", LIMIT, lambda table, one=figure: table.ratio(one, FULL))
                for figure in (CPU, CLOCK)
            ),
            base=EMPTY,
        ),
        _measured,
    )


def _measured() -> Table:
    with projects([HeliographTwice()]) as (project,):
        project.call(fill)
        claims: dict[str, list[Cost]] = project.call(costs_of_claims)
    cells = {}
    for column, found in claims.items():
        cells[CPU, column] = median(cost.both for cost in found)
        cells[CLOCK, column] = median(cost.clock for cost in found)
    return Table(tuple(ALIASES), cells, EMPTY)


# --- in the process of Heliograph -----------------------------------------------------------------------------------


def fill(system: System) -> None:
    """Write a million finished deliveries, which took a moment each, in the last week."""
    _execute(
        "full",
        f"INSERT INTO {system.table} (backend, queue, receiver, signal, sender, key, state, payload, attempts, due_at,"
        " created_at, claimed_at, finished_at, worker, error, traceback, history)"
        " SELECT 'default', 'default', %s, 'benchmarks.outbox.tasks.of_heliograph.add_one', '', '', 'SUCCESSFUL',"
        " format('{\"v\": 1, \"kwargs\": {\"pk\": %%s}}', number), 1, at, at, at, at, 'worker', '', '', ''"
        " FROM (SELECT number, now() - number * interval '0.6 seconds' AS at"
        f" FROM generate_series(1, {FINISHED}) AS number) AS given",
        [_receiver()],
    )
    assert system.finished("full") == FINISHED
    for alias in ALIASES.values():
        _execute(alias, f"VACUUM ANALYZE {system.table}")


def costs_of_claims(system: System) -> dict[str, list[Cost]]:
    """Return what claims cost in both tables, one of each in turns."""
    rounds = [{column: _claim(system, alias) for column, alias in ALIASES.items()} for _ in range(WARMING + ROUNDS)]
    return {column: [one[column] for one in rounds[WARMING:]] for column in ALIASES}


def _claim(system: System, alias: str) -> Cost:
    """Return what a claim costs of deliveries that are due, and put them where the others of their table are."""
    from heliograph.outbox.durable import registry
    from heliograph.outbox.work.claiming import claim

    _make_due(system, alias)
    receivers = registry.known().keys()
    before = costs.of_this(system, alias)
    claimed = claim(alias, "worker", receivers, size=SIZE)
    cost = costs.of_this(system, alias) - before
    assert len(claimed) == SIZE, f"{len(claimed)} of {SIZE} were claimed"
    if alias == ALIASES[EMPTY]:
        _execute(alias, f"DELETE FROM {system.table}")
    else:
        _execute(alias, f"UPDATE {system.table} SET state = 'SUCCESSFUL', finished_at = now() WHERE state = 'RUNNING'")
    return cost


def _make_due(system: System, alias: str) -> None:
    from django.db import transaction

    with transaction.atomic(using=alias):
        _execute(
            alias,
            f"INSERT INTO {system.table} (backend, queue, receiver, signal, sender, key, state, payload, attempts,"
            " due_at, created_at, worker, error, traceback, history) SELECT 'default', 'default', %s,"
            " 'benchmarks.outbox.tasks.of_heliograph.add_one', '', '', 'READY',"
            " format('{\"v\": 1, \"kwargs\": {\"pk\": %%s}}', number), 0, now(), now(), '', '', '', ''"
            f" FROM generate_series(1, {SIZE}) AS number",
            [_receiver()],
        )


def _receiver() -> str:
    return "benchmarks.outbox.tasks.of_heliograph.count"


def _execute(alias: str, statement: str, parameters: list[str] | None = None) -> None:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
