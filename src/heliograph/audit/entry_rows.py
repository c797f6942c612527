"""Entries are read in chunks, in the order of their ids, each with its leaf: bounded memory for any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from json import dumps
from typing import Any, NamedTuple

from heliograph.audit.chain import InUTC, rows, utc_text
from heliograph.audit.digests import leaf_of
from heliograph.audit.models import ChangeSet, Entry, Kind

CHUNK = 900  # of which each may have a change set of its own: the smallest limit of parameters is 999


class SetRow(NamedTuple):
    """A change set as its table has it."""

    id: int
    first: int | None
    actor: str
    actor_label: str
    reason: str
    context: str
    salts: str
    digests: str
    utc: Any

    @property
    def json(self) -> str:
        """The part of it that is in the leaf of an entry; label, reason and context are there by their digests."""
        return dumps([self.id, self.first, utc_text(self.utc), self.actor, self.digests])


class EntryRow(NamedTuple):
    """An entry as its table has it."""

    id: int
    change_set: int
    kind: int
    object: str
    digest: str
    text: str
    salt: str


class Leaf(NamedTuple):
    """An entry with its change set and kind, if they are there, and the hash of all of them."""

    entry: EntryRow
    change_set: SetRow | None
    kind: tuple[str, str, str] | None
    hash: bytes


class Leaves:
    """Reads the leaves of entries; remembers the kinds, which are few."""

    def __init__(self, using: str, *, with_texts: bool) -> None:
        self._using = using
        self._columns = [
            "id",
            "change_set_id",
            "kind_id",
            "object",
            "digest",
            *(["text", "salt"] if with_texts else []),
        ]
        self._rest = () if with_texts else ("", "")
        self._kinds: dict[int, tuple[str, str, str]] = {}
        self._kind_texts: dict[int, str] = {}

    def between(self, after: int | None, last: int | None, limit: int | None = None) -> Iterator[Leaf]:
        """Yield the leaves of the entries after an id, up to one; None is the beginning or the end."""
        while limit is None or limit > 0:
            found = self._chunk(after, last, CHUNK if limit is None else min(limit, CHUNK))
            yield from self._leaves_of(found)
            if len(found) < CHUNK:
                return
            after, limit = found[-1].id, None if limit is None else limit - len(found)

    def _chunk(self, after: int | None, last: int | None, limit: int) -> list[EntryRow]:
        bounds = {"id__gt": after, "id__lte": last}
        entries = rows(Entry, self._using).filter(**{key: one for key, one in bounds.items() if one is not None})
        return [EntryRow(*one, *self._rest) for one in entries.order_by("id").values_list(*self._columns)[:limit]]

    def _leaves_of(self, entries: Sequence[EntryRow]) -> Iterator[Leaf]:
        sets = sets_of(self._using, {one.change_set for one in entries})
        texts = {number: one.json for number, one in sets.items()}
        self._find_kinds({one.kind for one in entries})
        for one in entries:
            of_set, kind = texts.get(one.change_set, "null"), self._kind_texts.get(one.kind, "null")
            leaf = leaf_of(one.id, of_set, kind, dumps(one.object), one.digest)
            yield Leaf(one, sets.get(one.change_set), self._kinds.get(one.kind), leaf)

    def _find_kinds(self, numbers: set[int]) -> None:
        missing = numbers - self._kinds.keys()
        if missing:
            for number, *kind in rows(Kind, self._using).filter(pk__in=missing).values_list():
                self._kinds[number] = tuple(kind)
                self._kind_texts[number] = dumps(kind)


def sets_of(using: str, numbers: Iterable[int]) -> Mapping[int, SetRow]:
    """Return change sets by their ids; those that are missing are left out."""
    found = rows(ChangeSet, using).filter(pk__in=numbers).annotate(utc=InUTC("at"))
    return {row[0]: SetRow(*row) for row in found.values_list(*SetRow._fields)}
