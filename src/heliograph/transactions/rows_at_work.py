"""Re-entrancy by rows: a receiver of bulk writes is not called again for the rows that it is handling."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from heliograph.changes.rows import Rows
from heliograph.dispatch.describe import full_name
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.reentrancy import Handling, RowId, at_work
from heliograph.transactions.row_identity import Table, parts_of, rows_in, table_of


class HandlingRows(Handling):
    """A receiver at work on the rows of bulk writes."""

    __slots__ = ("_rows", "tables", "writes")

    def __init__(self, receiver: Receiver, writes: Sequence[Rows], tables: Sequence[Table] | None = None) -> None:
        self.receiver, self.instance, self.using = receiver, None, None
        self.writes = writes
        self.tables = [table_of(rows.model, rows.using) for rows in writes] if tables is None else tables
        self._rows: set[RowId] | None = None

    def rows(self) -> Collection[RowId]:
        if self._rows is None:  # made only when it is needed
            written = zip(self.writes, self.tables, strict=True)
            self._rows = {row for rows, table in written for row in rows_in(rows.model, table, rows.pks)}
        return self._rows

    def __str__(self) -> str:
        model = self.writes[0].model.__name__ if self.writes else "no model"
        return f"{full_name(self.receiver)} ({sum(map(len, self.writes))} rows of {model})"


def not_at_work(receiver: Receiver, rows: Rows) -> Rows:
    """Return the rows that a receiver is not at work on already."""
    handled = [row for handling in at_work() if handling.receiver == receiver for row in handling.rows()]
    tables = {part.table for part in parts_of(rows.model, rows.using) if part.has_same_key} if handled else ()
    busy = {key for table, key in handled if table in tables}
    free = [at for at, key in enumerate(rows.pks) if key not in busy] if busy else ()
    return rows.only(free) if busy and len(free) < len(rows) else rows
