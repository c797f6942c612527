"""How two tables of numbers differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """A number that differs from the expected one."""

    which: str
    what: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.which}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Check:
    """A kind of statistics, how much of it was compared, and what differs."""

    name: str
    scope: str
    differences: tuple[Difference, ...]

    @classmethod
    def of(cls, name: str, scope: str, expected: Table, found: Table) -> Self:
        """Compare the two tables."""
        return cls(name, scope, tuple(compare(expected, found)))


def compare(expected: Table, found: Table) -> Iterator[Difference]:
    """Yield every number of one table that the other one does not have in the same place."""
    for which in dict.fromkeys([*expected, *found]):
        yield from _compare_row(which, expected.get(which, {}), found.get(which, {}))


def _compare_row(which: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    for what in dict.fromkeys([*expected, *found]):
        if expected.get(what) != found.get(what):
            yield Difference(which, what, expected.get(what), found.get(what))
