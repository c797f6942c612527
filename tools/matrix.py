"""The tests on every supported pair of Python and Django, and with every Django on every database."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from tests.helpers.databases import KINDS
from tools import interpreters, tally
from tools.absences import leave_out
from tools.environments import Environment, wheel
from tools.processes import Finished, run
from tools.services import BROKERS, how_to_start, silent
from tools.suite import SMOKE, selection
from tools.tally import DURATIONS
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO, PYTHONS, REQUIRED_PYTHONS, SUPPORTED

# In a quick run, SQLite has each Django and each Python once, besides the newest Django on the common Python.
QUICK = {"5.2": "3.11", "6.0": "3.12", "6.1": "3.13"}


@dataclass(frozen=True)
class Pair:
    """A Python and a Django that supports it."""

    python: str
    django: str

    def __str__(self) -> str:
        return f"Python {self.python}, Django {self.django}"

    def environment(self, base: Path) -> Environment:
        """Where the tests of this pair run."""
        return Environment(f"py{self.python}-django{self.django}", base, self.django, ("test",))


@dataclass(frozen=True)
class Cell:
    """One run of the tests."""

    pair: Pair
    database: str

    def __str__(self) -> str:
        return f"{self.pair}, {self.database}"

    @property
    def name(self) -> str:
        """A name for the databases and files of the cell, because cells run side by side."""
        return f"py{self.pair.python}_dj{self.pair.django}_{self.database}".replace(".", "")

    @property
    def variables(self) -> dict[str, str]:
        """The variables that tell the tests their database; the wheel is tested, and no other copy of Heliograph."""
        return {"HELIOGRAPH_TEST_DATABASE": self.database, "HELIOGRAPH_TEST_CELL": self.name, "PYTHONPATH": ""}

    @property
    def is_newest(self) -> bool:
        """Whether it has the newest Django, on the Python that runs what needs only one."""
        return self.pair == Pair(COMMON_PYTHON, NEWEST_DJANGO)


@dataclass(frozen=True)
class Result:
    """How a cell ended."""

    cell: Cell
    finished: Finished

    @property
    def passed(self) -> bool:
        """Whether all tests of the cell passed."""
        return self.finished.code == 0

    @property
    def tally(self) -> tally.Tally:
        """The cell's counts; a cell that fails before its first test has one failure."""
        counted = tally.of_pytest(str(self.cell), self.finished.output, self.finished.seconds)
        return counted if self.passed or counted.failed else replace(counted, failed=1)


def pairs(pythons: Iterable[str], djangos: Iterable[str]) -> list[Pair]:
    """The supported pairs among these versions."""
    pythons = list(pythons)
    return [Pair(python, django) for django in djangos for python in SUPPORTED[django] if python in pythons]


def cells(chosen: Sequence[Pair], databases: Sequence[str]) -> list[Cell]:
    """Every pair on SQLite, and every Django on the servers, which come first, since they take longest.

    What a server does depends on its driver and on Django. `make tests` has them on the Python that it runs on, too.
    """
    common = [pair for pair in chosen if pair.python == COMMON_PYTHON] or chosen
    pairs_on = {database: chosen if database == "sqlite" else common for database in reversed(databases)}
    return [Cell(pair, database) for database, its_pairs in pairs_on.items() for pair in its_pairs]


def is_left_out(cell: Cell, *, rest: bool, quick: bool) -> bool:
    """Whether a run is without a cell: since `make tests` runs it, or since a quick one has others like it."""
    is_like_others = cell.database == "sqlite" and QUICK[cell.pair.django] != cell.pair.python and not cell.is_newest
    return (rest and is_run_by_tests(cell, own_pair())) or (quick and is_like_others)


def is_run_by_tests(cell: Cell, own: Pair) -> bool:
    """Whether `make tests`, which runs on this pair, runs a cell too: what servers do depends on Django alone."""
    return cell.pair == own or (cell.database != "sqlite" and cell.pair.django == own.django)


def own_pair() -> Pair:
    """The Python and the Django of this interpreter."""
    return Pair(
        f"{sys.version_info.major}.{sys.version_info.minor}", ".".join(metadata.version("django").split(".")[:2])
    )


def how_to_install(python: str) -> str:
    """Say which Python is missing, with the command that brings it."""
    return f"Python {python} is not found: install it, e.g. `pyenv install {python}`"


def found_pythons(versions: Iterable[str]) -> dict[str, Path]:
    """The interpreters of these versions that run here; a required one that does not is named."""
    found = {version: path for version in versions if (path := interpreters.find(version))}
    missing = [version for version in versions if version not in found]
    leave_out([how_to_install(version) for version in missing if version in REQUIRED_PYTHONS])
    for version in missing:
        if version not in REQUIRED_PYTHONS:
            print(f"not here: Python {version}, which is tested where it is installed")
    return found


