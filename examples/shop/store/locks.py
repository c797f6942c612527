"""Locks of rows, for figures that are computed from other rows."""

from typing import TypeVar

from django.db import connections
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


def lock(rows: QuerySet[Row]) -> list[Row]:
    """Lock rows until the transaction ends, and return them.

    Two transactions that add up one order at the same time do not see each other's items: the later one would store a
    sum without the items of the earlier one. So it waits here, and reads the items in its next statement. All
    transactions lock in the order of the keys; otherwise two transactions with several orders could wait for each
    other. PostgreSQL has a weaker lock for this, under which others may still insert items that refer to the order.
    SQLite has one writer at a time.
    """
    no_key = connections[rows.db].features.has_select_for_no_key_update
    return list(rows.order_by("pk").select_for_update(no_key=no_key))
