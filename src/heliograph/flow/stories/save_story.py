"""The story of a save: a creation, an update, or either of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models.signals import post_init, post_save, pre_init, pre_save

from heliograph.bulk import signals
from heliograph.bulk.m2m_sides import sides_of
from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.stories.bulk_receivers import asked_by
from heliograph.flow.stories.chapters import Chapter, chapters
from heliograph.flow.stories.expected_receivers import Expected, Verdict, expected, may_set
from heliograph.flow.stories.foreseen import NOTHING, Known, Names
from heliograph.flow.stories.story import Story
from heliograph.flow.stories.transaction_end import (
    after_chapters,
    at_stage,
    called_after,
    commit_chapters,
    opens_transaction,
    worker_chapter,
)
from heliograph.transactions.pending import Stage

# Whether the row is new, by operation; a save may be either.
_CREATED = {"create": (True,), "update": (False,), "save": (True, False)}
_STATEMENTS = {"create": "INSERT", "update": "UPDATE", "save": "INSERT or UPDATE"}


@dataclass(frozen=True)
class _Save:
    """The receivers of a save."""

    asked: AskedWrite
    loading: Sequence[Expected]  # of pre_init and post_init
    before: Sequence[Expected]  # of pre_save
    related: Sequence[Expected]  # of m2m_changes, for a row of a many-to-many relation
    after: Sequence[Expected]  # of post_save


def story_of_save(asked: AskedWrite, remarks: tuple[str, ...]) -> Story:
    """Return the story of a save."""
    if asked.model._meta.auto_created:
        row = Chapter("row", _row(asked), (), "Django sends no signal for the rows of a relation that are saved")
        return Story(asked, (row,), (row,), (), remarks)
    save = _save(asked)
    undone = at_stage((*save.before, *save.related, *save.after), Stage.AFTER_ROLLBACK)
    return Story(asked, chapters(_in_autocommit(save)), chapters(_in_atomic(save)), undone, remarks)


def _save(asked: AskedWrite) -> _Save:
    loading = loading_receivers(asked)
    alone = expected(pre_save, _known(asked, pre_save, NOTHING))
    names = may_set((*loading, *(alone if len(alone) > 1 else ())))
    before = expected(pre_save, _known(asked, pre_save, names))
    after = expected(post_save, _known(asked, post_save, may_set((*loading, *before))))
    return _Save(asked, loading, before, [*_related(asked)], after)


def _related(asked: AskedWrite) -> Iterator[Expected]:
    """Yield the receivers of m2m_changes for a row of a relation, which is sent if the pair of the row changes."""
    if not sides_of(asked.model):
        return
    for one in asked_by(signals.m2m_changes, asked.model, asked.using, raw=False):
        is_sure = asked.operation == "create" or one.verdict is Verdict.NOT_CALLED
        yield one if is_sure else replace(one, verdict=Verdict.PERHAPS, reason="if the row has another pair of keys")


def loading_receivers(asked: AskedWrite) -> list[Expected]:
    """Return the receivers of `pre_init` and `post_init`, which an instance sends when it is made or loaded."""
    payload = {"sender": asked.model, "using": asked.using}
    return [one for signal in (pre_init, post_init) for one in expected(signal, [Known({**payload, "signal": signal})])]


def loading_chapter(receivers: Sequence[Expected]) -> Iterator[Chapter]:
    """Yield the chapter of loading, if anybody receives it."""
    if receivers:
        yield Chapter("init", "pre_init, post_init", tuple(receivers), "whenever an instance is made or loaded")


def _known(asked: AskedWrite, signal: Any, names: Names) -> list[Known]:
    common = {"signal": signal, "sender": asked.model, "using": asked.using, "raw": False, "update_fields": None}
    return [Known({**common, "created": one}, asked.values, names) for one in _CREATED[asked.operation]]


def _row(asked: AskedWrite) -> str:
    """Return the statements in words; the rows of parents are written before."""
    options: Any = asked.model._meta.concrete_model._meta  # type: ignore[union-attr]
    tables = [*(parent._meta.db_table for parent in reversed(options.all_parents)), options.db_table]
    return f"{_STATEMENTS[asked.operation]} {', '.join(dict.fromkeys(tables))}"


def _until_row(save: _Save) -> Iterator[Chapter]:
    yield from loading_chapter(save.loading)
    yield Chapter("pre_save", "pre_save", at_stage(save.before, None))
    due = at_stage(save.before, Stage.BEFORE_WRITE)
    if due:
        yield Chapter("before_write", "before the write", due, "in the transaction, when the row is locked")
    yield Chapter("row", _row(save.asked))

    inside = at_stage(save.related, None, Stage.AFTER_WRITE)
    if inside:
        yield Chapter("m2m_changes", "m2m_changes", inside, "in the transaction of the row")


def _in_atomic(save: _Save) -> Iterator[Chapter]:
    kept = (*save.before, *save.related, *save.after)
    yield from _until_row(save)
    yield Chapter("post_save", "post_save", at_stage(save.after, None, Stage.AFTER_WRITE))
    yield from commit_chapters(kept, where="when the outermost atomic() ends")
    yield from after_chapters(kept)
    yield from worker_chapter(kept)


def _in_autocommit(save: _Save) -> Iterator[Chapter]:
    kept = (*save.related, *save.before, *save.after)  # calls for pre_save wait until the row is written
    yield from _until_row(save)
    in_write = at_stage(save.after, Stage.AFTER_WRITE)
    if in_write:
        yield Chapter("after_write", "right after the row", in_write, "in the transaction of the row")
    yield from commit_chapters(kept, where="in the transaction of the row")
    early = _early(save)
    if early:
        yield Chapter("after_row_commit", "after the commit", early, "of pre_save and m2m_changes")
    yield Chapter("post_save", "post_save", at_stage(save.after, None))
    yield from after_chapters([one for one in kept if one not in early])
    yield from worker_chapter(kept)


def _early(save: _Save) -> tuple[Expected, ...]:
    """Return the receivers that are called right after the commit, and not when the save is over.

    Their sends belong to a transaction: m2m_changes always does, and pre_save does if the row is written in one.
    """
    model: Any = save.asked.model._meta.concrete_model
    is_joined = opens_transaction((*save.before, *save.after)) or bool(model._meta.parents)
    return called_after((*save.related, *(save.before if is_joined else ())))
