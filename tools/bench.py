"""The benchmarks, on one Python and one Django so that runs compare."""

import subprocess
import sys

from tools import interpreters
from tools.environments import ROOT, Environment
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO


def interpreter() -> str:
    """The interpreter of the benchmark environment, or this one where its Python is not installed."""
    base = interpreters.find(COMMON_PYTHON)
    if base is None:
        print(f"Python {COMMON_PYTHON} is not found: measuring on Python {sys.version.split()[0]}", flush=True)
        return sys.executable
    name = f"bench-py{COMMON_PYTHON}-django{NEWEST_DJANGO}"
    return Environment(name, base, NEWEST_DJANGO, ("bench", "bench-bulk", "test")).prepare().python


def main() -> None:
    """Run the benchmarks; what follows the command goes to them."""
    sys.exit(subprocess.run([interpreter(), "-m", "benchmarks", *sys.argv[1:]], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
