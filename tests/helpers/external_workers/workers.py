"""The processes of the project: workers, and what sends to them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.helpers.external_workers.brokers import MAIL, QUEUE
from tests.helpers.external_workers.settings import WORKERS

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120  # seconds for what takes one or two where nobody else is busy

# Celery's own chatter between workers.
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
_DJANGO = ("tests.helpers.external_workers.process",)


def until(condition, hope=""):
    """Ask until it is so, and return the answer; after some time, fail with what was hoped for."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"Not within {PATIENCE} s: {hope() if callable(hope) else hope}"
        time.sleep(0.02)
    return found


SETTINGS = "tests.helpers.external_workers.settings"


class Process:
    """A process of the project, with what it says in a file."""

    def __init__(self, folder, workers, *arguments, **streams):
        self.arguments = arguments
        self.log = folder / f"{len([*folder.iterdir()])}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.helpers.external_workers.settings",
                    WORKERS: workers,
                },
                **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT, **streams},
            )

    def says(self, text):
        assert self.process.poll() is None, self
        return text in self.log.read_text()

    def succeed(self):
        """Wait for its end, and return what it has said."""
        assert self.process.wait(PATIENCE) == 0, self
        return self.log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """End it as a machine that shuts down does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def __str__(self):
        return f"{' '.join(self.arguments)}, exit code {self.process.returncode}:\n{self.log.read_text()[-6000:]}"


class Server(Process):
    """A process of the project that sends and looks after the table when a line of its input says so."""

    def __init__(self, folder, workers):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": None, "text": True}
        super().__init__(folder, workers, *_DJANGO, "serve", **pipes)

    def do(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def send(self, *words):
        assert self.do("send", *words) == "None"

    def end(self):
        self.process.communicate(timeout=PATIENCE)


class OfCelery:
    """A worker of Celery with two processes, on its two queues of a broker."""

    def __init__(self, folder, broker):
        self.name = broker
        app = ("-A", f"tests.helpers.external_workers.celeries:{broker}")
        name = ("--hostname", f"{uuid.uuid4().hex}@%h")  # other workers on this machine are asked nothing
        rest = ("--loglevel", "INFO", "--queues", f"{QUEUE},{MAIL}", "--concurrency", "2")
        self.worker = Process(folder, broker, "celery", *app, "worker", *rest, *name, *_QUIET)
        until(lambda: self.worker.says(" ready."), lambda: str(self.worker))

    def kill_maker_of(self, row):
        os.kill(int(row.worker.split(":")[1]), signal.SIGKILL)

    def look_after(self):
        """Do nothing: the worker itself looks after the table."""

    def stop(self):
        assert self.worker.stop() == 0, self.worker


class OfTasks:
    """A worker of the database backend of Django's tasks, and a process that sends, and looks after the table."""

    name = "tasks"

    def __init__(self, folder):
        self._folder = folder
        Process(folder, self.name, *_DJANGO, "migrate", "--verbosity", "0", "django_tasks_database").succeed()
        self.server = Server(folder, self.name)
        self._start()

    def _start(self):
        options = ("--interval", "0.05", "--no-startup-delay", "--queue-name", "*")
        self.worker = Process(self._folder, self.name, *_DJANGO, "db_worker", *options)

    def kill_maker_of(self, row):
        self.worker.kill()
        self._start()

    def look_after(self):
        self.server.do("look_after")

    def stop(self):
        self.server.end()
        assert self.worker.stop() == 0, self.worker
