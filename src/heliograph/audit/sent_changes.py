"""The changes of rows and relations that one recorded call is about, with the values of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from heliograph.audit.audited_models import Audited
from heliograph.audit.net_changes import Net, NetChange, NetPairs, Values
from heliograph.audit.recorded import Recorded
from heliograph.changes.chunks import in_chunks
from heliograph.changes.comparing import Comparison
from heliograph.changes.plans import value_of
from heliograph.changes.rows import Created
from heliograph.changes.values import UNKNOWN
from heliograph.transactions.collect import ReceivedRows, ReceivedSend


def changes_of(call: Recorded, using: str) -> Iterator[Net]:
    """Yield the changes that a call is about; a value that only the database knows is UNKNOWN."""
    received, audited = call.received, call.audited
    if is_of_relation(call):
        yield from _pairs_of(received.payload, audited, using)
    elif isinstance(received, ReceivedRows):
        yield from _rows_of(received, audited, using)
    else:
        for send in received.sends():
            change = _change_of(send, audited, was_there=call.was_there)
            if change is not None:
                yield change


def is_of_relation(call: Recorded) -> bool:
    """Return whether a call is about a many-to-many relation."""
    return "added" in call.received.payload and "removed" in call.received.payload


# --- saves and deletions ----------------------------------------------------------------------------------------


def _change_of(send: ReceivedSend, audited: Audited, *, was_there: bool) -> NetChange | None:
    compared, key, kind = send.comparison, send.primary_key, send.kind
    if not is_own(send.sender, audited):
        if kind == "deleted":  # the row of a parent is sent by itself
            return None
        key = _key_in_parent(send, audited.model)
    if kind == "absent":
        return None
    if kind == "created" and not was_there:
        return NetChange(audited, key, None, {} if compared is None else _new_values(audited, compared))
    if kind == "deleted":
        return NetChange(audited, key, {} if compared is None else _old_values(audited, compared), None)
    if compared is None:
        return None
    old, new = _changed_values(audited, compared)
    return NetChange(audited, key, old, new) if new else None


def _new_values(audited: Audited, compared: Comparison) -> Values:
    plan = compared.plan
    return {
        name: UNKNOWN if at in plan.presented else compared.new_value(name)
        for name, at, _ in audited.positions_in(plan)
    }


def _old_values(audited: Audited, compared: Comparison) -> Values:
    old = compared.old
    return {name: compared.stored(field, value_of(old[at])) for name, at, field in audited.positions_in(compared.plan)}


def _changed_values(audited: Audited, compared: Comparison) -> tuple[Values, Values]:
    """Return the old and the new values of the columns that have changed.

    The column of a field with a descriptor of its own is not known before somebody reads it.
    """
    plan, olds, news, *_ = compared
    before, after = {}, {}
    for name, at, field in audited.positions_in(plan):
        # A value that is the same object has not changed; for most fields, this test is enough.
        if olds[at] is news[at] and news[at] is not UNKNOWN and not plan.presented:
            continue
        change = compared.change(at)
        if change is not None:
            is_column = at not in plan.presented
            before[name] = change.old if is_column else compared.stored(field, value_of(olds[at]))
            after[name] = change.new if is_column else UNKNOWN
    return before, after


def is_own(model: Any, audited: Audited) -> bool:
    """Return whether the rows of a model are those of the audited table, and not of a child."""
    return model._meta.concrete_model is audited.model._meta.concrete_model


def _key_in_parent(send: ReceivedSend, parent: Any) -> Any:
    """Return the primary key of the row of a parent, which a child may refer to by a field that is not its own key."""
    link = send.sender._meta.get_ancestor_link(parent)
    return send.primary_key if link.primary_key else getattr(send.payload["instance"], link.attname)


# --- bulk writes ------------------------------------------------------------------------------------------------


def _rows_of(received: ReceivedRows, audited: Audited, using: str) -> Iterator[NetChange]:
    rows, is_of_child = received.rows, not is_own(received.rows.model, audited)
    if rows.kind == "deleted" and is_of_child:
        return
    names = written_names(audited, rows)
    keys = _keys_in_parent(rows, audited.model, using) if is_of_child else {}
    presented = unread_names(audited, rows).intersection(names)
    for at, (key, old, new) in enumerate(rows.values_of(names)):
        befores, afters = _named(names, old), _named(names, new)
        for name in presented:
            befores, afters = _columns_alone(rows, at, name, befores, afters)
        yield NetChange(audited, keys.get(key, key), befores, afters)


def unread_names(audited: Audited, rows: Any) -> frozenset[str]:
    """Return the names of the fields of a bulk write whose columns may have something else than an instance."""
    if not isinstance(rows, Created):
        return audited.presented
    return audited.presented.union(rows.plan.fields[at].name for at in rows.plan.prepared)


def written_names(audited: Audited, rows: Any) -> list[str]:
    """Return the names of the audited fields that a bulk write may have changed."""
    if rows.update_fields is None:
        return [*audited.fields]
    return [name for name in audited.fields if _may_be_written(audited.fields[name], rows)]


def _may_be_written(field: Any, rows: Any) -> bool:
    return field.name in rows.plan.positions and not rows.update_fields.isdisjoint((field.name, field.attname))


def _named(names: list[str], values: Iterable[Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, values, strict=True))


def _columns_alone(rows: Any, at: int, name: str, old: Any, new: Any) -> tuple[Any, Any]:
    """Return values with the column of a field that has a descriptor of its own, as far as it is known."""
    if old is not None:
        compared = rows.written(at)
        old[name] = compared.stored(compared.plan.field(name), value_of(compared.old[compared.plan.positions[name]]))
    if new is not None:
        new[name] = UNKNOWN
    return old, new


def _keys_in_parent(rows: Any, parent: Any, using: str) -> Mapping[Any, Any]:
    """Return the keys of the rows of a parent by the keys of its children, where these have keys of their own."""
    link = rows.model._meta.get_ancestor_link(parent)
    if link.primary_key:
        return {}
    children = rows.model._base_manager.using(using)
    return {
        key: in_parent
        for some in in_chunks(rows.model, using, rows.pks)
        for key, in_parent in children.filter(pk__in=some).values_list("pk", link.attname)
    }


# --- relations --------------------------------------------------------------------------------------------------


def _pairs_of(payload: Mapping[str, Any], audited: Audited, using: str) -> Iterator[NetPairs]:
    if audited.relations.get(payload["field"].name) is not payload["field"]:
        return
    rows: dict[Any, dict[Any, int]] = {}
    for pairs, count in ((payload["added"], 1), (payload["removed"], -1)):
        for key, other in pairs:
            rows.setdefault(key, {})[other] = count
    keys = _keys_by_column(payload["field"], audited.model, using, [*rows])
    for key, counts in rows.items():
        if keys is None or key in keys:
            yield NetPairs(audited, key if keys is None else keys[key], payload["field"], counts)


def _keys_by_column(field: Any, model: Any, using: str, values: list[Any]) -> Mapping[Any, Any] | None:
    """Return primary keys by the values by which the rows of a relation refer to them; None if these are the keys."""
    through = field.remote_field.through
    target = through._meta.get_field(field.m2m_field_name()).target_field
    if target.primary_key or target.model is not model:
        return None
    found = model._base_manager.using(using).filter(**{f"{target.name}__in": values})
    return dict(found.values_list(target.attname, "pk"))
