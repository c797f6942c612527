"""The project of one system, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

from benchmarks.made_databases import drop, make
from benchmarks.outbox import systems
from benchmarks.outbox.systems import System


class Project:
    """A process in which Django runs with one system, and what is called there."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_set_up, initargs=(system.key,))

    def call(self, function: Any, *arguments: Any) -> Any:
        """Call a function of a module there, with the system before the arguments, and return what it returns."""
        return self._pool.submit(_call, function, self.system.key, arguments).result()

    def close(self) -> None:
        """Remove its databases and its queue."""
        self.call(_remove)
        self._pool.shutdown()


@contextmanager
def projects(found: list[System]) -> Iterator[list[Project]]:
    """Set up a project for each system, and take it away."""
    with ExitStack() as stack:
        every = []
        for system in found:
            every.append(Project(system))
            stack.callback(every[-1].close)
        yield every


_system: list[System] = []


def _set_up(key: str) -> None:
    os.environ.update(systems.variables(key))
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    _system.append(systems.named(key))
    for alias in connections:
        drop(connections[alias])
        make(connections[alias])
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)


def _call(function: Any, key: str, arguments: tuple[Any, ...]) -> Any:
    return function(_system[0], *arguments)


def _remove(system: System) -> None:
    from django.db import connections

    for alias in connections:
        drop(connections[alias])
    if system.broker is not None:
        system.broker.remove(system.key)
