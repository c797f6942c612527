"""The first entries of rows after a point, one of each kind: they have the first change of each field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db.models import Min

from heliograph.audit.models import Action, Entry, Kind
from heliograph.audit.points_in_time import Point
from heliograph.changes.chunks import in_chunks

Kinds = Mapping[int, Any]  # by their numbers


def kinds_of(using: str | None, labels: Iterable[str]) -> Kinds:
    """Return the kinds of the entries of models."""
    return {one.pk: one for one in Kind.objects.using(using).filter(model__in=[*labels])}


class FirstEntries:
    """Finds the first entries after a point.

    All entries of a kind have the same fields, so that the first entry that has a field is also the first one of its
    kind. A row that was changed a hundred thousand times after the point gives as many entries as it has kinds: the
    database finds their numbers in the index of the object, and reads no other entry.
    """

    def __init__(self, point: Point, labels: Collection[str]) -> None:
        self._point, self._labels = point, labels
        self.kinds = kinds_of(point.using, labels)

    def of_objects(self, texts: Iterable[str]) -> list[Entry]:
        """Return the first entries of the rows with these keys, in their order; the rows must have been read before.

        The kinds are read again after the entries: a transaction that has committed in between may have brought a
        kind, without whose entry a later one would look like the first.
        """
        texts = [*texts]
        while True:
            found, known = [*self._read(self._numbers(texts))], self.kinds.keys()
            self.kinds = kinds_of(self._point.using, self._labels)
            if self.kinds.keys() <= known:
                return found

    def _numbers(self, texts: Collection[str]) -> list[int]:
        of_rows = [number for number, kind in self.kinds.items() if kind.action != Action.RELATED]
        entries = self._point.entries_after().filter(kind__in=of_rows, object__in=texts)
        firsts = entries.select_related(None).order_by().values("object", "kind").annotate(first=Min("pk"))
        return sorted(firsts.values_list("first", flat=True))

    def _read(self, numbers: Sequence[int]) -> Iterator[Entry]:
        using = self._point.entries_after().db
        for some in in_chunks(Entry, using, numbers):
            for entry in Entry.objects.using(using).filter(pk__in=some).order_by("pk"):
                entry.kind = self.kinds[entry.kind_id]
                yield entry
