"""The nursery: a process that has loaded the project once, from which others are forked that start in no time."""

import json
import os
import select
import signal
import sys
from importlib import import_module
from pathlib import Path

GLANCE = 0.01  # seconds
# What processes load when they begin to work, and what takes them long.
SLOW = ["celery.bin.celery", "celery.worker.worker", "celery.concurrency.solo", "heliograph.outbox.tasks"]


def main():
    """Fork a process for each line, and answer with its number; kill those that are left when there are no more."""
    _load()
    alive = {}
    while (request := _request(alive)) is not None:
        pid = os.fork()
        if not pid:
            _become(**request)
            return
        alive[pid] = Path(request["out"]).with_suffix(".ended")
        print(pid, flush=True)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _load():
    import django

    django.setup()
    for name in ["tests.crash.scripts", *SLOW]:
        import_module(name)


def _request(alive):
    """Return what comes next, None at the end; note the ends of processes meanwhile."""
    while not select.select([sys.stdin], [], [], GLANCE)[0]:
        _note_ends(alive)
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _note_ends(alive):
    for pid in [*alive]:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            note = alive.pop(pid)
            half = note.with_suffix(".half")  # a note is there as a whole, or not at all
            half.write_text(str(os.waitstatus_to_exitcode(status)))
            half.rename(note)


def _become(arguments, variables, out):
    """Be the process that was asked for."""
    os.environ.update(variables)
    for path, mode, number in ((os.devnull, "r", 0), (out, "w", 1), (Path(out).with_suffix(".err"), "w", 2)):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    import_module("tests.crash.scripts").run(*arguments)


if __name__ == "__main__":
    main()
