"""The benchmarks of the outbox, in an environment of their own with the systems that they compare."""

import subprocess
import sys

from tools import interpreters
from tools.environments import ROOT, Environment
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO


def main() -> None:
    """Run the benchmarks; what follows the command goes to them."""
    base = interpreters.find(COMMON_PYTHON)
    if base is None:
        sys.exit(f"Python {COMMON_PYTHON} is not found: install it, e.g. with pyenv")
    name = f"bench-outbox-py{COMMON_PYTHON}-django{NEWEST_DJANGO}"
    python = Environment(name, base, NEWEST_DJANGO, ("bench-outbox",)).prepare().python
    command = [python, "-m", "benchmarks.outbox", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
