"""The processor's time of processes, servers included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PARENT, _CHILDREN = 1, slice(13, 15)  # of what stands in /proc/*/stat behind the name


def of(process: int) -> float:
    """Return the seconds that all threads of a process have run; 0 for one that is gone."""
    try:
        return sum(_of_thread(thread) for thread in Path(f"/proc/{process}/task").iterdir())
    except OSError:
        return 0.0


def of_all(processes: Iterable[int]) -> float:
    """Return the seconds of several."""
    return sum(map(of, processes))


def of_family(process: int) -> float:
    """Return the seconds of a process and of those that it has started."""
    return of(process) + sum(map(of_family, _children(process)))


def of_dead_children(process: int) -> float:
    """Return the seconds that the children of a process had run when they ended."""
    return sum(int(ticks) for ticks in _stat(process)[_CHILDREN]) * _TICK


def parent(process: int) -> int:
    """Return the process that started one."""
    return int(_stat(process)[_PARENT])


def _of_thread(thread: Path) -> float:
    """Return its seconds to the nanosecond, where the kernel counts them: a tick is ten milliseconds."""
    return int((thread / "schedstat").read_text().split()[0]) / 1e9


def _children(process: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def _stat(process: int) -> list[str]:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
