"""The tests with coverage, once on each database that answers."""

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.helpers.databases import KINDS
from tools import tally
from tools.absences import leave_out
from tools.coverage_data import BRANCHES, COVERAGE, LINES
from tools.environments import ROOT
from tools.processes import run
from tools.services import how_to_start, silent
from tools.tally import DURATIONS, NOTHING_SELECTED

# The tests of what differs most between versions of Python and Django.
SMOKE = (
    "tests/dispatch",
    "tests/test_package.py",
    *(
        f"tests/{folder}/test_{name}.py"
        for folder, names in {
            "adoption": (
                *("adoption", "catalogue", "claims", "internals", "more_claims", "processes", "releasing"),
                "subclasses_of_signal",
            ),
            "bulk": ("audience",),
            "changes": ("changes", "databases", "shapes", "undone_changes", "values"),
            "outbox": ("durable_sends", "durable_transactions", "worker"),
            "receivers": (
                *("changed", "changes_of_saves", "conditions", "fetch", "foreign_signals", "lazy_senders"),
                *("model_signals", "refused_conditions", "write_options"),
            ),
            "transactions": ("ends_of_transactions", "transactions"),
        }.items()
        for name in names
    ),
)

# The tests that run each branch of heliograph.dispatch, and that measure branches.
OF_DISPATCHER = ("tests/dispatch", "tests/receivers")

AT_ONCE = 4  # parts in CI, which has two processors


def selection(database: str, *, is_common_python: bool = True) -> list[str]:
    """Leave out what does not depend on the database or the Python, on all but one; and crash and browser tests."""
    left_out = {
        "kills": True,
        "browser": True,
        "database_independent": database != "sqlite",
        "python_independent": not is_common_python,
    }
    return marked(*(f"not {marker}" for marker, is_left_out in left_out.items() if is_left_out))


def marked(*markers: str) -> list[str]:
    """Return the options that select the tests with all these markers."""
    return ["-m", " and ".join(markers)]


@dataclass(frozen=True)
class Part:
    """One run of pytest with coverage, on one database."""

    name: str
    database: str
    with_branches: bool
    arguments: tuple[str, ...]

    @property
    def measuring(self) -> list[str]:
        """The options of `coverage run`."""
        return ["--branch", f"--data-file={BRANCHES}"] if self.with_branches else [f"--data-file={LINES}"]

    @property
    def variables(self) -> dict[str, str]:
        """The variables of the environment of `coverage run`; parts run side by side, each with databases of its own.

        `sys.monitoring` measures lines in a tenth of the time of the tests. Branches take more than half of that time,
        since a Python before 3.14 has no events for them.
        """
        is_fast = sys.version_info >= (3, 12) and not self.with_branches
        usual = {"HELIOGRAPH_TEST_DATABASE": self.database, "HELIOGRAPH_TEST_CELL": self.name.replace(" ", "_")}
        return usual | ({"COVERAGE_CORE": "sysmon"} if is_fast else {})


def parts(database: str, options: Sequence[str]) -> list[Part]:
    """Return the runs on one database, the longest first.

    On SQLite the tests that measure branches have a run of their own, and so do those that need no database.
    """
    arguments = (*selection(database), *options)
    if database != "sqlite":
        return [Part(f"tests on {database}", database, False, arguments)]
    if any(is_path_of_tests(option) for option in options):
        return [Part("tests on sqlite", database, True, arguments)]
    others = (*options, *(f"--ignore={folder}" for folder in OF_DISPATCHER))
    usual = "not kills", "not browser"
    return [
        Part("tests without a database", database, False, (*marked(*usual, "database_independent"), *others)),
        Part("other tests on sqlite", database, False, (*marked(*usual, "not database_independent"), *others)),
        Part("tests of the dispatcher on sqlite", database, True, (*arguments, *OF_DISPATCHER)),
    ]


def is_path_of_tests(option: str) -> bool:
    """Return whether an option of pytest names tests by their path, such as "tests/audit/test_rules.py::test_a"."""
    return not option.startswith("-") and Path(ROOT, option.partition("::")[0]).exists()


def has_passed(codes: Sequence[int]) -> bool:
    """Return whether the tests of all parts passed, from the codes of pytest: options may leave nothing of a part."""
    return 0 in codes and all(code in (0, NOTHING_SELECTED) for code in codes)


def run_part(part: Part, *, is_alone: bool) -> int:
    """Run one part, and return the code of pytest; beside others, the output comes at its end."""
    print(f"\n--- {part.name} ---", flush=True)
    pytest = [*_colour(), *DURATIONS, *part.arguments]
    command = [sys.executable, "-m", "coverage", "run", *part.measuring, "-m", "pytest", *pytest]
    finished = run(command, part.variables, show=is_alone)
    if not is_alone:
        print(f"\n--- {part.name}, done ---\n{finished.output}", flush=True)
    tally.record(tally.of_pytest(part.name, finished.output, finished.seconds))
    return finished.code


def _colour() -> list[str]:
    """Pytest writes to a pipe here, so it does not see the terminal behind it."""
    return ["--color=yes"] if sys.stdout.isatty() else []


def main() -> None:
    """Test on every database; what follows the command goes to pytest."""
    shutil.rmtree(COVERAGE, ignore_errors=True)
    missing = silent()
    leave_out([how_to_start(service) for service in missing])
    databases = [kind for kind in KINDS if kind not in {service.name for service in missing}]
    # Where nobody watches, side by side: the tests on a server wait for it, and those without a database for processes
    # that they start. The tests on the servers take longest.
    at_once = AT_ONCE if os.environ.get("CI") else 1
    todo = [part for database in reversed(databases) for part in parts(database, sys.argv[1:])]
    with ThreadPoolExecutor(at_once) as pool:
        codes = [*pool.map(partial(run_part, is_alone=at_once == 1), todo)]
    sys.exit(not has_passed(codes))


if __name__ == "__main__":
    main()
