"""The list of chores, which our own workers and threads beside external workers do again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from heliograph.outbox.conf import settings_of
from heliograph.outbox.manage.operations import prune
from heliograph.outbox.manage.performing import perform_waiting
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.upkeep.sweeping import shortest_pause, sweep


@dataclass(frozen=True)
class Chore:
    """Something that is done on a database from time to time."""

    name: str
    do: Callable[[str], object]  # is called with the alias of a database
    pause: Callable[[], float]  # returns the seconds from the end of one time to the next


# The chores of other packages, which these add when Django is ready: the outbox knows none of them.
_ADDED: list[Chore] = []


def add_chore(chore: Chore) -> None:
    """Let workers do a chore of another package too, in place of an earlier one with the same name."""
    _ADDED[:] = [*(one for one in _ADDED if one.name != chore.name), chore]


def all_chores() -> tuple[Chore, ...]:
    """Return the chores of the outbox and of other packages."""
    return (*CHORES, *_ADDED)


CHORES = (
    Chore("rescue", rescue, lambda: min(settings_of("default").lease.total_seconds() / 3, 5.0)),
    Chore("sweep", sweep, lambda: shortest_pause(10.0)),
    Chore("perform operations", partial(perform_waiting, seconds=1.0), lambda: 1.0),
    Chore("prune", prune, lambda: 60.0),
)
