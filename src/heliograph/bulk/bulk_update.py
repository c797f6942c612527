"""Rewriting: the rows that the statements of a `bulk_update()` have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heliograph.changes.rows import Rows, Updated, normal_key


def rewritten(statements: Sequence[Updated], instances: Sequence[Any]) -> list[Rows]:
    """Return the rows with a changed value, with their instances.

    All rows are one write, unless the statements have set different fields.
    """
    fields = {rows.plan.fields for rows in statements}
    writes = [_together(statements)] if len(fields) == 1 else statements
    by_key: dict[Any, Any] = {}
    for instance in instances:
        by_key.setdefault(normal_key(instance), instance)  # of two instances of one row, Django writes the first
    return [_of_instances(_changed(rows), by_key) for rows in writes]


def _together(statements: Sequence[Updated]) -> Updated:
    """Join the rows of several statements; a row in two of them has the first old and the last new values."""
    first, *others = statements
    if not others:
        return first
    table = [*first.full_table()]
    places = {first.plan.key_of(row): at for at, row in enumerate(table)}
    for rows in others:
        for row in rows.full_table():
            at = places.setdefault(rows.plan.key_of(row), len(table))
            if at == len(table):
                table.append(row)
            else:
                table[at] = (*table[at][: len(rows.plan.fields)], *row[len(rows.plan.fields) :])
    return Updated.of(first.model, first.using, first.update_fields, first.plan, table)


def _changed(rows: Updated) -> Updated:
    names = [field.attname for field in rows.plan.fields[rows.plan.keys :]]
    return rows.only(rows.positions_of_changes(names))


def _of_instances(rows: Updated, by_key: dict[Any, Any]) -> Updated:
    """Return rows with their instances; without these if a key differs from the instance's, as "FR" from "fr"."""
    given = [by_key.get(key) for key in rows.pks]
    return rows if None in given else replace(rows, given=given)
