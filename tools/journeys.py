"""The length of five journeys through Heliograph: how many functions run, and how often the reader changes file.

A journey is what one line of a user's code sets off, in autocommit, the third time that it runs. It is counted by these
rules:

- A call counts if the file of the function is in the package, or if the dispatcher has written the function. Calls of
  Django, of receivers and of the methods that `@dataclass` writes do not count.
- A call that its caller repeats counts once, with all that it calls, since a loop is read once. The caller is the
  nearest function of the package, also where Django runs in between. The last column has every call.
- A generator counts when it starts, and not when it goes on. A comprehension is part of the function around it.
- A change of file is a call of a function in another file than its caller's; where no function of the package is its
  caller, in another file than the last function of this kind. The way back is not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tools.calls import Length, Step, length
from tools.journey_runs import JOURNEYS, set_up, walked


def walk(names: Collection[str]) -> dict[str, Step]:
    """Make these journeys, each in a process of its own: receivers of one would lengthen another."""
    with ProcessPoolExecutor(2, get_context("spawn"), set_up, max_tasks_per_child=1) as pool:
        return dict(zip(names, pool.map(walked, names), strict=True))


def too_long(found: Mapping[str, Length]) -> list[str]:
    """Return the names of the journeys that are over one of their limits."""
    return [
        name for name, one in found.items() if one.calls > JOURNEYS[name].calls or one.changes > JOURNEYS[name].changes
    ]


def table(found: Mapping[str, Length]) -> Iterator[str]:
    """Yield the lines of a table with each journey and its limits."""
    yield f"{'journey':<9}{'calls':>6}{'limit':>7}{'changes of file':>18}{'limit':>7}{'every call':>13}"
    for name, one in found.items():
        journey, mark = JOURNEYS[name], ", TOO LONG" if name in too_long(found) else ""
        figures = f"{one.calls:>6}{journey.calls:>7}{one.changes:>18}{journey.changes:>7}{one.repeated:>13}"
        yield f"{name:<9}{figures}  {journey.title}{mark}"


def trace(start: Step) -> Iterator[str]:
    """Yield a line for each call, indented below its caller; the mark > says that it changes file."""
    for depth, step in start.below():
        times = f"  x {step.times}" if step.times > 1 else ""
        yield f"{'>' if step.is_change else ' '} {'  ' * depth}{step.file}:{step.line} {step.name}{times}"


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: all journeys and no trace, unless it says otherwise."""
    parser = argparse.ArgumentParser(
        prog="journeys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trace", choices=JOURNEYS, metavar="JOURNEY", help="print every call of this journey")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a journey is over a limit")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the journeys, and print how long they are."""
    options = options_of(arguments)
    steps = walk([options.trace] if options.trace else [*JOURNEYS])
    if options.trace:
        print("\n".join(trace(steps[options.trace])), end="\n\n")
    found = {name: length(start) for name, start in steps.items()}
    print("\n".join(table(found)))
    sys.exit(options.check and bool(too_long(found)))


if __name__ == "__main__":
    main()
