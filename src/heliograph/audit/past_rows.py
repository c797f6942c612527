"""Rows as they were at a point, computed from the rows of now and from the entries after the point."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.backwards import Before, before, by_row
from heliograph.audit.change_texts import key_text
from heliograph.audit.first_entries import FirstEntries
from heliograph.audit.histories import labels_of
from heliograph.audit.models import Action, Entry
from heliograph.audit.named_rows import has_same_key, key_or_none, keys_in_tables, tables_of
from heliograph.audit.newer_fields import newer_fields
from heliograph.audit.past_instances import Past, past_instance
from heliograph.audit.points_in_time import Point, UnknownPastError

# The rows that are computed at a time.
CHUNK = 1000

Entries = Mapping[tuple[str, str], list[Entry]]


@dataclass
class PastRows:
    """The rows of a model at a point. What the log knows of its fields is asked once."""

    model: Any
    point: Point
    unknown: dict[str, str] = field(default_factory=dict)  # why, by the names of fields that are known of no row

    def __post_init__(self) -> None:
        self._entries = FirstEntries(self.point, labels_of(self.model))
        for table in tables_of(self.model):
            kinds = [kind for kind in self._entries.kinds.values() if kind.model == table._meta.label]
            self.unknown |= _never_known(table) | newer_fields(kinds, AUDITED[table].fields, self.point)

    def all(self) -> Iterator[Any]:
        """Yield all rows: those that exist now in the order of their keys, then those that were deleted since."""
        rows, last = self._rows().order_by("pk"), None
        while chunk := [*(rows if last is None else rows.filter(pk__gt=last))[:CHUNK]]:
            yield from self._computed([row.pk for row in chunk], {row.pk: row for row in chunk})
            last = chunk[-1].pk
        yield from self._deleted()

    def of_keys(self, keys: Iterable[Any]) -> Iterator[Any]:
        """Yield the rows with these keys."""
        keys = iter(keys)
        while chunk := [*islice(keys, CHUNK)]:
            # SQLite refuses a number that is too large for it in a list, and Django knows that of a single one.
            of_chunk = {"pk": chunk[0]} if len(chunk) == 1 else {"pk__in": chunk}
            yield from self._computed(chunk, {row.pk: row for row in self._rows().filter(**of_chunk)})

    def _rows(self) -> Any:
        return self.model._meta.concrete_model._base_manager.using(self.point.using)

    def _deleted(self) -> Iterator[Any]:
        own = self.model._meta.concrete_model
        deletions = self.point.entries_after().of_models([own._meta.label]).actions(Action.DELETED)
        last = 0
        while chunk := [*deletions.filter(id__gt=last)[:CHUNK]]:
            keys = self._first_deleted(own, chunk)
            present = {*self._rows().filter(pk__in=keys).values_list("pk", flat=True)}
            yield from self._computed([key for key in keys if key not in present], {})
            last = chunk[-1].pk

    def _first_deleted(self, model: Any, deletions: Collection[Entry]) -> list[Any]:
        """Return the keys of the rows of which one of these deletions is the first one after the point."""
        texts = {one.object for one in deletions}
        earlier = self.point.entries_after().of_models([model._meta.label]).actions(Action.DELETED)
        before_these = earlier.filter(id__lt=min(one.pk for one in deletions), object__in=texts)
        return [_key(model, text) for text in texts - {*before_these.values_list("object", flat=True)}]

    def _computed(self, keys: Collection[Any], rows: Mapping[Any, Any]) -> Iterator[Any]:
        # The entries are read after the rows: what is written in between is in the entries, and so is undone.
        named = {key: self._tables(key, rows.get(key)) for key in keys}
        texts = {key_text(one) for tables in named.values() for one in tables.values()}
        entries = by_row(self._entries.of_objects(texts))
        for key, tables in named.items():
            found = _Row(self, tables, rows.get(key), entries).instance()
            if found is not None:
                yield found

    def _tables(self, key: Any, row: Any) -> dict[Any, Any]:
        """Return the key of a row in each of its tables."""
        own, *parents = tables_of(self.model)
        if row is not None:
            links = own._meta.parents
            return {own: key, **{one: getattr(row, links[one].attname) for one in parents}}
        if all(has_same_key(own, one) for one in parents):
            return dict.fromkeys((own, *parents), key)
        return dict(keys_in_tables(own, key, self.point.using))


def _key(model: Any, text: str) -> Any:
    found = key_or_none(model, text)
    if found is None:
        raise UnknownPastError(
            f"{model._meta.label} had a row with the key {text!r}, which is no key of the model any more: rows whose"
            f" keys are of its type are those of as_of({model.__name__}, point, keys=[...])."
        )
    return found


def _never_known(table: Any) -> dict[str, str]:
    """Return the fields of a table that are known of no row, each with the reason."""
    audited, found = AUDITED[table], {}
    for one in table._meta.local_concrete_fields:
        if one.generated:
            found[one.name] = "the database computes it"
        elif getattr(one, "auto_now", False):
            found[one.name] = "a save that changes nothing else sets it too, and has no entry"
        elif one.name not in audited.fields and not one.primary_key:
            found[one.name] = "the audit of the model leaves it out"
    return found


@dataclass
class _Row:
    """One row at the point."""

    rows: PastRows
    tables: Mapping[Any, Any]  # its key in each of its tables
    now: Any  # its instance of now, or None
    entries: Entries

    def instance(self) -> Any:
        """Return the instance; None if there was no row."""
        found = {table: before(self._entries_in(table)) for table in self.tables}
        own = self.rows.model._meta.concrete_model
        existed = found[own].existed
        if not (self.now is not None if existed is None else existed):
            return None
        values: dict[str, Any] = {}
        unknown = dict(self.rows.unknown)
        for one in own._meta.concrete_fields:
            self._give(one, found[one.model._meta.concrete_model], values, unknown)
        return past_instance(self.rows.model, values, Past(self.rows.point, unknown, self._gone(found)))

    def _entries_in(self, table: Any) -> list[Entry]:
        return self.entries.get((table._meta.label, key_text(self.tables[table])), [])

    def _give(self, field: Any, found: Before, values: dict[str, Any], unknown: dict[str, str]) -> None:
        """Give a field its value, or the reason why nobody knows the value."""
        name = field.name
        if field.primary_key:
            values[field.attname] = self.tables[field.model._meta.concrete_model]
        elif name in unknown:
            return
        elif name in found.unknown:
            unknown[name] = found.unknown[name]
        elif name in found.values:
            self._give_value(field, found.values[name], values, unknown)
        elif found.is_whole or self.now is None:
            unknown[name] = "no entry after the point has it"
        else:
            values[field.attname] = vars(self.now)[field.attname]

    def _give_value(self, field: Any, value: Any, values: dict[str, Any], unknown: dict[str, str]) -> None:
        if is_of_field(field, value):
            values[field.attname] = value
        else:
            unknown[field.name] = f"its type was another one: {value!r}"

    def _gone(self, befores: Mapping[Any, Before]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for table, one in befores.items():
            names = {field.name for field in table._meta.local_concrete_fields}
            found |= {name: value for name, value in one.values.items() if name not in names}
        return found


def is_of_field(field: Any, value: Any) -> bool:
    """Return whether a field accepts a value, which the field had stored when its type may have been another one."""
    if value is None:
        return bool(field.null)
    if type(value) not in (str, int, float, bool):
        return True
    try:
        field.to_python(value)
    except Exception:  # a field may raise any error for a value that it does not accept
        return False
    return True
