"""Events of batches that were stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.changes.comparing import Change
from heliograph.changes.rows import Kind
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.context.kept_context import EMPTY, Context
from heliograph.outbox.payload.field_values import changes_of_model
from heliograph.transactions.batches import Event


@dataclass(frozen=True, eq=False)
class StoredEvent(Event):
    """An event that was stored, with its instance as it is now."""

    kind: Kind | None
    signal: Any
    sender: Any
    kwargs: Mapping[str, Any]
    key: Any = None
    stored: Mapping[str, Change] = field(default_factory=dict, repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)  # of unchanged fields, after the transaction
    fields: tuple[str, ...] = field(default=(), repr=False)
    context: Context = EMPTY
    comparison: None = None

    @property
    def pk(self) -> Any:
        return getattr(self.instance, "pk", None) if self.kind is None else self.key

    @property
    def changes(self) -> Mapping[str, Change]:
        return changes_of_model(self.sender, self.stored) if self.fields else super().changes

    def _change_of(self, field: Any) -> Change:
        value = self.values.get(field.attname, UNKNOWN)
        changed = self.stored.get(field.name)
        if changed is not None:
            return changed
        return Change(NO_ROW if self.kind == "created" else value, NO_ROW if self.kind == "deleted" else value)
