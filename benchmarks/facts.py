"""The candidates of a benchmark, its measurements and its targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

BARE = "bare loop"
DJANGO = "django.dispatch, cached"
DJANGO_UNCACHED = "django.dispatch, uncached"
HELIOGRAPH = "Heliograph"
DECLARED = "Heliograph, declared payload"
FLOOR = "without the two sends"

# How far a ratio may be above its limit before --check fails: what a busy machine adds to a minimum.
TOLERANCE = 1.10

Unit = Literal["seconds", "bytes", "queries", "a second"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several that do the same thing."""

    name: str
    run: Callable[[int], float]  # does it so many times, and returns what one time took
    rounds: int = 300
    loops: int = 0  # how many times a round does it; 0 is as many as fill a round
    keeps: object = None  # what must stay alive while it is measured


@dataclass(frozen=True, slots=True)
class Column:
    """One situation, in which the candidates are measured side by side."""

    name: str
    candidates: Callable[[], Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Table:
    """The results of one group: the best round of each candidate in each column."""

    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], float]
    base: str  # the candidate, or else the column, that has ratio 1

    @property
    def candidates(self) -> list[str]:
        """The candidates, in the order in which they were measured."""
        return list(dict.fromkeys(candidate for candidate, _ in self.cells))

    def ratio(self, candidate: str, column: str) -> float:
        """Return how many times as much as the base it took."""
        base = self.cells.get((self.base, column)) or self.cells[candidate, self.base]
        return self.cells[candidate, column] / base


@dataclass(frozen=True, slots=True)
class Place:
    """A target: the number under which a ratio of a table is to stay."""

    what: str
    limit: float
    ratio: Callable[[Table], float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and the ratio that was measured."""

    what: str
    limit: float
    ratio: float

    @property
    def missed(self) -> bool:
        """Whether the ratio is above its limit."""
        return self.ratio > self.limit

    @property
    def fails(self) -> bool:
        """Whether it is further above it than noise explains."""
        return self.ratio > self.limit * TOLERANCE

    @property
    def word(self) -> str:
        """The verdict in a word."""
        return "MISSED" if self.missed else "ok"


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that make one table, and what they are to show."""

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    targets: tuple[Place, ...] = ()
    base: str = DJANGO
    unit: Unit = "seconds"
    processes: int = 1  # how many measure it, one after the other
    apps: tuple[str, ...] = ()  # further apps of the project in which it is measured


@dataclass(frozen=True, slots=True)
class Result:
    """A group, what it measured, and how its targets fared."""

    group: Group
    table: Table

    @property
    def verdicts(self) -> list[Verdict]:
        """One for each target."""
        return [Verdict(target.what, target.limit, target.ratio(self.table)) for target in self.group.targets]


def beside_django(column: str, limit: float, candidate: str = HELIOGRAPH) -> Place:
    """Return a target for the ratio that the table shows."""
    return Place(f"{candidate}, {column}", limit, lambda table: table.ratio(candidate, column))


def beside(base: str, column: str, limit: float, candidate: str = HELIOGRAPH) -> Place:
    """Return a target for a candidate, as a multiple of another one in the same column."""
    return Place(
        f"{candidate}, {column}, beside {base}",
        limit,
        lambda table: table.cells[candidate, column] / table.cells[base, column],
    )


def beside_column(column: str, base: str, limit: float, candidate: str = HELIOGRAPH) -> Place:
    """Return a target for a candidate in one column, as a multiple of itself in another."""
    return Place(
        f"{candidate}: {column}, beside {base}",
        limit,
        lambda table: table.cells[candidate, column] / table.cells[candidate, base],
    )


def within(column: str, amount: float, words: str, above: str = "") -> Place:
    """Return a target for a figure as a share of an amount, or for what it is above that of a candidate."""
    return Place(
        f"{HELIOGRAPH}, {column}{above and f', above {above}'}: share of {words}",
        1.0,
        lambda table: (table.cells[HELIOGRAPH, column] - (table.cells[above, column] if above else 0)) / amount,
    )


def above_floor(column: str, limit: float) -> Place:
    """Return a target for what the sends of a model cost, without what a model costs by itself."""
    return Place(f"{column}: cost of the two sends", limit, lambda table: _above_floor(table, column))


def _above_floor(table: Table, column: str) -> float:
    django, floor, heliograph = (table.cells[name, column] for name in (DJANGO, FLOOR, HELIOGRAPH))
    return (heliograph - floor) / (django - floor)
