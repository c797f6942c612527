"""Values that only the database knows: right before the commit, the rows are read that have such values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from heliograph.audit.audited_models import Audited
from heliograph.audit.net_changes import Net, NetChange
from heliograph.changes.chunks import in_chunks
from heliograph.changes.values import UNKNOWN

Rows = dict[Any, dict[str, Any]]  # values by the names of fields, by primary key


def read_unknown(changes: Sequence[Net], using: str) -> None:
    """Read the values of changes that are not known, by one query for each model.

    The transaction holds the locks of these rows, so the values that it reads are those that the commit will leave. If
    several actors have changed a row, the values belong to the change of the last one.
    """
    if all(one.is_read for one in changes):
        return
    last = {(one.audited, one.key): one for one in changes if isinstance(one, NetChange)}
    unread: dict[Audited, dict[Any, NetChange]] = {}
    for (audited, key), one in last.items():
        if not one.is_read:
            unread.setdefault(audited, {})[key] = one
    for audited, of_model in unread.items():
        found = _rows(audited, using, [*of_model])
        for key, change in of_model.items():
            if key in found and change.new is not None:
                known = found[key]
                change.new = {name: known[name] if one is UNKNOWN else one for name, one in change.new.items()}


def _rows(audited: Audited, using: str, keys: list[Any]) -> Rows:
    names = [*audited.fields]
    rows: Any = QuerySet(audited.model).using(using)  # a manager may hide rows
    columns = [field.attname for field in audited.fields.values()]
    return {
        row[0]: dict(zip(names, row[1:], strict=True))
        for some in in_chunks(audited.model, using, keys)
        for row in rows.filter(pk__in=some).values_list("pk", *columns)
    }
