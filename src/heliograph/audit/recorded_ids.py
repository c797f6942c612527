"""The ids that the chain of seals records as pruned or forgotten, as far as they are in a range."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from heliograph.audit.chain import seals
from heliograph.audit.models import Link


class RecordedIds:
    """Knows whether a link of a kind has an id; reads the links when it is first asked."""

    def __init__(self, using: str, link: Link, first: int, last: int) -> None:
        self._using, self._link, self._first, self._last = using, link, first, last

    def __contains__(self, number: int) -> bool:
        return number in self._ids

    @cached_property
    def _ids(self) -> set[int]:
        overlapping = seals(self._using).filter(link=self._link, first__lte=self._last, last__gte=self._first)
        texts = overlapping.values_list("ids", flat=True)
        return {number for text in texts.iterator() for number in _within(text, self._first, self._last)}


def _within(text: str, first: int, last: int) -> Iterator[int]:
    """Yield the ids of a text that are in a range; somebody may have altered the text, which another check finds."""
    for part in text.split(","):
        lowest, _, highest = part.partition("-")
        if lowest.isdecimal() and (highest or lowest).isdecimal():
            yield from range(max(int(lowest), first), min(int(highest or lowest), last) + 1)
