"""The results as text, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.facts import TOLERANCE, Group, Result, Table, Unit, Verdict

SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))

INTRODUCTION = """\
All candidates of a table are measured in one run, side by side in one process. They take turns: a round of less than
a millisecond for each (one write, where that takes longer), and again, up to hundreds of times, so that what else the
machine does hits all of them alike. The
garbage collector is off, every candidate is a function without arguments, and the best round counts. Tables with narrow
targets are measured in several processes, since where a process puts things in memory moves its figures a little.

What carries over to another machine is the ratio, which comes first in each cell; the absolute figure is in
parentheses. The other dispatchers do other things, as is said with each table; they are here as a measure, not to be
beaten. Django's own dispatcher is a second copy of its module, which the adoption does not reach.
"""


def text(results: Sequence[Result], about: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for a terminal."""
    yield from (f"{name:<20}{value}" for name, value in about.items())
    for result in results:
        yield from ("", f"== {result.group.name}: {result.group.title}", result.group.about.replace("`", ""), "")
        yield from aligned(_rows(result))
    yield from ("", "== targets, set for Python 3.12", "")
    yield from (f"{one.word:<7} {one.ratio:8.4f}  at most {one.limit:<5}  {name}" for name, one in _verdicts(results))
    yield _summary(results)


def markdown(results: Sequence[Result], about: Mapping[str, str], command: str) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from (INTRODUCTION, *piped([["", ""], *([name, value] for name, value in about.items())]))
    yield from (["", f"Measured by `{command}`."])
    for result in results:
        yield from ("", f"## {result.group.title}", "", f"{result.group.about} {_base(result.group)}", "")
        yield from piped(_rows(result))
    yield from ("", "## Targets", "", "Every target that we set ourselves for Python 3.12, also the missed ones.", "")
    yield from piped([["", "ratio", "at most", ""], *(_verdict_row(name, one) for name, one in _verdicts(results))])
    yield from ("", _summary(results))


def _base(group: Group) -> str:
    return f"Ratios are to *{group.base}*."


def _rows(result: Result) -> list[list[str]]:
    table = result.table
    return [["", *table.columns], *([name, *_cells(table, name, result.group.unit)] for name in table.candidates)]


def _cells(table: Table, candidate: str, unit: Unit) -> list[str]:
    return [_cell(table, candidate, column, unit) for column in table.columns]


def _cell(table: Table, candidate: str, column: str, unit: Unit) -> str:
    value = table.cells.get((candidate, column))
    return "" if value is None else f"{_digits(table.ratio(candidate, column))} ({quantity(value, unit)})"


def _digits(ratio: float) -> str:
    return f"{ratio:.4f}" if ratio < 0.095 else f"{ratio:.2f}"


def quantity(value: float, unit: Unit) -> str:
    """Return a figure with its unit, to three digits."""
    if unit != "seconds":
        return f"{value:.0f} {unit}"
    scale, name = next((one for one in SCALES if value >= one[0]), SCALES[-1])
    return f"{value / scale:.3g} {name}"


def _verdicts(results: Sequence[Result]) -> list[tuple[str, Verdict]]:
    return [(f"{result.group.title}: {verdict.what}", verdict) for result in results for verdict in result.verdicts]


def _verdict_row(name: str, verdict: Verdict) -> list[str]:
    return [name, _digits(verdict.ratio), str(verdict.limit), verdict.word]


def _summary(results: Sequence[Result]) -> str:
    verdicts = [verdict for _, verdict in _verdicts(results)]
    missed, failed = sum(one.missed for one in verdicts), sum(one.fails for one in verdicts)
    return f"{len(verdicts)} targets, {missed} missed, {failed} of them by more than {TOLERANCE - 1:.0%}."


def aligned(rows: list[list[str]]) -> Iterator[str]:
    """Yield the lines of a table for a terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *rest = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join((first, *rest)).rstrip()


def piped(rows: list[list[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    yield from (head, "|" + "---|" * len(rows[0]), *body)
