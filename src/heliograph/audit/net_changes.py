"""Net changes: all sends about a row in a transaction become one change of it, for each actor that has caused them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.audit.audited_models import Audited
from heliograph.changes.values import UNKNOWN, is_same

Values = Mapping[str, Any]  # by the names of fields


@dataclass(slots=True, eq=False)
class NetChange:
    """The change of one row: its values before and after; None where there was no row."""

    audited: Audited
    key: Any
    old: Values | None
    new: Values | None

    @property
    def identity(self) -> tuple[Any, Any, Any]:
        """The model and the key, which two changes of the same row share."""
        return self.audited, None, self.key

    def followed_by(self, other: NetChange) -> None:
        """Join this change and the next change of the same row into this one."""
        if self.new is None and other.old is not None:  # the same deletion, or a row that the log has not seen come
            return
        if self.old is not None:
            self.old = {**(other.old or {}), **self.old}
        self.new = None if other.new is None else {**(self.new or {}), **other.new}

    @property
    def is_read(self) -> bool:
        """Whether all values after the change are known."""
        return self.new is None or UNKNOWN not in self.new.values()

    def action(self) -> str | None:
        """Return what happened to the row, None if nothing did, and leave out what has not changed."""
        if self.old is None:
            return None if self.new is None else "created"
        if self.new is None:
            return "deleted"
        self.new = {name: value for name, value in self.new.items() if self._has_changed(name, value)}
        return None if self.audited.automatic.issuperset(self.new) else "updated"

    def _has_changed(self, name: str, value: Any) -> bool:
        old = self.old[name]  # type: ignore[index]  # it is an update
        return value is UNKNOWN or old is UNKNOWN or not is_same(self.audited.fields[name], old, value)


@dataclass(slots=True, eq=False)
class NetPairs:
    """The keys that were really added to a many-to-many relation of a row, and removed from it."""

    audited: Audited
    key: Any
    field: Any
    counts: dict[Any, int]  # how often each key was added minus how often it was removed

    is_read = True

    @property
    def identity(self) -> tuple[Any, Any, Any]:
        """The model, the field and the key, which two changes of the same relation share."""
        return self.audited, self.field, self.key

    def followed_by(self, other: NetPairs) -> None:
        """Join this change and the next change of the same relation into this one."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count

    def action(self) -> str | None:
        """Return what happened to the relation; None if nothing did."""
        return "related" if any(self.counts.values()) else None


Net = NetChange | NetPairs


def net_of(changes: list[Net]) -> list[Net]:
    """Return one change of each row and relation, in the order of the first."""
    if len(changes) < 2:
        return changes
    found: dict[Any, Any] = {}
    for one in changes:
        before = found.setdefault(one.identity, one)
        if before is not one:
            before.followed_by(one)
    return [*found.values()]
