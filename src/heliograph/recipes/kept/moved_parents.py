"""Moved parents: rows that get another key, or groups another day, and have the figures of the old one.

The children have to move along in the same transaction. A row that has the figures of five items already would get them
a second time, if the delta of each item were added; so it is recounted instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph import UNKNOWN, Batch, BeforeWrite, Inline, changed
from heliograph.building import Gate, KeptAway
from heliograph.recipes.declarations import Declaration, named
from heliograph.recipes.kept.flushing import flush_later
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField
from heliograph.recipes.kept.work import Work
from heliograph.signals import post_save, pre_save


@dataclass(frozen=True)
class SetsKeys(Gate):
    """A gate: the receiver gets only the bulk writes that set one of some fields, and other writes cost nothing."""

    names: frozenset[str]

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return "instance" not in payload and not self.names.isdisjoint(payload.get("update_fields") or ())

    def reason(self, payload: Mapping[str, Any]) -> KeptAway:
        return KeptAway(f"the write is no bulk write of {', '.join(sorted(self.names))}")


class OfMovedParents:
    """The receiver of parents that get another key: they are recounted under it, and a group also under the old one."""

    def __init__(self, fields: Sequence[KeptField]) -> None:
        self.fields = fields
        self.parent = fields[0].parent
        self.keys: list[Any] = [self.parent._meta.get_field(name) for name in fields[0].key_columns]

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Recount the parents of a batch."""
        work = Work()
        for _, *rows in batch.values(*(one.name for one in self.keys)):
            for row in rows:
                self._add(work, row)
        if work:
            flush_later(using, work)

    def _add(self, work: Work, row: Any) -> None:
        if row is None or None in row:
            return
        if UNKNOWN in row:
            raise TypeError(
                f"An update sets {self.keys[0]} to an expression, and the new keys are not known before it. Kept"
                f" fields of {self.parent._meta.label} need them: give each row its key by an update of its own."
            )
        for kept in self.fields:
            work.add(kept, kept.key_from(row), RECOUNT)

    def connect(self, declaration: Declaration, name: str) -> None:
        """Connect the receiver to the writes that set a key: bulk writes, and saves if it is not the primary key."""
        receiver, names = named(name, self), [one.name for one in self.keys]
        where: dict[str, Any] = {"sender": self.parent, "subclasses": True}
        gate = SetsKeys(frozenset(name for one in self.keys for name in (one.name, one.attname)))
        options: dict[str, Any] = {"when": changed(*names), "bulk": True, "delivery": BeforeWrite(), "facts": (gate,)}
        declaration.connect(pre_save, receiver, **where, **options)
        if not all(one.primary_key for one in self.keys):
            inline: dict[str, Any] = {"when": changed(*names), "fetch": "lock", "delivery": Inline(batch=True)}
            declaration.connect(post_save, receiver, **where, **inline)
