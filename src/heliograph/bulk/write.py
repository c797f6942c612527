"""Writes under way: their transaction, and the statements that are executed in place of Django's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple, Protocol

from django.db import DatabaseError, connections, transaction

from heliograph.changes.row_locks import locking_block
from heliograph.transactions.pending import is_of_test


def alias_of(queryset: Any) -> str:
    """Return the alias of the database that a queryset writes to."""
    queryset._for_write = True
    using: str = queryset.db
    return using


# --- the transaction ---------------------------------------------------------------------------------------------


@contextmanager
def in_transaction(using: str, reads: Any = None) -> Iterator[None]:
    """Put a transaction around a write and its receivers, so that an error of a receiver undoes the write.

    `reads` is the model whose rows are read before they are written.
    """
    connection = connections[using]
    blocks = connection.atomic_blocks
    # In a test that goes on after an error, only a savepoint can be rolled back.
    block = transaction.atomic(using, savepoint=bool(blocks) and is_of_test(blocks[-1]))
    is_sound = connection.in_atomic_block and not connection.needs_rollback
    with (
        _sound_unless_written(connection) if is_sound else nullcontext() as watch,
        locking_block(connection, block, reads),
        nullcontext() if watch is None else connection.execute_wrapper(watch),
    ):
        yield


@contextmanager
def _sound_unless_written(connection: Any) -> Iterator[Callable[..., Any]]:
    """Let the open transaction go on after an error before the first write, such as Django's about an argument.

    Otherwise the block around such an error would force a rollback. Yields the function that watches the statements.
    """
    written: list[str] = []

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE")):
            written.append(sql)
        return execute(sql, *args)

    try:
        yield watch
    except DatabaseError:
        raise
    except BaseException:
        if not written:
            _restore_soundness(connection)
        raise


@contextmanager
def updating(queryset: Any) -> Iterator[str]:
    """Yield the alias of the database that an update writes to, and let a test go on after an error in the block.

    After an error Django would force a rollback of the test, although the update is undone already.
    """
    using = alias_of(queryset)
    connection = connections[using]
    blocks = connection.atomic_blocks
    is_sound = bool(blocks) and is_of_test(blocks[-1]) and not connection.needs_rollback
    try:
        yield using
    except BaseException:
        if is_sound:
            _restore_soundness(connection)
        raise


def _restore_soundness(connection: Any) -> None:
    connection.needs_rollback = False
    connection.rollback_exc = None  # its traceback would keep receivers that have left


@contextmanager
def as_they_were(instances: Sequence[Any], using: str) -> Iterator[None]:
    """Restore instances to their state before a write if an error in autocommit undoes the write."""
    if connections[using].in_atomic_block:
        yield
        return
    before = [(one, one.pk, one._state.adding, one._state.db) for one in instances]
    try:
        yield
    except BaseException:
        for one, key, adding, alias in before:
            one.pk, one._state.adding, one._state.db = key, adding, alias
        raise


# --- statements --------------------------------------------------------------------------------------------------


class Statement(Protocol):
    """A statement that is executed in place of one of Django's."""

    def replaces(self, query: Any) -> bool:
        """Return whether this is executed in place of the statement of a query."""

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Execute it, and return what Django's `execute_sql`, which is `inner`, returns for these arguments."""


Values = Mapping[str, Any]  # the values that an update sets, by the names of the fields


class _UnderWay(NamedTuple):
    """The write that is under way."""

    statement: Statement | None = None  # takes the place of Django's
    is_part: Callable[[Any, Values], bool] | None = None  # whether an update is a part of this write


_NOTHING = _UnderWay()
_under_way: ContextVar[_UnderWay] = ContextVar("heliograph_write_under_way", default=_NOTHING)


def is_in_place() -> bool:
    """Return whether a statement is executed in place of Django's."""
    return _under_way.get().statement is not None


def is_part(model: Any, values: Values) -> bool:
    """Return whether an update is a part of a write that is delivered as a whole."""
    of_write = _under_way.get().is_part
    return of_write is not None and of_write(model, values)


@contextmanager
def in_place(statement: Statement | None) -> Iterator[None]:
    """Execute a statement in place of Django's; None leaves Django's alone."""
    token = _under_way.set(_under_way.get()._replace(statement=statement))
    try:
        yield
    finally:
        _under_way.reset(token)


@contextmanager
def as_one(of_write: Callable[[Any, Values], bool]) -> Iterator[None]:
    """Deliver a write as a whole; `of_write` says which updates are parts of it."""
    token = _under_way.set(_under_way.get()._replace(is_part=of_write))
    try:
        yield
    finally:
        _under_way.reset(token)


def replace_statement(query: Any, compiler: Any) -> None:
    """Let the compiler of a query execute the statement that is in place of Django's, if there is one.

    The compiler refers to itself then, and so lives until garbage collection: it must not refer to the statement, which
    refers to receivers.
    """
    if _under_way.get().statement is not None:
        compiler.execute_sql = partial(_execute, compiler, compiler.execute_sql)


def _execute(compiler: Any, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Execute the statement in place of the query's own; the queries that it makes are left to Django."""
    statement = _under_way.get().statement
    if statement is None or not statement.replaces(compiler.query):
        return inner(*args, **kwargs)
    token = _under_way.set(_NOTHING)
    try:
        return statement.execute(compiler, partial(inner, *args, **kwargs), *args)
    finally:
        _under_way.reset(token)
