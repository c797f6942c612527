"""The command line of the outbox's benchmarks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import report
from benchmarks.outbox import claims, concurrent, executing, machine, sending, starting
from benchmarks.outbox.experiments import Experiment

INTRODUCTION = """\
`make bench-outbox` measures what a durable delivery costs, from the send to its execution, beside other ways to have
work done after a commit. PostgreSQL and the brokers are on the same machine, as durable as they are by default. The
systems of a table are measured in one run and take turns, each in its own process with its own database, so that what
else the machine does hits all of them alike.

What carries over to another machine is the ratio, which comes first in each cell; the absolute figure is in
parentheses. The time on the clock is that of the disk, for the most part: each commit waits for it.
"""


def main() -> None:
    """Measure, print, and fail if that was asked for."""
    started, every = perf_counter(), experiments()
    options = _options([one.group.name for one in every])
    results = []
    for one in every:
        if not options.only or one.group.name in options.only:
            print(f"{one.group.name} ...", file=sys.stderr, flush=True)
            results.append(one.result())
    about = machine.description()
    print(*report.text(results, about), sep="\n")
    print(f"{perf_counter() - started:.0f} s", file=sys.stderr)
    if options.markdown:
        command = " ".join(["python -m benchmarks.outbox", *(f"--only {name}" for name in options.only)])
        _, *page = report.markdown(results, about, command)
        options.markdown.write_text("\n".join((INTRODUCTION, *page)) + "\n")
    sys.exit(options.check and any(verdict.fails for result in results for verdict in result.verdicts))


def experiments() -> list[Experiment]:
    """Return all experiments, in the order in which they are made."""
    return [one for module in (sending, concurrent, executing, starting, claims) for one in module.experiments()]


def _options(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outbox", description="Durable deliveries beside others."
    )
    parser.add_argument("--only", action="append", default=[], choices=names, help="measure only this; repeatable")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of the documentation too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed by more than noise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
