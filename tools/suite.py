"""The tests with coverage, once on each database that answers."""

import shutil
import sys
from collections.abc import Sequence

from tests.databases import KINDS
from tools import tally
from tools.absences import leave_out
from tools.environments import BUILD
from tools.processes import run
from tools.services import how_to_start, silent


def selection(database: str, *, is_common_python: bool = True) -> list[str]:
    """Leave out what does not depend on the database or on the Python, on all of them but one."""
    same = {"database_independent": database != "sqlite", "python_independent": not is_common_python}
    left_out = [f"not {marker}" for marker, is_left_out in same.items() if is_left_out]
    return ["-m", " and ".join(left_out)] if left_out else []


def test_on(database: str, options: Sequence[str]) -> bool:
    """Run pytest on one database, and say whether all tests passed."""
    print(f"\n--- tests on {database} ---", flush=True)
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *_colour(), *selection(database), *options]
    finished = run(command, {"HELIOGRAPH_TEST_DATABASE": database}, show=True)
    tally.record(tally.of_pytest(f"tests on {database}", finished.output, finished.seconds))
    return finished.code == 0


def _colour() -> list[str]:
    """Pytest writes to a pipe here, so it does not see the terminal behind it."""
    return ["--color=yes"] if sys.stdout.isatty() else []


def main() -> None:
    """Test on every database; what follows the command goes to pytest."""
    shutil.rmtree(BUILD / "coverage", ignore_errors=True)
    missing = silent()
    leave_out([how_to_start(service) for service in missing])
    databases = [kind for kind in KINDS if kind not in {service.name for service in missing}]
    passed = [test_on(database, sys.argv[1:]) for database in databases]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
