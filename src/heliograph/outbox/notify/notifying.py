"""Telling: backends are told of deliveries after the commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from django.db import connections

from heliograph.dispatch import Call
from heliograph.outbox.counting import counted
from heliograph.outbox.notify.lookup import backend_of
from heliograph.outbox.rows import DeliveryRow
from heliograph.transactions.pending import Ending, Pending, Stage, keep_first

logger = logging.getLogger("heliograph.outbox")


@dataclass(frozen=True)
class _Afterwards(Ending):
    """The policy of what is told after the commit."""

    stage: ClassVar[Stage] = Stage.AFTER_COMMIT

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        for one in due:
            one.call.make()


def tell_after_commit(using: str, rows: Sequence[DeliveryRow], ids: Iterable[int]) -> None:
    """Let the backends of these rows be told of them, before what else waits for the commit, which may be slow."""
    to_tell = {alias for alias in {row.backend for row in rows} if backend_of(alias).is_notified(using)}
    if not to_tell:
        return
    told: dict[tuple[str, str], list[int]] = {}
    for row, number in zip(rows, ids, strict=True):
        if row.backend in to_tell:
            told.setdefault((row.backend, row.queue), []).append(number)
    for (alias, queue), numbers in told.items():
        call = Call(partial(tell, alias, using, queue, numbers), {})
        keep_first(connections[using], Pending(_Afterwards(), call, using))


def tell(alias: str, using: str, queue: str, ids: Sequence[int]) -> bool:
    """Tell a backend of deliveries; return whether it could be told."""
    return could_tell(lambda: backend_of(alias).tell(using, ids, queue), alias, queue, ids)


def could_tell(function: Callable[[], object], alias: str, queue: str, ids: Sequence[int]) -> bool:
    """Call what tells a backend; what that raises is logged, since the rows are there and are told again."""
    try:
        function()
    except Exception as error:
        logger.warning(
            "The backend %r could not be told of %s of the queue %r (%s); it is told again later",
            *(alias, counted(len(ids)), queue, error),
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,  # a broker may be away for long
        )
        return False
    return True
