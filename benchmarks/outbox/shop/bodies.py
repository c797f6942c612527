"""The work of deliveries, the same in every system."""

import os
import time
from collections.abc import Callable
from typing import Any

from django.db.models import F

from benchmarks.outbox.shop.models import Counter

NOTES = "HELIOGRAPH_BENCH_NOTES"  # the variable of the environment that names the file of note()
RECEIVERS = 10


def add_one(pk: int) -> None:
    """Update one row."""
    Counter.objects.filter(pk=pk).update(n=F("n") + 1)


def note(number: int) -> None:
    """Write down when this began."""
    began = time.time()
    file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{number} {began!r}\n".encode())
    os.close(file)


def ten(module: dict[str, Any]) -> list[Callable[..., None]]:
    """Return ten functions of a module, which nobody calls here: they are sent to, and then forgotten."""
    functions = [_named(f"receive_{number}", module["__name__"]) for number in range(RECEIVERS)]
    module.update({function.__name__: function for function in functions})
    return functions


def _named(name: str, module: str) -> Callable[..., None]:
    def receive(pk: int) -> None:
        """Do nothing."""

    receive.__name__ = receive.__qualname__ = name
    receive.__module__ = module
    return receive
