"""The tests with coverage, once on each database that answers."""

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.helpers.databases import KINDS
from tools import tally
from tools.absences import leave_out
from tools.coverage_data import BRANCHES, COVERAGE, LINES
from tools.processes import run
from tools.services import how_to_start, silent
from tools.tally import DURATIONS

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


def selection(database: str, *, is_common_python: bool = True) -> list[str]:
    """Leave out what does not depend on the database or on the Python, on all of them but one; and the crash tests."""
    left_out = {
        "kills": True,
        "database_independent": database != "sqlite",
        "python_independent": not is_common_python,
    }
    return ["-m", " and ".join(f"not {marker}" for marker, is_left_out in left_out.items() if is_left_out)]


def test_on(database: str, options: Sequence[str], *, is_alone: bool) -> bool:
    """Run pytest on one database, and say whether all tests passed; beside others, the output comes at its end."""
    print(f"\n--- tests on {database} ---", flush=True)
    pytest = [*_colour(), *DURATIONS, *selection(database), *options]
    measuring, variables = measured(database)
    command = [sys.executable, "-m", "coverage", "run", *measuring, "-m", "pytest", *pytest]
    finished = run(command, {"HELIOGRAPH_TEST_DATABASE": database, **variables}, show=is_alone)
    if not is_alone:
        print(f"\n--- tests on {database}, done ---\n{finished.output}", flush=True)
    tally.record(tally.of_pytest(f"tests on {database}", finished.output, finished.seconds))
    return finished.code == 0


def measured(database: str) -> tuple[list[str], dict[str, str]]:
    """Return the options and the variables of `coverage run`: branches are measured on SQLite, lines on the others.

    Lines are measured by `sys.monitoring`, which takes a tenth of the time of the tests. Branches take as long as the
    tests themselves, since a Python before 3.14 has no events for them.
    """
    if database == "sqlite":
        return ["--branch", f"--data-file={BRANCHES}"], {}
    variables = {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}
    return [f"--data-file={LINES}"], variables


def _colour() -> list[str]:
    """Pytest writes to a pipe here, so it does not see the terminal behind it."""
    return ["--color=yes"] if sys.stdout.isatty() else []


def main() -> None:
    """Test on every database; what follows the command goes to pytest."""
    shutil.rmtree(COVERAGE, ignore_errors=True)
    missing = silent()
    leave_out([how_to_start(service) for service in missing])
    databases = [kind for kind in KINDS if kind not in {service.name for service in missing}]
    # Where nobody watches, all at once: the tests on a server wait for its disk for a good part of their time.
    at_once = len(databases) if os.environ.get("CI") else 1
    with ThreadPoolExecutor(at_once) as pool:
        passed = [*pool.map(partial(test_on, options=sys.argv[1:], is_alone=at_once == 1), databases)]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
