"""Names of signals, and the list of all signals."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.connections import IdentityRef

# By identity: a signal of another package may compare equal to others, or have no hash.
_signals: dict[int, IdentityRef] = {}


def register(signal: AnySignal) -> None:
    """Add a signal to the list of all signals."""
    _signals[id(signal)] = IdentityRef(signal, partial(_signals.pop, id(signal)))


def live_signals() -> list[AnySignal]:
    """Return all signals that this dispatcher has met and that somebody holds, sorted by their names.

    A signal of Django's class that was made before adoption is met when it is first used.
    """
    signals = [signal for reference in _signals.copy().values() if (signal := reference()) is not None]
    return sorted(signals, key=lambda signal: str(signal.name))


def is_signal(thing: object) -> bool:
    """Return whether something is a signal that this dispatcher runs."""
    return hasattr(type(thing), "_connector")


def found_name(signal: object) -> str | None:
    """Return module and name of the variable that a signal is bound to, or None.

    A signal is imported into many modules. The one that wrote it down is not known; a module called `signals`
    is the likeliest, then the shortest path.
    """
    return min(_bindings(signal), key=_unlikeliness, default=None)


def _bindings(signal: object) -> Iterator[str]:
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is signal and module_name not in ("__main__", "__mp_main__"):
                yield f"{module_name}.{name}"


def _unlikeliness(path: str) -> tuple[bool, bool, int, str]:
    module = path.rpartition(".")[0]
    return module.startswith("heliograph."), module.rpartition(".")[2] != "signals", len(path), path


def resolved(name: str) -> Any:
    """Return what a dotted name refers to, importing its module if need be, or None."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return None
