"""The command line of the load."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.load import chart, machine, tables
from benchmarks.load.measuring import Load, databases, measure
from benchmarks.load.variants import Result
from tools.environments import BUILD
from tools.services import DATABASES


def main() -> None:
    """Measure, print, and fail if an order failed or a number is wrong."""
    options = _options()
    load = Load(options.users, options.pause, options.seconds, options.database or _database(), options.data)
    load.folder.mkdir(parents=True, exist_ok=True)
    about = machine.description(load)
    print(f"Opening the shop on {load.database}", flush=True)
    with databases(load, keep=options.keep):
        results = measure(load, _show)
    print("", *tables.text(results, about), sep="\n")
    _write(options, results, about)
    sys.exit(not all(result.is_right for result in results))


def _show(state: Mapping[str, Any]) -> None:
    """Show the state of a measurement."""
    print("  {key:<10}{seconds:>5.1f} s {orders:>6} orders {rate:>7.1f} a second".format_map(state), flush=True)


def _write(options: argparse.Namespace, results: list[Result], about: Mapping[str, str]) -> None:
    """Write the files that were asked for."""
    if options.chart:
        facts = "; ".join(f"{name}: {value}" for name, value in about.items())
        options.chart.write_text(chart.svg(results, f"{facts}."), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text("\n".join(tables.markdown(results, about)) + "\n", encoding="utf-8")


def _database() -> str:
    """Return the database that answers: PostgreSQL where PGHOST says, or else SQLite."""
    return "postgresql" if any(one.name == "postgresql" and one.answers() for one in DATABASES) else "sqlite"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="The example shop under load.")
    parser.add_argument("--seconds", type=float, default=8, help="how long each of the three is measured (8)")
    parser.add_argument("--users", type=int, default=8, help="how many shoppers place orders at the same time (8)")
    parser.add_argument("--pause", type=float, default=0, help="seconds that a shopper pauses after an order (0)")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), help="PostgreSQL where it answers, or SQLite")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write a chart of the result, as SVG")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of the documentation")
    parser.add_argument("--data", type=Path, metavar="FOLDER", default=BUILD / "load", help="where files are kept")
    parser.add_argument("--keep", action="store_true", help="keep the databases, to look at them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
