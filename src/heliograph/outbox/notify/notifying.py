"""Backends are notified of new deliveries after the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from django.db import connections

from heliograph.databases.general import Database
from heliograph.dispatch import Call
from heliograph.outbox.counting import counted
from heliograph.outbox.delivery_rows import DeliveryRow
from heliograph.outbox.notify.lookup import backend_of
from heliograph.transactions.pending import Ending, Pending, Stage, keep_first

logger = logging.getLogger("heliograph.outbox")


@dataclass(frozen=True)
class _Afterwards(Ending):
    """The policy of notifications: they are sent after the commit."""

    stage: ClassVar[Stage] = Stage.AFTER_COMMIT

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        for one in due:
            one.call.make()


def notify_after_commit(using: str, rows: Sequence[DeliveryRow], ids: Iterable[int], database: Database) -> None:
    """Let backends be notified of these rows after the commit, before the other callbacks, which may be slow."""
    to_notify = {alias for alias in {row.backend for row in rows} if backend_of(alias).is_notified(database)}
    if not to_notify:
        return
    found: dict[tuple[str, str], list[int]] = {}
    for row, number in zip(rows, ids, strict=True):
        if row.backend in to_notify:
            found.setdefault((row.backend, row.queue), []).append(number)
    for (alias, queue), numbers in found.items():
        call = Call(partial(notify, alias, using, queue, numbers), {})
        keep_first(connections[using], Pending(_Afterwards(), call, using))


def notify(alias: str, using: str, queue: str, ids: Sequence[int]) -> bool:
    """Notify a backend of deliveries; return whether that was possible."""
    return could_notify(lambda: backend_of(alias).notify(using, ids, queue), alias, queue, ids)


def could_notify(function: Callable[[], object], alias: str, queue: str, ids: Sequence[int]) -> bool:
    """Call a function that notifies a backend, and log its error: the sweep of the upkeep notifies again."""
    try:
        function()
    except Exception as error:
        logger.warning(
            "The backend %r could not be notified of %s of the queue %r (%s); it is notified again later",
            *(alias, counted(len(ids)), queue, error),
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,  # a broker may be away for long
        )
        return False
    return True
