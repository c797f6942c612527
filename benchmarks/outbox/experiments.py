"""The measurements for one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.facts import Group, Result, Table


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table, and how its figures are found."""

    group: Group
    measure: Callable[[], Table]

    def result(self) -> Result:
        """Measure it."""
        return Result(self.group, self.measure())
