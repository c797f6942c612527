"""The worker beside the pages, which a visitor may kill and start."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from demo import commands
from demo.workers import LOG


class WorkerBeside:
    """A worker as a process of its own; it is offered to visitors while the demonstration serves its pages."""

    def __init__(self) -> None:
        self.is_offered = False
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def offered(self) -> Iterator[None]:
        """Run the worker, and let visitors kill and start it, until the block ends."""
        self.is_offered = True
        self.start()
        try:
            yield
        finally:
            self.is_offered = False
            self._end(subprocess.Popen.terminate)

    @property
    def is_running(self) -> bool:
        """Whether the worker was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the worker, if it does not run."""
        if self.is_running:
            return
        with LOG.open("ab") as log:
            self._process = subprocess.Popen(commands.worker(), stdout=subprocess.DEVNULL, stderr=log)

    def kill(self) -> None:
        """Kill the worker by SIGKILL, to which it cannot react."""
        self._end(subprocess.Popen.kill)

    def _end(self, end: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is not None and self.is_running:
            end(self._process)
            self._process.wait()


BESIDE = WorkerBeside()
