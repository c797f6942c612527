"""Writes by `bulk_update()`: receivers are called before it, and get the rows that have another value than before."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from heliograph.bulk.audience import Audience, audience_of
from heliograph.bulk.deliver import before_write, deliver_write, send_before
from heliograph.bulk.due_rows import due_instances
from heliograph.bulk.update import is_awaited
from heliograph.bulk.update_statements import Update
from heliograph.bulk.write import alias_of, as_one, in_place, in_transaction
from heliograph.changes.rows import Rows, Updated, normal_key
from heliograph.orm.querysets import BulkUpdate
from heliograph.orm.steps import Proceed
from heliograph.transactions.before_write import Attempts


def bulk_update(proceed: Proceed, update: BulkUpdate) -> Any:
    """Send the bulk signals of an update of instances, if their model has an audience."""
    audience = audience_of(update.queryset.model)
    if audience is None:
        return proceed(update)
    update.instances, update.fields = instances, names = [*update.instances], [*update.fields]
    if not _is_sound(update.queryset.model, instances, names):  # for which Django has its own error
        return proceed(update)
    return _sent(proceed, update, instances, names, audience)


def _is_sound(model: Any, instances: Sequence[Any], names: Sequence[str]) -> bool:
    """Return whether Django will write anything, and not refuse it."""
    concrete = {name for one in model._meta.concrete_fields for name in (one.name, one.attname)}
    return bool(instances and names) and concrete.issuperset(names) and all(one._is_pk_set() for one in instances)


def _sent(proceed: Proceed, update: BulkUpdate, instances: Sequence[Any], names: list[str], audience: Audience) -> Any:
    using, model = alias_of(update.queryset), update.queryset.model
    with in_transaction(using, model):
        written = set(names)  # to which receivers may add
        audience.send("pre_bulk_update", model, instances=instances, update_fields=written, using=using)
        send_before(model, instances, update_fields=written, using=using)
        names += written.difference(names)
        before, attempts = before_write(model, using, names), Attempts(using)
        if before is not None:
            attempts = before([due_instances(update.queryset, instances, names, using)])
        if not is_awaited(audience, "post_bulk_update", model, using, names):
            return attempts.write(partial(_unread, proceed, update))
        count, done = attempts.write(partial(_updated, proceed, update, model, using))
        # The fields are taken from the statements, since a manager may have replaced the names that it was given.
        fields = frozenset[str]().union(*(rows.update_fields for rows in done))
        writes = _rewritten(done, instances) if done else []
        deliver_write(audience, "post_bulk_update", model, writes, update_fields=fields, using=using)
    return count


def _unread(proceed: Proceed, update: BulkUpdate) -> Any:
    """Update the rows for nobody, and return what Django's method returns."""
    with _as_one_update(update):
        return proceed(update)


def _updated(proceed: Proceed, update: BulkUpdate, model: Any, using: str) -> tuple[Any, list[Updated]]:
    """Update the rows; return what Django's method returns, and the rows of each statement."""
    done: list[Updated] = []
    statements = Update(model, using, reads_all=True, deliver=done.append, is_ordered=True)
    with _as_one_update(update), in_place(statements):
        return proceed(update), done


def _as_one_update(update: BulkUpdate) -> AbstractContextManager[None]:
    """Let the calls of `update()` in the block, by which Django updates the rows, be no updates of their own."""
    model = update.queryset.model
    return as_one(lambda updated, _: updated is model)


# --- the rows that were changed -----------------------------------------------------------------------------------


def _rewritten(statements: Sequence[Updated], instances: Sequence[Any]) -> list[Rows]:
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
    positions = {first.plan.key_of(row): at for at, row in enumerate(table)}
    for rows in others:
        for row in rows.full_table():
            at = positions.setdefault(rows.plan.key_of(row), len(table))
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
