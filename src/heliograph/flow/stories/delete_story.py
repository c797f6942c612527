"""The story of a deletion: the row, the rows that go with it, and the rows whose keys are emptied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models.signals import post_delete, pre_delete

from heliograph.bulk import signals
from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.stories.bulk_receivers import asked_by, of_update
from heliograph.flow.stories.cascades import Cascade, cascade_of, described
from heliograph.flow.stories.chapters import Chapter
from heliograph.flow.stories.expected_receivers import Expected
from heliograph.flow.stories.story import Story
from heliograph.flow.stories.transaction_end import after_chapters, at_stage, commit_chapters, worker_chapter
from heliograph.transactions.pending import Stage


@dataclass(frozen=True)
class _Deletion:
    """The receivers of a deletion, of the rows that Django loads and of the others."""

    asked: AskedWrite
    cascade: Cascade
    first: Sequence[Expected]  # of pre_bulk_delete
    before: Sequence[Expected]  # of pre_delete
    emptied: Sequence[Expected]  # of the rows whose keys get another value
    after: Sequence[Expected]  # of post_delete, for the rows that are loaded
    last: Sequence[Expected]  # of the rows that are not loaded, and of post_bulk_delete

    @property
    def all(self) -> Sequence[Expected]:
        """All receivers, in the order of the sends."""
        return (*self.first, *self.before, *self.emptied, *self.after, *self.last)


def story_of_delete(asked: AskedWrite, remarks: tuple[str, ...]) -> Story:
    """Return the story of the deletion of a row: it is a transaction, and so the same inside of atomic()."""
    deletion = _deletion(asked)
    found = tuple(_chapters(deletion))
    return Story(asked, found, found, at_stage(deletion.all, Stage.AFTER_ROLLBACK), remarks)


def _deletion(asked: AskedWrite) -> _Deletion:
    cascade, using = cascade_of(asked.model, asked.using), asked.using
    sent = [model for model in cascade.loaded if not model._meta.auto_created]
    others = [model for model in cascade.models if model is not asked.model]
    return _Deletion(
        asked,
        cascade,
        first=[one for model in others for one in asked_by(signals.pre_bulk_delete, model, using)],
        before=[one for model in sent for one in asked_by(pre_delete, model, using)],
        emptied=[one for model in _models(cascade.emptied) for one in of_update(model, using)],
        after=[one for model in sent for one in asked_by(post_delete, model, using)],
        last=[one for model in cascade.models for one in _of_rows(model, asked, cascade)],
    )


def _models(relations: Sequence[Any]) -> list[Any]:
    return [*dict.fromkeys(one.model for one in relations)]


def _of_rows(model: Any, asked: AskedWrite, cascade: Cascade) -> Iterator[Expected]:
    """Yield the receivers of the rows of a model that get them when all rows are deleted."""
    using = asked.using
    if model is not asked.model:
        yield from asked_by(signals.post_bulk_delete, model, using)
    if model in cascade.unloaded:
        yield from asked_by(post_delete, model, using)
    yield from asked_by(signals.m2m_changes, model, using, raw=False)


def _chapters(deletion: _Deletion) -> Iterator[Chapter]:
    everybody = deletion.all
    if deletion.first:
        yield Chapter("pre_bulk_delete", "pre_bulk_delete", at_stage(deletion.first, None))
    yield Chapter("pre_delete", "pre_delete", at_stage(deletion.before, None), _loaded(deletion.cascade))
    yield from _emptying(deletion)
    yield Chapter("row", f"DELETE {deletion.asked.model._meta.db_table}", (), _going(deletion))
    yield Chapter("post_delete", "post_delete", at_stage(deletion.after, None))
    last = (*at_stage(deletion.last, None), *at_stage(everybody, Stage.AFTER_WRITE))
    if last:
        yield Chapter("deleted", "all rows deleted", last, "for rows that Django has not loaded, and for batches")
    yield from commit_chapters(everybody, where="in the transaction of the deletion, or when the outer one ends")
    yield from after_chapters(everybody)
    yield from worker_chapter(everybody)


def _emptying(deletion: _Deletion) -> Iterator[Chapter]:
    if deletion.cascade.emptied:
        text = f"update() of {', '.join(described(deletion.cascade.emptied))}"
        yield Chapter("emptied", "keys emptied", at_stage(deletion.emptied, None, Stage.BEFORE_WRITE), text)


def _loaded(cascade: Cascade) -> str:
    labels = [model._meta.label for model in cascade.loaded]
    return f"for each row of {', '.join(labels)}" if len(labels) > 1 else ""


def _going(deletion: _Deletion) -> str:
    """Return which rows go with the row, and which keep it from being deleted."""
    cascade = deletion.cascade
    going = [model._meta.label for model in cascade.models if model is not deletion.asked.model]
    text = f"with the rows of {', '.join(going)}" if going else ""
    refusing = f"refused while {', '.join(described(cascade.refusing))} has rows" if cascade.refusing else ""
    return "; ".join(filter(None, [text, refusing]))
