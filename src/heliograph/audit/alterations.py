"""Alterations that are found without a seal: values, a kind or a change set do not fit the digests of an entry."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.audit.digests import digest_of, halves, number_of, pair_of
from heliograph.audit.entry_rows import EntryRow, Leaf, SetRow
from heliograph.audit.models import Link
from heliograph.audit.recorded_ids import RecordedIds

# The halves of a change set: their name, and the link that records that it was forgotten.
_HALVES = (("the label", Link.LABELS), ("the reason or the context", Link.REASONS))


class Alterations:
    """Finds alterations of the entries with ids in a range; reads which of them `audit forget` has emptied."""

    def __init__(self, using: str, first: int, last: int) -> None:
        self.forgotten = 0  # how many entries had no values any more
        self._recorded = RecordedIds(using, Link.FORGOTTEN, first, last)
        self._using = using
        self._of_sets: dict[int, list[str]] = {}  # what is wrong with the last change sets

    def of(self, leaf: Leaf) -> list[str]:
        """Return the sentences about an entry whose columns do not fit its own digests."""
        return [*self._of_values(leaf.entry), *_of_kind(leaf), *self._of_change_set(leaf)]

    def _of_values(self, entry: EntryRow) -> Iterator[str]:
        if entry.salt or entry.text:
            if not entry.salt or digest_of(entry.salt, entry.text) != entry.digest:
                yield "its values do not fit its digest"
            return
        self.forgotten += 1
        if entry.id not in self._recorded:
            yield "its values were removed, and no `audit forget` is recorded"

    def _of_change_set(self, leaf: Leaf) -> list[str]:
        one = leaf.change_set
        if one is None:
            return [f"its change set #{leaf.entry.change_set} is missing"]
        if one.id not in self._of_sets:
            if len(self._of_sets) > _REMEMBERED:
                self._of_sets.clear()
            self._of_sets[one.id] = [*self._wrong_in_set(one)]
        return self._of_sets[one.id]

    def _wrong_in_set(self, one: SetRow) -> Iterator[str]:
        texts = halves(one.actor_label, one.reason, one.context)
        salts, digests = pair_of(one.salts), pair_of(one.digests)
        for (name, link), text, salt, digest in zip(_HALVES, texts, salts, digests, strict=True):
            if not salt and not text:
                if digest and one.id not in RecordedIds(self._using, link, one.id, one.id):
                    yield f"of its change set #{one.id}, {name} was removed, and no `audit forget` is recorded"
            elif not salt or digest_of(salt, text) != digest:
                yield f"of its change set #{one.id}, {name} does not fit the digest"


_REMEMBERED = 2_000


def _of_kind(leaf: Leaf) -> Iterator[str]:
    if leaf.kind is None:
        yield f"its kind {leaf.entry.kind} is missing"
    elif number_of(leaf.kind) != leaf.entry.kind:
        yield f"its kind {leaf.entry.kind} was altered"