def found_databases(wanted: Sequence[str]) -> list[str]:
    """The databases that answer; one that does not is named."""
    missing = [service for service in silent() if service.name in wanted or service in BROKERS]
    leave_out([how_to_start(service) for service in missing])
    return [kind for kind in wanted if kind not in {service.name for service in missing}]


def prepare(chosen: Iterable[Pair], bases: Mapping[str, Path]) -> dict[Pair, Environment]:
    """Make the environments of the pairs side by side, since each waits for its downloads and its files."""
    started = time.monotonic()
    wheel()  # which all have
    with ThreadPoolExecutor() as pool:
        making = {pair: pool.submit(pair.environment(bases[pair.python]).prepare) for pair in chosen}
    print(f"{len(making)} environments ready in {time.monotonic() - started:.0f} s", flush=True)
    return {pair: made.result() for pair, made in making.items()}


def arguments_of(cell: Cell, *, quick: bool) -> list[str]:
    """Return which tests pytest runs in a cell; a quick run has all of them only for the newest Django."""
    selected = selection(cell.database, is_common_python=cell.pair.python == COMMON_PYTHON)
    return [*selected, *(SMOKE if quick and not cell.is_newest else ())]


def run_cell(cell: Cell, environment: Environment, arguments: Sequence[str]) -> Result:
    """Run pytest in the environment of the cell."""
    cache = f"cache_dir=.build/cells/{cell.name}"
    command = [environment.python, "-m", "pytest", "-q", "-o", cache, *DURATIONS, *arguments]
    return Result(cell, run(command, cell.variables))


def run_cells(todo: Mapping[Cell, Sequence[str]], environments: Mapping[Pair, Environment]) -> Iterator[Result]:
    """Run cells side by side, each with its arguments, and yield each as it ends.

    There is one more than there are processors, since a cell waits now and then: for its server, a lock or a process.
    """
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        running = [pool.submit(run_cell, cell, environments[cell.pair], its_own) for cell, its_own in todo.items()]
        for future in as_completed(running):
            yield future.result()


def show(result: Result) -> None:
    """Record a cell, and print one line for it, and everything that it printed if it failed."""
    tally.record(result.tally)
    print(f"{'passed' if result.passed else 'FAILED'}  {result.tally}", flush=True)
    if not result.passed:
        print(result.finished.output, flush=True)


def table(results: Sequence[Result], databases: Sequence[str]) -> str:
    """The outcome of every pair, a column for each database."""
    words = {(result.cell.pair, result.cell.database): _word(result) for result in results}
    chosen = sorted({pair for pair, _ in words}, key=lambda pair: (pair.django, pair.python))
    cells = ([words.get((pair, database), "-") for database in databases] for pair in chosen)
    rows = [["", *databases], *([str(pair), *row] for pair, row in zip(chosen, cells, strict=True))]
    return "\n".join(f"{first:<28}" + "".join(f"{word:<16}" for word in rest) for first, *rest in rows)


def _word(result: Result) -> str:
    counted = result.tally
    return f"{counted.passed} passed" if result.passed else f"{counted.failed} FAILED"


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: everything, unless some versions or databases are named."""
    parser = argparse.ArgumentParser(prog="matrix", description=__doc__)
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--django", action="append", choices=SUPPORTED)
    parser.add_argument("--database", action="append", choices=KINDS)
    parser.add_argument("--rest", action="store_true", help="without what `make tests` runs")
    parser.add_argument("--quick", action="store_true", help="only the newest Django whole; of the others a part")
    parser.add_argument("pytest", nargs="*", help="after --: what goes to pytest")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the matrix."""
    started = time.monotonic()
    options = options_of()
    bases = found_pythons(options.python or PYTHONS)
    databases = found_databases(options.database or KINDS)
    chosen = pairs(bases, options.django or SUPPORTED)
    wanted = [
        cell for cell in cells(chosen, databases) if not is_left_out(cell, rest=options.rest, quick=options.quick)
    ]
    environments = prepare({cell.pair for cell in wanted}, bases)
    # The longest first: a cell that is alone at the end leaves processors idle.
    wanted.sort(key=lambda cell: not cell.is_newest)
    todo = {cell: [*arguments_of(cell, quick=options.quick), *options.pytest] for cell in wanted}
    results = []
    for result in run_cells(todo, environments):
        show(result)
        results.append(result)
    print(f"\n{table(results, databases)}\n")
    finish(results, time.monotonic() - started)


def finish(results: Sequence[Result], seconds: float) -> None:
    """Close with the sum of all cells, and fail if one failed."""
    tallies = [result.tally for result in results]
    passed, failed = sum(one.passed for one in tallies), sum(one.failed for one in tallies)
    print(tally.Tally(f"matrix, {len(results)} cells", passed, failed, seconds))
    sys.exit(not results or not all(result.passed for result in results))


if __name__ == "__main__":
    main()
