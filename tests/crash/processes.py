"""Processes of the project that the tests start, watch and kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.crash import places
from tests.crash.clocks import IS_WRONG, OFF_BY

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120  # seconds for what takes one or two where nobody else is busy

# What a process reads of its environment when it needs it; what else there is, it reads when it loads the project.
READ_LATE = {
    *("HELIOGRAPH_CRASH_BROKER", "HELIOGRAPH_CRASH_QUEUE", "HELIOGRAPH_CRASH_WORK"),
    "HELIOGRAPH_CRASH_SECONDS_CLAIMED",
}


def within(seconds, condition):
    """Ask until it is so, and return the answer; after so many seconds, return what was answered then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def until(condition, hope, seconds=PATIENCE):
    """Ask until it is so; after so many seconds, fail with what was hoped for."""
    found = within(seconds, condition)
    assert found, f"Not within {seconds} s: {hope() if callable(hope) else hope}"
    return found


def environment(variables):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
        "PYTHONPATH": os.pathsep.join(paths).rstrip(os.pathsep),
    }
    return {**os.environ, **settings, **variables}


class Nursery:
    """The process from which others are forked."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fork(self, arguments, variables, out):
        request = {"arguments": arguments, "variables": variables, "out": str(out)}
        self.process.stdin.write(f"{json.dumps(request)}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"The nursery has ended with {self.process.wait()}"
        return Forked(int(answer), out.with_suffix(".ended"))

    def end(self):
        self.process.communicate()


class Forked:
    """A process of the nursery, with as much of `subprocess.Popen` as is asked of it."""

    def __init__(self, pid, note):
        self.pid = pid
        self.note = note
        self.returncode = None

    def poll(self):
        if self.returncode is None and self.note.exists():
            self.returncode = int(self.note.read_text())
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


def started(nursery, arguments, variables, out):
    """Return a process, which is forked unless it has to load the project with settings of its own."""
    if variables.keys() <= READ_LATE | places.VARIABLES | {OFF_BY}:
        return nursery.fork(arguments, variables, out)
    with out.open("w") as file, out.with_suffix(".err").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.process", *arguments],
            cwd=ROOT,
            env=environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=errors,
        )


class Process:
    """One process of the project."""

    def __init__(self, nursery, folder, arguments, clock=0, die_at="", wait_at="", cut_at="", tell_at="", **variables):
        self.folder = folder
        self.arguments = arguments
        self.out = folder / f"{len([*folder.glob('*.out')])}.out"
        self.out.touch()
        where = {
            places.FOLDER: str(folder),
            places.DIE_AT: die_at,
            places.WAIT_AT: wait_at,
            places.CUT_AT: cut_at,
            places.TELL_AT: tell_at,
        }
        off = {OFF_BY: str(clock)} if clock else {}
        self.process = started(nursery, arguments, {**where, **off, **variables}, self.out)
        self.pid = self.process.pid
        self.opened = None
        if clock:
            until(lambda: IS_WRONG in self.said(), lambda: f"a wrong clock of {self}")

    def is_alive(self):
        return self.process.poll() is None

    def end(self, seconds=PATIENCE):
        """Wait for its end, and return its exit code; that of a process that was killed is negative."""
        until(lambda: not self.is_alive(), lambda: f"the end of {self}", seconds)
        if self.opened is not None:
            os.close(self.opened)
            self.opened = None
        return self.process.returncode

    def report(self, number):
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self):
        """Kill it, whatever it does, and wait until it is gone."""
        self.report(signal.SIGKILL)
        assert self.end() == -signal.SIGKILL, self

    def succeed(self, seconds=PATIENCE):
        """Wait for its end, which must be a good one."""
        assert self.end(seconds) == 0, self

    def die(self, seconds=PATIENCE):
        """Wait until it has killed itself."""
        assert self.end(seconds) == -signal.SIGKILL, self

    def pipe(self, ending):
        return self.folder / f"{self.pid}.{ending}"

    def reach(self):
        """Wait until it waits at the place where it is to wait."""
        until(lambda: self.pipe("reached").exists() or not self.is_alive(), lambda: f"a place reached by {self}")
        assert self.is_alive(), self

    def go_on(self):
        """Let it go on from there; the pipe stays open, since who was frozen in opening it begins anew."""
        self.opened = os.open(self.pipe("pipe"), os.O_RDWR)

    def said(self):
        """Return what it has said so far."""
        files = (self.out, self.out.with_suffix(".err"))
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def __str__(self):
        code = self.process.poll()
        return f"{' '.join(self.arguments)} [{self.pid}], exit code {code}:\n{self.said()[-4000:]}"
