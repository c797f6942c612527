"""The example shop as a process of its own, and what its commands say."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOP = EXAMPLES / "shop"


def manage(folder, *arguments, shop=SHOP, timeout=220, **variables):
    """Run a command of the shop, whose data are in the folder; 220 s are less than the 240 s of a test."""
    # From the shop's folder, where `manage.py test` looks for tests.
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=shop,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def environment(folder):
    """Return the environment of the shop: without settings of the tests, and without what makes a process slow."""
    # Coverage is slow, and so is to compile all of Heliograph in each process.
    left_out = ("DJANGO_SETTINGS_MODULE", "COVERAGE_PROCESS", "PYTHONDONTWRITEBYTECODE", "SHOP_")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return outer | {"SHOP_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}


@contextmanager
def serving(folder, *options):
    """The demonstration on a port that is free: its process, and the address that it printed."""
    command = [sys.executable, str(SHOP / "manage.py"), "demo", "--port", "18000", *options]
    # A session of its own, with the worker that it has started: whatever happens, nothing of it is left.
    options = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env=environment(folder), **options) as process:
        try:
            found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stdout)
            yield process, next(match[0] for match in found if match)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def first_purchases(count, folder):
    """Write the first purchases of the real file into the folder, and return the path."""
    path = folder / "some.txt"
    lines = (EXAMPLES / "data" / "cdnow_sample.txt").read_text(encoding="ascii").splitlines()
    path.write_text("\n".join(lines[:count]), encoding="ascii")
    return path


def promises(output):
    """Return the table of promises: their rows and differences, by their texts."""
    names = "analytics|blog|bookstore|comments|courses|onboarding|payments"
    rows = re.findall(rf"^(?:{names}) +(.*\S) +([\d,]+) +(\d+)$", output, re.MULTILINE)
    return {text: (int(count.replace(",", "")), int(differences)) for text, count, differences in rows}
