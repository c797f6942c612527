"""The tests that use the pages of the example shop and of the built documentation in a browser."""

import sys

from tools import tally
from tools.processes import run
from tools.tally import DURATIONS


def main() -> None:
    """Run them; what follows the command goes to pytest."""
    command = [sys.executable, "-m", "pytest", "-m", "browser", *DURATIONS, "tests/browser", *sys.argv[1:]]
    finished = run(command, {}, show=True)
    tally.record(tally.of_pytest("pages in a browser", finished.output, finished.seconds))
    sys.exit(finished.code)


if __name__ == "__main__":
    main()
