"""The loop of the upkeep: each chore is done when it is due, on each database, and an error stops no other chore."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import product
from time import monotonic

from heliograph.outbox.upkeep.chores import Chore, all_chores
from heliograph.outbox.work.thread_connections import close_connections

logger = logging.getLogger("heliograph.outbox")


class Upkeep:
    """Does the chores that are due; remembers when each is due again, and its last error."""

    def __init__(self, chores: Sequence[Chore] | None = None) -> None:
        self._chores = all_chores() if chores is None else chores
        self._due: dict[tuple[str, str], float] = {}  # the time, by the names of a chore and a database
        self._errors: dict[tuple[str, str], str] = {}  # the last error, which is logged once

    def do_due(self, databases: Iterable[str]) -> None:
        """Do each chore that is due on these databases."""
        for chore, using in product(self._chores, databases):
            if monotonic() >= self._due.get((chore.name, using), 0.0):
                self._do(chore, using)
                self._due[chore.name, using] = monotonic() + chore.pause()

    def _do(self, chore: Chore, using: str) -> None:
        """Do a chore; an error is logged unless it is the one of the last time: a database may be away for long."""
        try:
            chore.do(using)
        except Exception as error:
            if self._errors.get((chore.name, using)) != str(error):
                text = "The deliveries cannot be looked after: %s %r failed (%s)"
                logger.error(text, chore.name, using, error, exc_info=error)
            self._errors[chore.name, using] = str(error)
            close_connections()  # the next chore has a new one
        else:
            self._errors.pop((chore.name, using), None)
