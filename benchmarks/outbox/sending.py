"""A row, and what is sent for it, in one transaction."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from time import monotonic, sleep
from typing import Any

from benchmarks.facts import Group, Place, Table, beside_django
from benchmarks.outbox import costs
from benchmarks.outbox.costs import Cost
from benchmarks.outbox.experiments import Experiment
from benchmarks.outbox.project import Project, projects
from benchmarks.outbox.systems import SENDING, Heliograph, Plain, Procrastinate, System, present

ROUNDS, UNITS = 10, 120
BOTH, CLIENT, DATABASE, ALL, CLOCK = "client and database", "client", "database", "with the broker", "on the clock"
COLUMNS = {
    BOTH: lambda cost: cost.both,
    CLIENT: lambda cost: cost.client,
    DATABASE: lambda cost: cost.database,
    ALL: lambda cost: cost.all,
    CLOCK: lambda cost: cost.clock,
}
ABOUT = (
    " each with its own process, connection and database. The processor's time of the process that sends, and of the"
    " one that serves its connection in PostgreSQL; Celery's broker beside them. The median of {} rounds of {}"
    " transactions each, the systems in turns; after each round what was sent is counted, and forgotten."
)


def experiments() -> Iterator[Experiment]:
    """Yield the experiments of this file."""
    for name, receivers, limit in (("send_one", 1, 1.8), ("send_ten", 10, 2.2)):
        words = {1: "one durable send", 10: "ten durable sends"}[receivers]
        yield Experiment(
            Group(
                name,
                f"One row and {words}",
                f"`atomic()` with `create()` of a row, and {words}: of `post_save` to receivers with"
                " `delivery=Durable()`, or `defer()`, `enqueue()` and `delay_on_commit()` in the same block,"
                + ABOUT.format(ROUNDS, UNITS),
                (),
                tuple(_targets(limit, procrastinate=receivers == 1)),
                base=Plain.name,
            ),
            lambda receivers=receivers: _measured(receivers),
        )


def _targets(limit: float, *, procrastinate: bool) -> Iterator[Place]:
    yield beside_django(BOTH, limit, Heliograph.name)
    if procrastinate and present([Procrastinate]):
        yield Place(
            f"{Heliograph.name}, {BOTH}, beside procrastinate",
            1.0,
            lambda table: table.cells[Heliograph.name, BOTH] / table.cells[Procrastinate.name, BOTH],
        )


def _measured(receivers: int) -> Table:
    with projects(present(SENDING)) as every:
        rounds = [_round(every, receivers) for _ in range(ROUNDS + 1)][1:]
    typical = {name: costs.typical([one[name] for one in rounds]) for name in rounds[0]}
    cells = {(name, column): of(cost) for name, cost in typical.items() for column, of in COLUMNS.items()}
    return Table(tuple(COLUMNS), cells, Plain.name)


def _round(every: list[Project], receivers: int) -> dict[str, Cost]:
    return {project.system.name: project.call(cost_of_sending, receivers) for project in every}


# --- in the process of a system -----------------------------------------------------------------------------------


def cost_of_sending(system: System, receivers: int) -> Cost:
    """Return the costs of one transaction, from a round of many."""
    from benchmarks.outbox.shop.models import Order, Parcel

    model: Any = {1: Order, 10: Parcel}[receivers]
    notified = partial(system.notified, receivers=receivers)
    gc.collect()
    before = costs.of_this(system)
    for number in range(UNITS):
        write(model, number, notified)
    cost = (costs.of_this(system) - before) / UNITS
    _verify(system, 0 if isinstance(system, Plain) else UNITS * receivers)
    system.empty()
    return cost


def write(model: Any, number: int, notified: Any) -> None:
    """Write a row, and send what is sent for it, in one transaction."""
    from django.db import transaction

    with transaction.atomic():
        row = model.objects.create(
            number=f"T-{number}",
            customer="Ada Lovelace",
            total=Decimal("12.90"),
            is_paid=False,
            ordered_at=datetime(2026, 5, 6, 8, 15, 30, tzinfo=UTC),
        )
        notified(row.pk)


def _verify(system: System, expected: int) -> None:
    """Wait until a broker has all, since it is notified without an answer."""
    deadline = monotonic() + 10
    while (waiting := system.waiting()) != expected and monotonic() < deadline:
        sleep(0.05)
    assert waiting == expected, f"{system.name}: {waiting} wait, and {expected} were sent"
