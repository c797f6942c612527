"""The example shop under load, in an environment of its own with locust and waitress.

Locust brings gevent, Flask and a plugin of pytest, so no environment of the tests has it.
"""

import subprocess
import sys
from pathlib import Path

from tools import interpreters
from tools.environments import ROOT, Environment
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO


def interpreter() -> str:
    """The interpreter of the environment, of the common Python, or of this one where that is not installed."""
    base = interpreters.find(COMMON_PYTHON) or Path(sys.executable)
    return Environment(f"load-{base.name}", base, NEWEST_DJANGO, ("load",)).prepare().python


def main() -> None:
    """Run the load; what follows the command goes to it."""
    sys.exit(subprocess.run([interpreter(), "-m", "benchmarks.load", *sys.argv[1:]], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
