"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import machine, peers, report, suite
from benchmarks.project import set_up


def main() -> None:
    """Measure, print, and fail if that was asked for."""
    set_up()
    started, every = perf_counter(), suite.groups()
    options = _options([group.name for group in every])
    results = [suite.measured(group) for group in every if not options.only or _is_named(group.name, options.only)]
    about = machine.description() | ({"Left out": ", ".join(peers.left_out())} if peers.left_out() else {})
    print(*report.text(results, about), sep="\n")
    print(f"{perf_counter() - started:.0f} s", file=sys.stderr)
    if options.markdown:
        command = " ".join(["python -m benchmarks", *(f"--only {name}" for name in options.only)])
        options.markdown.write_text("\n".join(report.markdown(results, about, command)) + "\n")
    sys.exit(options.check and any(verdict.fails for result in results for verdict in result.verdicts))


def _is_named(name: str, only: Sequence[str]) -> bool:
    """Return whether a group is one of these, or belongs to one: `kept_bulk` belongs to `kept`."""
    return any(f"{name}_".startswith(f"{one}_") for one in only)


def _options(names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Heliograph beside other dispatchers.")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=names,
        help="measure only this, and what belongs to it; repeatable",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of the documentation too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed by more than noise")
    return parser.parse_args()


if __name__ == "__main__":
    main()
