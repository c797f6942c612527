"""The rows that the saves of an analysis have written, with the values that they have changed, and its deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models.signals import post_save

from heliograph.changes.current import comparison
from heliograph.changes.values import NO_ROW, UNKNOWN
from heliograph.dispatch.observed_events import Sent
from heliograph.dispatch.scopes import Scope
from heliograph.flow.analyzing.analysis_facts import ChangedField, SavedRow, StoredDelivery
from heliograph.outbox.events import EnqueuedRows
from heliograph.outbox.payload.secrecy import is_secret

POST_SAVE: Any = post_save

# A longer text of a value is cut.
LONGEST = 60


class WrittenRows(Scope):
    """Keeps what each save has changed, and which deliveries were stored."""

    def __init__(self) -> None:
        self.saved: dict[int, SavedRow] = {}  # by the number of the save
        self.deliveries: list[StoredDelivery] = []

    def on_event(self, event: object) -> None:
        match event:
            case Sent(signal=signal, parent=int(save)) if signal is POST_SAVE:
                self.saved[save] = _saved(event)
            case EnqueuedRows(rows=rows):
                self.deliveries += [_delivery(row) for row in rows]


def _delivery(row: Any) -> StoredDelivery:
    return StoredDelivery(row.receiver, row.signal, row.queue, row.key, len(row.payload))


def _saved(sent: Sent) -> SavedRow:
    """Return the changes of the save that sends this post_save; all models are watched, so no query is needed."""
    if sent.kwargs["created"]:
        return SavedRow(is_created=True)
    compared = comparison(sent.kwargs["instance"], sent.kwargs["update_fields"], sent.sender)
    return SavedRow(False, () if compared is None else (*_changes(sent.sender, compared.all_changes()),))


def _changes(model: Any, changes: Any) -> Iterator[ChangedField]:
    for name, change in changes.items():
        if is_secret(model._meta.get_field(name)):
            yield ChangedField(name, None, None)
        else:
            yield ChangedField(name, _text(change.old), _text(change.new))


def _text(value: Any) -> str:
    """Return the text of a value, cut if it is long."""
    if value is UNKNOWN or value is NO_ROW:
        return "?"
    text = repr(value) if isinstance(value, str | None) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
