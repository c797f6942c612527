"""The end of a transaction in a story: what is called before the commit, after it, and in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from heliograph.dispatch.identity import object_identity
from heliograph.flow.stories.chapters import Chapter
from heliograph.flow.stories.expected_receivers import Expected, may_call
from heliograph.outbox.durable.durable_options import DurableOptions
from heliograph.transactions.pending import Stage

# The stages for which a save in autocommit becomes a transaction with its receivers.
_JOINED = (Stage.BEFORE_WRITE, Stage.AFTER_WRITE, Stage.BEFORE_COMMIT, Stage.LAST, Stage.STORED)


def opens_transaction(receivers: Iterable[Expected]) -> bool:
    """Return whether a save in autocommit becomes a transaction because of these receivers."""
    return any(one.stage in _JOINED for one in receivers if one.is_asked)


def at_stage(receivers: Iterable[Expected], *stages: Stage | None) -> tuple[Expected, ...]:
    """Return the receivers that are called at these stages; None is inside the send."""
    return tuple(one for one in receivers if one.stage in stages)


def commit_chapters(kept: Sequence[Expected], *, where: str = "") -> Iterator[Chapter]:
    """Yield the chapters before the commit, and of the commit, for calls in the order in which they were kept."""
    early = at_stage(kept, Stage.BEFORE_COMMIT)
    single, batches = [one for one in early if not one.is_batch], [one for one in early if one.is_batch]
    last = at_stage(kept, Stage.LAST)
    stored = [one for one in at_stage(kept, Stage.STORED) if not _is_durable(one)]
    called = (*single, *_once(batches), *_once(last), *_once(stored))
    yield Chapter("before_commit", "before the commit", called, where if called else "")
    yield Chapter("commit", "COMMIT", (), _storing(kept))


def after_chapters(kept: Sequence[Expected]) -> Iterator[Chapter]:
    """Yield the chapter after the commit."""
    yield Chapter("after_commit", "after the commit", called_after(kept))


def called_after(kept: Sequence[Expected]) -> tuple[Expected, ...]:
    """Return the receivers that are called after the commit: async ones after the others."""
    return tuple(sorted(_once(at_stage(kept, Stage.AFTER_COMMIT)), key=attrgetter("is_async")))


def worker_chapter(kept: Sequence[Expected]) -> Iterator[Chapter]:
    """Yield the chapter of the calls that workers make."""
    yield Chapter("worker", "in a worker", tuple(_once([one for one in kept if _is_durable(one)])))


def _is_durable(one: Expected) -> bool:
    return isinstance(one.policy, DurableOptions)


def _storing(kept: Sequence[Expected]) -> str:
    return "with the deliveries of the calls in a worker" if any(map(_is_durable, may_call(kept))) else ""


def _once(receivers: Iterable[Expected]) -> list[Expected]:
    """Return receivers, each batch once: all sends of a transaction about one table become one call."""
    found: dict[object, Expected] = {}
    for one in receivers:
        key = (object_identity(one.receiver), one.sender._meta.db_table) if one.is_batch else id(one)
        found.setdefault(key, one)
    return [*found.values()]
