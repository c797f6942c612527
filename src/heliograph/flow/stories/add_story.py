"""The story of an addition to a many-to-many field, such as `order.labels.add(label)`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models.signals import m2m_changed

from heliograph.bulk import signals
from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.stories.bulk_receivers import asked_by, of_insert
from heliograph.flow.stories.chapters import Chapter, chapters
from heliograph.flow.stories.expected_receivers import Expected
from heliograph.flow.stories.story import Story
from heliograph.flow.stories.transaction_end import after_chapters, at_stage, commit_chapters, worker_chapter
from heliograph.transactions.pending import Stage


def story_of_add(asked: AskedWrite, remarks: tuple[str, ...]) -> Story:
    """Return the story of an addition, one many-to-many field after the other: it is a transaction.

    Raises ValueError for a model without such a field.
    """
    fields = asked.model._meta.many_to_many
    if not fields:
        raise ValueError(f"{asked.model._meta.label} has no many-to-many field to which something could be added.")
    received = [one for one in fields if _kept(one, asked.using)]
    found = chapters(*(_chapters(one, asked) for one in received or fields[:1]))
    undone = [kept for one in received for kept in at_stage(_kept(one, asked.using), Stage.AFTER_ROLLBACK)]
    silent = [f"{one.name}.add()" for one in fields if one not in received]
    lines = (f"{', '.join(silent)}: no receiver is called.",) if silent else ()
    return Story(asked, found, found, tuple(undone), (*lines, *remarks))


def _chapters(one: Any, asked: AskedWrite) -> Iterator[Chapter]:
    using, through = asked.using, one.remote_field.through
    before, after = of_insert(through, using)
    yield Chapter("m2m_changed pre_add", f"m2m_changed of {one.name}, pre_add", _inside(_action(one, using, "pre_add")))
    if before:
        yield Chapter("before_row", "before the rows", at_stage(before, None, Stage.BEFORE_WRITE))
    yield Chapter("row", f"INSERT {through._meta.db_table}", at_stage(after, None, Stage.AFTER_WRITE))
    added = _inside(_action(one, using, "post_add"))
    yield Chapter("m2m_changed post_add", f"m2m_changed of {one.name}, post_add", added)
    changes = asked_by(signals.m2m_changes, through, using, raw=False)
    yield Chapter("m2m_changes", f"m2m_changes of {one.name}", at_stage(changes, None, Stage.AFTER_WRITE))
    kept = _kept(one, using)
    yield from commit_chapters(kept, where="in the transaction of add(), or when the outer one ends")
    yield from after_chapters(kept)
    yield from worker_chapter(kept)


def _inside(receivers: list[Expected]) -> tuple[Expected, ...]:
    return at_stage(receivers, None, Stage.AFTER_WRITE)


def _action(one: Any, using: str, action: str) -> list[Expected]:
    """Return the receivers of m2m_changed for an action."""
    payload = {"action": action, "reverse": False, "model": one.related_model, "raw": False}
    return asked_by(m2m_changed, one.remote_field.through, using, **payload)


def _kept(one: Any, using: str) -> list[Expected]:
    """Return all receivers, in the order in which their calls are kept for the end of the transaction."""
    through = one.remote_field.through
    before, after = of_insert(through, using)
    changes = asked_by(signals.m2m_changes, through, using, raw=False)
    return [*_action(one, using, "pre_add"), *before, *after, *_action(one, using, "post_add"), *changes]
