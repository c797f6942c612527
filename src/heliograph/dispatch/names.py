"""The names of signals, and the signals there are."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.dispatch.signal import Signal

# A set of weak references must not change while it is listed. Re-entrant, for signals that finalizers make.
_registering = threading.RLock()
_signals: weakref.WeakSet[Signal[...]] = weakref.WeakSet()


def register(signal: Signal[...]) -> None:
    """Note that a signal exists."""
    with _registering:
        _signals.add(signal)


def live_signals() -> list[Signal[...]]:
    """Return all signals that this dispatcher runs, by name."""
    with _registering:
        signals = list(_signals)
    return sorted(signals, key=lambda signal: signal.name)


def found_name(signal: object) -> str | None:
    """Return module and name of the variable that a signal is bound to, or None.

    A signal is imported into many modules. The one that wrote it down is not known; a module called `signals`
    is the likeliest, then the shortest path.
    """
    return min(_bindings(signal), key=_unlikeliness, default=None)


def _bindings(signal: object) -> Iterator[str]:
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is signal and module_name != "__main__":
                yield f"{module_name}.{name}"


def _unlikeliness(path: str) -> tuple[bool, bool, int, str]:
    module = path.rpartition(".")[0]
    return module.startswith("heliograph."), module.rpartition(".")[2] != "signals", len(path), path


def resolved(name: str) -> Any:
    """Return what a dotted name refers to in the modules that are imported, or None."""
    path = name.split(".")
    for length in range(len(path) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(path[:length]))
        if found is not None:
            for attribute in path[length:]:
                found = getattr(found, attribute, None)
            return found
    return None
