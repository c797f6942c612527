"""Locks: rows are read and locked before they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet

from heliograph.changes.chunks import in_chunks
from heliograph.changes.locking_reads import Row, read_of, rows_to_lock
from heliograph.changes.plans import Plan
from heliograph.databases import database_of
from heliograph.orm.savepoint_times import identity_of_transaction, is_same_transaction

# --- rows --------------------------------------------------------------------------------------------------------

# On PostgreSQL an UPDATE locks with FOR NO KEY UPDATE, so that rows that refer to this one can be added meanwhile. A
# DELETE locks with FOR UPDATE; with the weaker lock first, two transactions could wait for each other.


def locked_row(plan: Plan, names: frozenset[str], using: str, key: Any, *, are_kept: bool) -> Row | None:
    """Lock a row, and return the values of its key and of these fields by attribute; None if there is no such row.

    `are_kept` says that the row will be updated and not deleted.
    """
    read = read_of(plan, names, connections[using], key, are_kept=are_kept)
    if read is not None:
        return read.row(key)
    return next(iter(_by_query(plan, names, using, [key], are_kept=are_kept).values()), None)


def locked_rows(
    plan: Plan, names: frozenset[str], using: str, keys: Sequence[Any], *, are_kept: bool
) -> Mapping[Any, Row]:
    """Lock rows, and return what `locked_row` returns by the keys that were given; missing rows are left out.

    The rows are locked in the order of their keys, in each table that has one of the fields. A collation may find the
    row "de" by the key "DE", and such a row has that key in the result.
    """
    found = _by_query(plan, names, using, keys, are_kept=are_kept) if len(keys) != 1 else {}
    if len(keys) == 1 or not found.keys() <= {*keys}:
        alone = {key: locked_row(plan, names, using, key, are_kept=are_kept) for key in keys if key not in found}
        found = {**found, **{key: row for key, row in alone.items() if row is not None}}
    return found


def _by_query(
    plan: Plan, names: frozenset[str], using: str, keys: Sequence[Any], *, are_kept: bool
) -> Mapping[Any, Row]:
    rows = rows_to_lock(plan, names, connections[using], are_kept=are_kept).order_by("pk")
    found = rows_by_keys(rows, keys)
    return {plan.key_of(row): dict(zip(rows.query.values_select, row, strict=True)) for row in found}


def locked_parent(parent: Any, using: str, key: Any, names: Sequence[str]) -> Mapping[str, Any] | None:
    """Lock the row of a parent whose child is about to be inserted, and return these values; None if it is missing."""
    no_key = connections[using].features.has_select_for_no_key_update
    rows = parent._base_manager.using(using).filter(pk=key).order_by().select_for_update(no_key=no_key)
    row: Mapping[str, Any] | None = next(iter(rows.values("pk", *names)), None)
    return None if row is None else {name: row[name] for name in names}


def rows_by_keys(rows: QuerySet[Any, Any], keys: Sequence[Any]) -> Iterator[Any]:
    """Yield the rows of a query that locks rows, as far as they have one of these primary keys."""
    for some in in_chunks(rows.model, rows.db, keys, locks=True):
        yield from rows.filter(pk__in=some)


# --- transactions ------------------------------------------------------------------------------------------------


def is_in_transaction(using: str) -> bool:
    """Return whether a transaction is open on a database, also one that is committed by hand."""
    connection = connections[using]
    return connection.in_atomic_block or not connection.get_autocommit()


def in_locking_transaction(using: str, model: Any) -> AbstractContextManager[None]:
    """Open a transaction for reading and writing a row of a model, unless a transaction is open already."""
    connection = connections[using]
    if not is_in_transaction(using):
        return locking_block(connection, transaction.atomic(using), model)
    lock_database(connection, model)
    return _OPEN_ALREADY


_OPEN_ALREADY = nullcontext()


# Where a database has one writer (SQLite), a transaction that begins here takes the lock for writing at once. An open
# transaction takes it by a statement that writes nothing, unless the settings have made it begin with the lock.


@contextmanager
def immediate(connection: Any) -> Iterator[None]:
    """Let a transaction that begins in the block take the lock for writing at once, where a database has one writer."""
    database = database_of(connection)
    if not database.has_one_writer:
        yield
        return
    is_open = is_in_transaction(connection.alias)
    with database.beginning_as_writer(connection) as is_writer:
        yield
    if is_writer and not is_open:
        setattr(connection, _LOCKED, identity_of_transaction(connection))


@contextmanager
def locking_block(connection: Any, block: Any, reads: Any) -> Iterator[None]:
    """Run in a block of `atomic()`, with the lock for writing if the block begins a transaction.

    `reads` is a model whose rows are read before they are written: the lock is also taken in a transaction that is open
    already. None is for a write that reads nothing.
    """
    is_open = connection.in_atomic_block or not connection.get_autocommit()
    with ExitStack() as stack:
        database = database_of(connection)
        with database.beginning_as_writer(connection) if database.has_one_writer else nullcontext(False) as is_writer:
            stack.enter_context(block)
        if is_writer and not is_open:
            setattr(connection, _LOCKED, identity_of_transaction(connection))
        elif reads is not None and database.has_one_writer:
            lock_database(connection, reads)
        yield


def lock_database(connection: Any, model: Any) -> None:
    """Take the lock for writing where a database has one writer, unless the transaction has the lock."""
    database = database_of(connection)
    if not database.has_one_writer:
        return
    identity = identity_of_transaction(connection)
    if is_same_transaction(identity, vars(connection).get(_LOCKED, ())):
        return
    if database.begins_as_reader(connection):
        table, key = model._meta.db_table, model._meta.pk_fields[0].column
        table, key = connection.ops.quote_name(table), connection.ops.quote_name(key)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {key} = {key} WHERE 0 = 1")
    setattr(connection, _LOCKED, identity)


# The attribute of a connection with the identity of the transaction that has taken the lock.
_LOCKED = "_heliograph_locked"
