"""Everything that CI proves, step by step, and where the time went."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tools import tally
from tools.environments import ROOT
from tools.tally import Tally

# The arguments of make for each step. The first one runs several targets at once.
STEPS = {
    "style, types, imports, documentation, demo": (
        *("-j2", "--output-sync=target"),
        *("lint", "types", "imports", "docs", "demo-check"),
    ),
    "tests with coverage": ("tests",),
    "matrix": ("matrix", "ARGS=--rest --quick"),
    "Django's own tests": ("test-django", "ARGS=--django 5.2 --django 6.0 --django 6.1"),
    "Django's own tests, models watched": ("test-django", "ARGS=--watched"),
    "Django's own tests, bulk writes heard": ("test-django", "ARGS=--heard"),
    "crash tests": ("test-crash",),
}
SLOWEST = 25


@dataclass(frozen=True)
class Done:
    """How a step ended."""

    name: str
    passed: bool
    seconds: float
    # The time of processors, which says more than the clock where others use the machine too.
    processors: float

    def __str__(self) -> str:
        taken = f"{self.seconds:>6.0f} s, {self.processors:>6.0f} s of processors"
        return f"{self.name:<44} {taken}{'' if self.passed else ', FAILED'}"


def perform(name: str, arguments: Sequence[str]) -> Done:
    """Run one step."""
    print(f"\n=== {name}: make {' '.join(arguments)}", flush=True)
    started, used = time.monotonic(), processor_time()
    finished = subprocess.run(["make", *arguments], cwd=ROOT, check=False)
    return Done(name, finished.returncode == 0, time.monotonic() - started, processor_time() - used)


def processor_time() -> float:
    """The seconds of processors that all child processes have used that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def perform_all() -> list[Done]:
    """Run the steps up to the first one that fails."""
    done: list[Done] = []
    for name, arguments in STEPS.items():
        done.append(perform(name, arguments))
        if not done[-1].passed:
            break
    return done


def slowest(tallies: Iterable[Tally]) -> list[str]:
    """A line for each of the slowest tests of all parts."""
    slow = [(seconds, f"{name}, {part.part}") for part in tallies for seconds, name in part.slow]
    return [f"{seconds:>8.1f} s  {name}" for seconds, name in sorted(slow, reverse=True)[:SLOWEST]]


def report(done: Sequence[Done], tallies: Sequence[Tally], seconds: float) -> str:
    """Where the time went, what each part came to, and the sum as the last line.

    A step that fails without a test, such as style, is one failure.
    """
    passed, failed = sum(part.passed for part in tallies), sum(part.failed for part in tallies)
    failed = failed or sum(not step.passed for step in done)
    return "\n".join(
        [
            *("", "--- where the time went ---", *map(str, done)),
            *("", "--- the slowest tests ---", *slowest(tallies)),
            *("", "--- what passed ---", *map(str, tallies)),
            f"{passed} passed, {failed} failed in {seconds / 60:.1f} min",
        ]
    )


def main() -> None:
    """Run everything."""
    started = time.monotonic()
    tally.forget()
    done = perform_all()
    print(report(done, tally.recorded(), time.monotonic() - started), flush=True)
    sys.exit(not all(step.passed for step in done))


if __name__ == "__main__":
    main()
