"""Writing: the changes of a transaction become entries, which are inserted right before its commit."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.audit.acts import Act, act_of
from heliograph.audit.audited_models import Audited
from heliograph.audit.bulk_columns import Entries, are_apart, entries_of
from heliograph.audit.change_texts import Texts, key_text, kind_of
from heliograph.audit.conf import text_limit
from heliograph.audit.entry_insertion import insert_all
from heliograph.audit.log_tables import TABLES
from heliograph.audit.net_changes import Net, net_of
from heliograph.audit.object_names import names_of_objects
from heliograph.audit.recorded import Recorded
from heliograph.audit.sent_changes import changes_of
from heliograph.audit.unread_values import read_unknown


def write(using: str, calls: Sequence[Recorded]) -> None:
    """Write the entries of recorded calls in the open transaction."""
    if TABLES.are_awaited(using):
        return  # the first rows of a fresh database, such as those of seed()
    limit = text_limit()
    parts = [(act, *_changes(using, of_act, limit)) for act, of_act in _by_act(calls)]
    read_unknown([change for _, _, changes in parts for change in changes], using)
    found = [(act, _with_texts(entries, changes, using, limit)) for act, entries, changes in parts]
    insert_all(using, [(act, entries) for act, entries in found if entries.texts])


def _by_act(calls: Sequence[Recorded]) -> list[tuple[Act, list[Recorded]]]:
    """Return the calls of each act, in the order of the first."""
    contexts: dict[int, Act] = {}
    acts: dict[Act, list[Recorded]] = {}
    for one in calls:
        context = one.received.context
        act = contexts.get(id(context))
        if act is None:
            act = contexts[id(context)] = act_of(context)
        acts.setdefault(act, []).append(one)
    return [*acts.items()]


# --- entries ----------------------------------------------------------------------------------------------------


def _changes(using: str, calls: Sequence[Recorded], limit: int | None) -> tuple[Entries, list[Net]]:
    """Return the entries of bulk writes among the calls of one act, made by columns, and the other changes."""
    entries = Entries([], [], [])
    rest = [*calls] if len(calls) == 1 and not _is_large(calls[0]) else _without_bulk(calls, limit, entries)
    return entries, net_of([change for call in rest for change in changes_of(call, using)])


def _with_texts(entries: Entries, changes: Sequence[Net], using: str, limit: int | None) -> Entries:
    """Add the entries of changes, as far as they have changed anything."""
    kept = [(change, action) for change in changes if (action := change.action()) is not None]
    texts = Texts(limit, names_of_objects((change for change, _ in kept), using))
    entries.kinds.extend(kind_of(change, action) for change, action in kept)
    entries.keys.extend(key_text(change.key) for change, _ in kept)
    entries.texts.extend(texts.text_of(change) for change, _ in kept)
    return entries


def _is_large(call: Recorded) -> bool:
    rows = getattr(call.received, "rows", None)
    return rows is not None and len(rows) > 1


def _without_bulk(calls: Sequence[Recorded], limit: int | None, entries: Entries) -> list[Recorded]:
    """Add the entries of bulk writes that share no row with another call, and return the other calls."""
    models: dict[Audited, list[Recorded]] = {}
    for one in calls:
        models.setdefault(one.audited, []).append(one)
    rest: list[Recorded] = []
    for of_model in models.values():
        made = [entries_of(one, limit) for one in of_model] if are_apart(of_model) else []
        for call, columns in zip(of_model, made or [None] * len(of_model), strict=True):
            if columns is None:
                rest.append(call)
            else:
                entries.extend(columns)
    return rest
