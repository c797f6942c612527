"""The names by which a module imports signals, classes and functions of a project."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from operator import attrgetter
from types import ModuleType
from typing import Any, NamedTuple

from heliograph.catalogue import CATALOGUE
from heliograph.flow.tree_text import name_of


class Importable(NamedTuple):
    """An object that `from module import name` gives, or an attribute of it: `Order.notify` is imported as `Order`."""

    module: str
    path: str  # the name, with attributes behind it


def importable(found: Any) -> Importable | None:
    """Return how a class or a function is imported; None for something that has no name in its module."""
    module, path = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str):
        return None
    return Importable(module, path) if _is_there(sys.modules.get(module), path, found) else None


def importable_signal(signal: Any) -> Importable | None:
    """Return how a signal is imported; None for a signal that no module has."""
    for name, entry in CATALOGUE.items():
        if entry.loaded() is signal:
            return Importable("heliograph.signals", name)
    own, _, path = name_of(signal).rpartition(".")
    if _is_there(sys.modules.get(own), path, signal):
        return Importable(own, path)
    return min(_homes(signal), key=_distance_from_signals, default=None)


def _is_there(module: ModuleType | None, path: str, found: Any) -> bool:
    """Return whether a module has something under this path; a method is another object each time, and equal."""
    try:
        return bool(attrgetter(path)(module) == found)
    except AttributeError:
        return False


def _distance_from_signals(found: Importable) -> tuple[bool, int, str]:
    """Sort the modules that have a signal: one whose name ends with signals has most likely made it."""
    return not found.module.endswith("signals"), len(found.module), found.module


def _homes(signal: Any) -> Iterator[Importable]:
    """Yield where modules have a signal."""
    modules: dict[str, Any] = {**sys.modules}  # which may have objects in place of modules
    for name, module in modules.items():
        for attribute, value in {**getattr(module, "__dict__", {})}.items():
            if value is signal:
                yield Importable(name, attribute)
