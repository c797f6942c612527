"""The rows of all tables, and how they differ from the rows at another time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from textwrap import shorten
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.models import AutoField, BigAutoField, Field, Model, SmallAutoField

from heliograph.outbox.models import Delivery, Operation
from heliograph.testing.matching import MOST_CHARACTERS, text_of

# How many rows of a table a failed assertion lists.
MOST_ROWS = 5

_NUMBERED = (AutoField, BigAutoField, SmallAutoField)
_OF_OUTBOX = {Delivery, Operation}

Row = dict[str, Any]  # the values by the names of the fields
Contents = tuple[tuple[str, str], ...]  # the names of the fields with the texts of their values


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a model in a database, by the texts of their primary keys."""

    model: type[Model]
    rows: dict[str, Row]

    @property
    def title(self) -> str:
        """The label of the model."""
        return self.model._meta.label


def read_tables(using: str, ignoring: Collection[Any]) -> list[Table]:
    """Return the rows of all models in a database, without those of the outbox, and without what is ignored."""
    names = set(connections[using].introspection.table_names())
    models = (one for one in apps.get_models(include_auto_created=True) if one._meta.managed and not one._meta.proxy)
    return [
        _read(model, using, ignoring)
        for model in models
        if model._meta.db_table in names
        and router.allow_migrate_model(using, model)
        and model not in _OF_OUTBOX
        and model not in ignoring
    ]


def _read(model: type[Model], using: str, ignoring: Collection[Any]) -> Table:
    names = [one.attname for one in model._meta.local_concrete_fields if not _is_ignored(one, ignoring)]
    rows = model._base_manager.using(using).order_by().values_list("pk", *names)
    return Table(model, {repr(key): dict(zip(names, map(_frozen, values), strict=True)) for key, *values in rows})


def _is_ignored(field: Field[Any, Any], ignoring: Collection[Any]) -> bool:
    """Return whether a field may differ: the time of the last save may, and whatever is ignored."""
    is_automatic = bool(getattr(field, "auto_now", False))
    return is_automatic or f"{field.model._meta.label}.{field.name}" in ignoring


def _frozen(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def differences(before: Table, after: Table) -> Iterator[str]:
    """Yield a line for each row that was added, removed or changed; a row that was made anew is the same row."""
    lines = [*_changes(before, after), *_added_and_removed(before, after)]
    yield from islice(lines, MOST_ROWS)
    if len(lines) > MOST_ROWS:
        yield f"{after.title}: and {len(lines) - MOST_ROWS} more rows"


def _changes(before: Table, after: Table) -> Iterator[str]:
    for key, row in after.rows.items():
        for name, value in row.items() if key in before.rows else ():
            old = before.rows[key][name]
            if old != value and repr(old) != repr(value):
                yield f"{after.title} {key}: {name} is {text_of(old)}, and then {text_of(value)}"


def _added_and_removed(before: Table, after: Table) -> Iterator[str]:
    lost = Counter(_contents(after, row) for key, row in before.rows.items() if key not in after.rows)
    won = Counter(_contents(after, row) for key, row in after.rows.items() if key not in before.rows)
    for contents, count in (won - lost).items():
        yield f"{after.title}: {count} more of {_shown(contents)}"
    for contents, count in (lost - won).items():
        yield f"{after.title}: {count} fewer of {_shown(contents)}"


def _contents(table: Table, row: Row) -> Contents:
    """Return the values of a row without the number that a database has given it."""
    key = table.model._meta.pk
    numbered = key.attname if isinstance(key, _NUMBERED) else None
    return tuple((name, repr(value)) for name, value in row.items() if name != numbered)


def _shown(contents: Contents) -> str:
    texts = (f"{name}={shorten(text, MOST_CHARACTERS, placeholder='...')}" for name, text in contents)
    return f"({', '.join(texts)})"
