"""Writes by `update()`: receivers are called before it, and get the rows that it has really updated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from weakref import ref

from django.db.models.signals import post_save

from heliograph.bulk.audience import BEFORE_WRITE, Audience, audience_of
from heliograph.bulk.deliver import before_write, deliver_update, deliver_write
from heliograph.bulk.due_rows import Before, due, due_by_keys
from heliograph.bulk.update_statements import Update
from heliograph.bulk.write import in_place, in_transaction, is_part, updating
from heliograph.changes.rows import Updated
from heliograph.dispatch.guarded import Guarded
from heliograph.orm.steps import Proceed
from heliograph.transactions.choosing import may_hold

# The signals through which the rows of updates are received.
_AFTER = ("post_update", "post_save", "m2m_changes")
_SIGNALS = (BEFORE_WRITE, *_AFTER)


def update(proceed: Proceed, queryset: Any, /, **values: Any) -> Any:
    """Send the signals of an update, if its model has an audience."""
    model = queryset.model
    audience = None if is_part(model, values) else audience_of(model, "pre_update", *_SIGNALS)
    if audience is None:
        return proceed(queryset, **values)
    with updating(queryset) as using:
        if "pre_update" not in audience.signals:
            with in_place(_statement(audience, model, using, values)):
                return proceed(queryset, **values)
        with in_transaction(using):
            audience.send("pre_update", model, queryset=queryset._chain(), values=values, using=using)
            # Its receivers may have connected others, or muted them.
            with in_place(_statement(audience_of(model, *_SIGNALS), model, using, values)):
                return proceed(queryset, **values)


def _statement(audience: Audience | None, model: Any, using: str, values: Mapping[str, Any]) -> Update | None:
    """Return the statement of an update, which delivers its rows in its transaction; None if nobody receives rows."""
    if audience is None:
        return None
    before = before_write(model, using, values) if BEFORE_WRITE in audience.signals else None
    if before is None and not is_awaited(audience, "post_update", model, using, values):
        return None
    reads_all = not audience.signals.keys().isdisjoint(("post_update", "m2m_changes"))
    is_due = None if before is None else partial(_call_before, before)
    return Update(model, using, reads_all, partial(deliver_update, audience), before=is_due)


def is_awaited(audience: Audience, name: str, model: Any, using: str, updated: Collection[str]) -> bool:
    """Return whether somebody receives rows of an update of these fields; receivers of new rows alone do not.

    `name` names the bulk signal that would be sent with all rows.
    """
    if not audience.signals.keys().isdisjoint((name, "m2m_changes")):
        return True
    if not audience.receivers.get("post_save"):
        return False
    fields = [*map(model._meta.get_field, updated)]
    if any(getattr(field, "primary_key", False) for field in fields):  # a row with another key is another row
        return True
    names = frozenset(field.name for field in fields)
    payload = {"signal": post_save, "sender": model, "using": using, "raw": False, "created": False}
    return any(_may_receive(one, {**payload, "update_fields": names}) for one in audience.receivers["post_save"])


def _may_receive(receiver: ref[Guarded], payload: dict[str, Any]) -> bool:
    one = receiver()
    return one is not None and may_hold(one.options.when, payload)


def _call_before(before: Before, rows: Updated, values: Mapping[Any, Any]) -> None:
    before([due(rows, values)])


def update_batch(proceed: Proceed, query: Any, keys: Any, values: Any, using: str) -> None:
    """Send the signals of an update by keys, which Django makes of rows that refer to deleted ones."""
    audience = None if is_part(query.model, values) else audience_of(query.model, *_SIGNALS)
    if audience is None:
        proceed(query, keys, values, using)
        return
    before = before_write(query.model, using, values)
    if before is None and not is_awaited(audience, "post_update", query.model, using, values):
        proceed(query, keys, values, using)
        return
    if before is not None:
        with in_transaction(using, query.model):  # which reads before it writes
            before([due_by_keys(query, keys, values, using)])
    done: list[Updated] = []
    with in_place(Update(query.model, using, audience.reads_all("post_update"), done.append)):
        proceed(query, keys, values, using)
    names = frozenset(query.get_meta().get_field(name).name for name in values)
    deliver_write(audience, "post_update", query.model, done, update_fields=names, using=using)
