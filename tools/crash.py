"""The crash tests: on each database that answers, processes are killed, and what is left is counted."""

import re
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.crash.programs import OF_SERVERS, missing
from tests.helpers.brokers import URLS
from tests.helpers.databases import KINDS
from tools import tally
from tools.absences import leave_out
from tools.processes import Finished, run
from tools.services import DATABASES, how_to_start, of_url, silent
from tools.tally import DURATIONS, NOTHING_SELECTED

# They need the settings of the other tests.
KILLS = ("tests/transactions/test_killed.py", "tests/test_demo_kills.py")
# Those that the tests share with others; Redis, and databases that are to stop, they start themselves.
SHARED = (*DATABASES, of_url("rabbitmq", URLS["rabbitmq"]))


@dataclass(frozen=True)
class Count:
    """The counts of one scenario in a database, or of many."""

    sent: int = 0
    done: int = 0
    lost: int = 0
    twice: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.sent + other.sent, self.done + other.done, self.lost + other.lost, self.twice + other.twice)

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.done} done, {self.lost} lost, {self.twice} twice"

    @property
    def is_good(self) -> bool:
        """Whether everything was done, and once."""
        return self.sent == self.done > 0 and not self.lost and not self.twice


@dataclass(frozen=True)
class Result:
    """How the tests ended on one database."""

    database: str
    finished: Finished
    counts: tuple[Count, ...]

    @property
    def total(self) -> Count:
        """All scenarios together."""
        return sum(self.counts, Count())

    @property
    def is_good(self) -> bool:
        """Whether all tests have passed, and nothing was lost or done twice."""
        return self.finished.code == 0 and self.total.is_good

    def __str__(self) -> str:
        said = "" if self.finished.code == 0 else ", and tests failed"
        scenarios = f"{len(self.counts)} scenarios in {self.finished.seconds:.0f} s"
        return f"{self.database:<12} {scenarios:<24} {self.total}{said}"


def counts(output: str) -> tuple[Count, ...]:
    """The counts of each scenario, from the lines that have them."""
    found = re.findall(r"^.+: (\d+) sent, (\d+) done, (-?\d+) lost, (\d+) twice$", output, re.MULTILINE)
    return tuple(Count(*map(int, numbers)) for numbers in found)


def crash_on(database: str, options: Sequence[str]) -> Result:
    """Run the crash tests on one database, and print what they say when they have ended."""
    parts = [
        pytest_on(database, f"crash tests on {database}", ["--ds=tests.crash.settings", "tests/crash", *options]),
        pytest_on(database, f"killed saves and the shop on {database}", ["-m", "kills", *KILLS, *options]),
    ]
    code = next((part.code for part in parts if part.code not in (0, NOTHING_SELECTED)), 0)
    output = "".join(part.output for part in parts)
    return Result(database, Finished(code, output, sum(part.seconds for part in parts)), counts(output))


def pytest_on(database: str, name: str, arguments: Sequence[str]) -> Finished:
    """Run pytest once on one database, record what it comes to, and print what it says."""
    finished = run([sys.executable, "-m", "pytest", *DURATIONS, *arguments], {"HELIOGRAPH_TEST_DATABASE": database})
    print(f"\n--- {name} ---\n{finished.output}", flush=True)
    tally.record(tally.of_pytest(name, finished.output, finished.seconds))
    return finished


def absences() -> list[str]:
    """The programs that are not here, of servers that the tests start themselves."""
    names = [name for names in OF_SERVERS.values() for name in missing(names)]
    return [f"the program {name} is not here: install it" for name in names]


def report(results: Iterable[Result]) -> str:
    """A line for each database, and the sum as the last one."""
    results = list(results)
    return "\n".join(["", *map(str, results), str(sum((result.total for result in results), Count()))])


def main() -> None:
    """Crash on all databases at once, since most of the time is waiting; what follows the command goes to pytest."""
    unanswered = silent(SHARED)
    leave_out([*map(how_to_start, unanswered), *absences()])
    databases = [kind for kind in KINDS if kind not in {service.name for service in unanswered}]
    print(f"crash tests on {', '.join(databases)}, all at once", flush=True)
    with ThreadPoolExecutor(len(databases)) as pool:
        results = [*pool.map(partial(crash_on, options=sys.argv[1:]), databases)]
    print(report(results))
    sys.exit(not all(result.is_good for result in results))


if __name__ == "__main__":
    main()
