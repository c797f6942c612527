"""The table of django-auditlog: changes as texts, one row for each save of an instance."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db.models import DateTimeField, Field, JSONField
from django.utils.timezone import is_naive, make_aware

from heliograph.audit.change_texts import MASKED
from heliograph.audit.importing.foreign_entries import Author, ForeignEntry, Found, is_masked, user_text, value_of
from heliograph.audit.models import Action

CHUNK = 1000

_ACTIONS = {0: Action.CREATED, 1: Action.UPDATED, 2: Action.DELETED}


@dataclass
class AuditlogSource:
    """The entries of auditlog.LogEntry about the rows of a model."""

    using: str
    model: Any
    masked: frozenset[str]
    lacks: tuple[str, ...] = (
        "bulk writes: update(), bulk_create() and bulk_update() have no entries",
        "transactions: each entry becomes a change set of its own",
        "types: values are texts, which are converted to the types of the fields; 'None' is taken for no value",
        "values that were None before and after a creation or a deletion",
        "keys of many-to-many relations: an entry says that one has changed, and its context how the rows were called",
    )

    @property
    def name(self) -> str:
        """The beginning of the origins."""
        return f"auditlog {self.model._meta.label}"

    def position(self, origin: str, at: datetime) -> int:
        return int(origin.rpartition(" ")[2])

    def chunks(self, position: int | None) -> Iterator[Found]:
        log: Any = apps.get_model(getattr(settings, "AUDITLOG_LOGENTRY_MODEL", "auditlog.LogEntry"))
        entries = log._base_manager.using(self.using).select_related("actor").order_by("pk")
        content_type = ContentType.objects.db_manager(self.using).get_for_model(self.model)
        last = position or 0
        while chunk := [*entries.filter(content_type=content_type, pk__gt=last)[:CHUNK]]:
            last, left_out = chunk[-1].pk, Counter[str]()
            found = [self._entry(one, left_out) for one in chunk]
            yield Found([one for one in found if one is not None], left_out, last)

    def _entry(self, one: Any, left_out: Counter[str]) -> ForeignEntry | None:
        if one.action not in _ACTIONS:
            left_out["that say who has looked at a row"] += 1
            return None
        given = one.changes or (json.loads(one.changes_text) if one.changes_text else {})
        changes = self._changes(one.action, given)
        if not changes and one.action == 1:
            left_out["without changes"] += 1
            return None
        is_related = any(isinstance(change, Mapping) for change in given.values())
        action = Action.RELATED if is_related else _ACTIONS[one.action]
        context = {"remote_addr": one.remote_addr, "cid": one.cid, **({"relations": given} if is_related else {})}
        author = Author(user_text(one.actor), str(one.actor or one.actor_email or ""))
        label, origin = self.model._meta.concrete_model._meta.label, f"{self.name} {one.pk}"
        return ForeignEntry(origin, one.timestamp, label, one.object_pk, action, changes, author, context)

    def _changes(self, action: int, given: Mapping[str, Any]) -> dict[str, Any]:
        fields = {one.name: one for one in self.model._meta.get_fields() if isinstance(one, Field)}
        return {
            name: self._change(fields.get(name), action, change)
            for name, change in given.items()
            if name not in fields or not fields[name].primary_key
        }

    def _change(self, model_field: Any, action: int, change: Any) -> Any:
        if isinstance(change, Mapping) or (model_field is not None and is_masked(model_field, self.masked)):
            return MASKED
        old, new = (_value(model_field, value) for value in change)
        return {0: [new], 1: [old, new], 2: [old]}[action]


def _value(model_field: Any, value: Any) -> Any:
    """Return the JSON of a value that auditlog has as text; the text if it is no value of the field any more."""
    if value == "None" or value is None:
        return None
    if model_field is None:
        return value
    try:
        found = json.loads(value) if isinstance(model_field, JSONField) else model_field.to_python(value)
    except Exception:  # a field may raise any error for a text that it does not accept
        return value
    if isinstance(model_field, DateTimeField) and is_naive(found):
        found = make_aware(found, UTC)
    return value_of(model_field, found)
