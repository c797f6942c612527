"""Writes under way: their transaction, and the statements that are made in place of Django's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, Protocol

from django.db import DatabaseError, connections, transaction

from heliograph.changes.row_locks import immediate, lock_database
from heliograph.transactions.pending import is_of_test

# --- the transaction ---------------------------------------------------------------------------------------------


@contextmanager
def in_transaction(using: str, reads: Any = None) -> Iterator[None]:
    """Put a transaction around a write and those who hear of it: what they raise undoes the write.

    `reads` is the model of which rows are read before they are written.
    """
    connection = connections[using]
    blocks = connection.atomic_blocks
    # A test goes on after what is raised here, and has nothing else to roll back to.
    block = transaction.atomic(using, savepoint=bool(blocks) and is_of_test(blocks[-1]))
    with _sound_unless_written(connection) as note, ExitStack() as stack:
        with immediate(connection):
            stack.enter_context(block)
        if reads is not None:
            lock_database(connection, reads)
        stack.enter_context(connection.execute_wrapper(note))
        yield


@contextmanager
def _sound_unless_written(connection: Any) -> Iterator[Callable[..., Any]]:
    """Let a transaction go on after an error before anything was written, as one that Django raises for an argument.

    The block of such an error would spoil it. What is given is to be told of the statements that are executed.
    """
    is_sound = connection.in_atomic_block and not connection.needs_rollback
    written: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if not sql.startswith(("SELECT", "SAVEPOINT", "RELEASE")):
            written.append(sql)
        return execute(sql, *args)

    try:
        yield note
    except DatabaseError:
        raise
    except BaseException:
        if is_sound and not written:
            connection.needs_rollback = False
        raise


@contextmanager
def unspoiled(using: str) -> Iterator[None]:
    """Let a test go on after an error: Django takes its transaction for spoiled, and what was written is undone."""
    connection = connections[using]
    blocks = connection.atomic_blocks
    is_sound = bool(blocks) and is_of_test(blocks[-1]) and not connection.needs_rollback
    try:
        yield
    except BaseException:
        if is_sound:
            connection.needs_rollback = False
        raise


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
    """What is done in place of a statement of Django's."""

    def replaces(self, query: Any) -> bool:
        """Return whether this is the statement of a query."""

    def execute(self, compiler: Any, inner: Callable[[], Any], *args: Any) -> Any:
        """Do it, and return what Django's own `execute_sql`, which is `inner`, does with these arguments."""


Values = Mapping[str, Any]  # what an update sets, by the names of the fields

_parts: ContextVar[Callable[[Any, Values], bool]] = ContextVar("heliograph_parts", default=lambda model, values: False)


def is_part(model: Any, values: Values) -> bool:
    """Return whether an update is a part of a write that is told as a whole."""
    return _parts.get()(model, values)


@contextmanager
def as_one(are_parts: Callable[[Any, Values], bool]) -> Iterator[None]:
    """Say which updates are parts of a write that is told as a whole."""
    token = _parts.set(are_parts)
    try:
        yield
    finally:
        _parts.reset(token)


_statement: ContextVar[Statement | None] = ContextVar("heliograph_statement", default=None)


def is_in_place() -> bool:
    """Return whether statements are made in place of Django's."""
    return _statement.get() is not None


@contextmanager
def in_place(statement: Statement | None) -> Iterator[None]:
    """Let a statement be made in place of Django's; None leaves Django's alone."""
    token = _statement.set(statement)
    try:
        yield
    finally:
        _statement.reset(token)


def get_compiler(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method of queries that gives what executes them."""

    @wraps(inner)
    def get_compiler(self: Any, *args: Any, **kwargs: Any) -> Any:
        compiler = inner(self, *args, **kwargs)
        statement = _statement.get()
        if statement is not None and statement.replaces(self):
            compiler.execute_sql = partial(_execute, statement, compiler, compiler.execute_sql)
        return compiler

    return get_compiler


def _execute(statement: Statement, compiler: Any, inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with in_place(None), as_one(lambda model, values: False):
        return statement.execute(compiler, partial(inner, *args, **kwargs), *args)
