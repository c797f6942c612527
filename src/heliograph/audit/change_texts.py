"""The text of an entry: the values of its fields before and after, as JSON that keeps their types.

    {"price": [10, 12]}                                  an updated row
    {"price": [12]}                                      a created or deleted row
    {"tags": {"added": [3], "removed": []}}              a relation: keys of the other rows
    {"card": "masked"}                                   a masked field, in place of its values
    {"text": {"old": "On", "new": "At", "cut": [0, 900]}}           a text of 900 characters, of which these are left
    {"author": {"old": 1, "new": 2, "names": ["Ada", null]}}        a named foreign key; null where the object is gone

A created or deleted row has `"value"` in place of `"old"` and `"new"`. `"cut"` has how many characters a text had, and
0 for a text that is whole. Values are those of columns, and have the codec of `heliograph.outbox.payload`: a decimal is
`{"$": "decimal", "value": "1.50"}`, a value that nobody knows `{"$": "unknown", ...}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import JSONEncoder
from typing import Any

from heliograph.audit.net_changes import Net, NetChange, NetPairs
from heliograph.audit.object_names import Names
from heliograph.changes.values import UNKNOWN
from heliograph.outbox.payload.field_values import encoded_field
from heliograph.outbox.payload.value_encoding import PLAIN, encoded

# Return the JSON of a value; `json.dumps` makes an encoder at each call.
compact = JSONEncoder(separators=(",", ":")).encode

MASKED = "masked"
MASKED_TEXT = f'"{MASKED}"'


@dataclass(frozen=True)
class Texts:
    """Makes the texts of changes."""

    limit: int | None = None  # how many characters of a text are left; None for all
    names: Names = field(default_factory=dict)  # of objects

    def text_of(self, change: Net) -> str:
        """Return the JSON of a change."""
        return compact(self._json_of(change))

    def _json_of(self, change: Net) -> dict[str, Any]:
        if isinstance(change, NetPairs):
            return {change.field.name: _pairs(change.counts)}
        sides = [side for side in (change.old, change.new) if side is not None]
        audited = change.audited
        return {
            name: MASKED
            if name in audited.masked
            else self._values(audited.fields[name], [side.get(name, UNKNOWN) for side in sides])
            for name in names_of(change)
        }

    def _values(self, field: Any, values: Sequence[Any]) -> Any:
        names, limit = self.names.get(field), self.limit
        more: dict[str, Any] = {} if names is None else {"names": [names.get(one) for one in values]}
        if limit is not None and any(type(one) is str and len(one) > limit for one in values):
            more["cut"] = [len(one) if type(one) is str and len(one) > limit else 0 for one in values]
            values = [one[:limit] if type(one) is str else one for one in values]
        found = [value if type(value) in PLAIN else encoded_field(field, value) for value in values]
        sides = ("value",) if len(found) == 1 else ("old", "new")
        return {**dict(zip(sides, found, strict=True)), **more} if more else found


def names_of(change: Net) -> list[str]:
    """Return the names of the fields that an entry has, in order."""
    if isinstance(change, NetPairs):
        return [change.field.name]
    values = change.old if change.new is None else change.new
    return sorted(values or ())


def key_text(key: Any) -> str:
    """Return a primary key as the text by which an entry names a row."""
    return compact([*map(encoded, key)]) if isinstance(key, tuple) else str(key)


def kind_of(change: NetChange | NetPairs, action: str) -> tuple[str, str, str]:
    """Return the label of the model, the action, and the names of the fields with a comma before and after each."""
    return change.audited.label, action, f",{','.join(names_of(change))},"


def _pairs(counts: Mapping[Any, int]) -> dict[str, Any]:
    added, removed = ([encoded(key) for key in counts if counts[key] * sign > 0] for sign in (1, -1))
    return {"added": added, "removed": removed}
