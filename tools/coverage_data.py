"""The data of coverage: the branches that the tests of the dispatcher ran, and the lines that all others ran."""

from collections.abc import Iterable

import coverage
from coverage import CoverageData

from tools.environments import BUILD, ROOT

COVERAGE = BUILD / "coverage"
BRANCHES = COVERAGE / "branches"
LINES = COVERAGE / "lines"
ALL = COVERAGE / "all"


def combined(path: object) -> coverage.Coverage:
    """Return what all processes of the tests have measured into files that begin with a path."""
    measured = _at(path)
    measured.combine()
    return measured


def all_lines(parts: Iterable[coverage.Coverage]) -> coverage.Coverage:
    """Return the lines that ran in any of these parts."""
    lines = CoverageData(basename=str(ALL))
    for part in parts:
        data = part.get_data()
        lines.add_lines({file: data.lines(file) or () for file in data.measured_files()})
    lines.write()
    measured = _at(ALL)
    measured.load()
    return measured


def _at(path: object) -> coverage.Coverage:
    return coverage.Coverage(data_file=str(path), config_file=str(ROOT / "pyproject.toml"))
