"""Everything that CI proves, step by step, and where the time went."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from tools import tally
from tools.environments import ROOT
from tools.tally import Tally


@dataclass(frozen=True)
class Step:
    """A part of the run, with the arguments of the `make` that performs it."""

    name: str
    arguments: tuple[str, ...]


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


Lane = tuple[Step, ...]

# The stages follow each other. The lanes of a stage run side by side, and the steps of a lane one after the other: the
# crash tests wait for most of their time, and leave the processors to Django's own tests and to the browser.
STAGES: tuple[tuple[Lane, ...], ...] = (
    (
        (
            Step(
                "style, types, imports, documentation, demo",
                ("-j2", "--output-sync=target", "lint", "types", "imports", "docs", "demo-check"),
            ),
            Step("tests with coverage", ("tests",)),
            Step("matrix", ("matrix", "ARGS=--rest --quick")),
        ),
    ),
    (
        (
            Step("Django's own tests", ("test-django", "ARGS=--django 5.2 --django 6.0 --django 6.1")),
            Step("Django's own tests, models watched", ("test-django", "ARGS=--watched")),
            Step("Django's own tests, bulk writes received", ("test-django", "ARGS=--bulk")),
        ),
        (Step("crash tests", ("test-crash",)),),
        (Step("pages in a browser", ("test-browser",)),),
    ),
)
SLOWEST = 25


def perform(step: Step, *, is_alone: bool = True) -> Done:
    """Run one step; where another one runs beside it, what it prints comes at its end."""
    print(f"\n=== {step.name}: make {' '.join(step.arguments)}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        printed = None if is_alone else output
        process = subprocess.Popen(["make", *step.arguments], cwd=ROOT, stdout=printed, stderr=printed)
        # The time of processors of this process, and of all that it has started.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        print(output.read().decode(errors="replace"), flush=True)
    return Done(step.name, status == 0, time.monotonic() - started, usage.ru_utime + usage.ru_stime)


def perform_lane(lane: Lane, *, is_alone: bool) -> list[Done]:
    """Run the steps of a lane up to the first one that fails."""
    done: list[Done] = []
    for step in lane:
        done.append(perform(step, is_alone=is_alone))
        if not done[-1].passed:
            break
    return done


def perform_all(stages: Sequence[Sequence[Lane]]) -> list[Done]:
    """Run the stages up to the first one in which a step fails."""
    done: list[Done] = []
    for lanes in stages:
        with ThreadPoolExecutor(len(lanes)) as pool:
            running = [pool.submit(perform_lane, lane, is_alone=len(lanes) == 1) for lane in lanes]
            done += chain.from_iterable(lane.result() for lane in running)
        if not all(step.passed for step in done):
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
    done = perform_all(STAGES)
    print(report(done, tally.recorded(), time.monotonic() - started), flush=True)
    sys.exit(not all(step.passed for step in done))


if __name__ == "__main__":
    main()
