"""Reports and selections as text for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import Count, QuerySet

from heliograph.outbox.counting import counted
from heliograph.outbox.manage.reporting import Line, Report
from heliograph.outbox.manage.selecting import Selection
from heliograph.outbox.models import Delivery, Operation, State

_COLUMNS = ("queue", "receiver", "ready", "running", "failing", "dead", "waiting", "working")
_NUMBERS = ("ready", "running", "failing", "dead", "unknown", "unreadable")


def table(report: Report) -> Iterator[str]:
    """Yield the lines of a report, a line for each receiver in a queue."""
    if not report.lines:
        yield f"Nothing waits, runs or is dead on {report.using!r}."
        return
    rows = [_COLUMNS, *map(_row, report.lines)]
    remarks = ["", *map(_remark, report.lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, remark in zip(rows, remarks, strict=True):
        yield "  ".join(_aligned(row, widths)) + remark


def line_of(one: Operation) -> str:
    """Return how far an operation is."""
    return f"Operation {one.pk}, {one}: {one.status}, {one.total - one.done:,} left (by {one.by})"


def _remark(line: Line) -> str:
    if not line.is_known:
        return "  not connected here"
    return f"  {line.unreadable:,} cannot be read by this release" if line.unreadable else ""


def _row(line: Line) -> tuple[str, ...]:
    numbers = (line.ready, line.running, line.failing, line.dead)
    times = (duration(line.oldest), duration(line.oldest_running))
    return line.queue, line.receiver, *(f"{number:,}" for number in numbers), *times


def _aligned(row: Iterable[str], widths: Iterable[int]) -> Iterator[str]:
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if at < 2 else cell.rjust(width)


def duration(seconds: float | None) -> str:
    """Return a time as one reads it at a glance."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def as_json(report: Report, operations: Iterable[Operation], problems: Sequence[str]) -> str:
    """Return a report and the operations under way as JSON; times are in seconds."""
    facts = {
        "database": report.using,
        "problems": problems,
        "total": {**{name: report.total(name) for name in _NUMBERS}, **_times(report)},
        "receivers": [*map(_facts, report.lines)],
        "operations": [*map(_facts_of_operation, operations)],
    }
    return json.dumps(facts, indent=2)


def _facts(line: Line) -> dict[str, Any]:
    numbers = {name: getattr(line, name) for name in _NUMBERS}
    names = {"queue": line.queue, "receiver": line.receiver, "is_known": line.is_known}
    return {**names, **numbers, **_times(line)}


def _facts_of_operation(one: Operation) -> dict[str, Any]:
    names = ("verb", "by", "reason", "status", "total", "done", "changed")
    return {"id": one.pk, **{name: getattr(one, name) for name in names}}


def _times(of: Report | Line) -> dict[str, Any]:
    return {"oldest_waiting": of.oldest, "oldest_running": of.oldest_running}


def numbers(ids: Sequence[int]) -> str:
    """Return the first ids, and how many more there are."""
    more = len(ids) - _NUMBERS_SHOWN
    return ", ".join(map(str, ids[:_NUMBERS_SHOWN])) + (f" and {more:,} more" if more > 0 else "")


_NUMBERS_SHOWN = 10


def staying(ids: Sequence[int], state: State, *, is_possible: bool) -> str:
    """Return the sentence about deliveries that stay as they are, because of their state."""
    advice = f" --state {state.value} takes {'it' if len(ids) == 1 else 'them'} too." if is_possible else ""
    if len(ids) == 1:
        return f"Delivery {ids[0]} is {state.label} and stays as it is.{advice}"
    return f"{counted(len(ids)).capitalize()} are {state.label} and stay as they are: {numbers(ids)}.{advice}"


def groups_of(selection: Selection) -> Iterator[str]:
    """Yield a line for each receiver in a queue, state and error of a selection."""
    for group, count in selection.groups:
        error = f": {group.error}" if group.error else ""
        yield f"  {count:,} {group.state.lower()} of {group.receiver} in the queue {group.queue!r}{error}"
    if selection.others:
        yield f"  {selection.others:,} with other receivers or errors"


def plan(verb: str, chosen: Iterable[QuerySet[Delivery]]) -> Iterator[str]:
    """Yield what would be done to deliveries, a line for each receiver in a queue and state."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for deliveries in chosen:
        for *names, count in _counted(deliveries):
            counts[(*names,)] += count
    yield f"Would {verb} {counted(counts.total())}{':' if counts else '.'}"
    for (state, queue, receiver), count in sorted(counts.items()):
        yield f"  {count:,} {state.lower()} of {receiver} in the queue {queue!r}"


def _counted(deliveries: QuerySet[Delivery]) -> QuerySet[Any, Any]:
    grouped = deliveries.order_by().values_list("state", "queue", "receiver")
    return grouped.annotate(count=Count("pk"))
