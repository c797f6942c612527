"""Savepoints: the methods of a database connection by which a savepoint, or a transaction, begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from heliograph.orm.savepoint_times import RECORD
from heliograph.orm.steps import Method, PatchLease, Proceed, Step


def _wrap(inner: Proceed, steps: Sequence[Proceed]) -> Proceed:
    """Call the steps after the method, the innermost first: each with the connection, the result and the arguments."""
    from_inside = [*reversed(steps)]

    @wraps(inner)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(self, *args, **kwargs)
        for step in from_inside:
            step(self, result, *args, **kwargs)
        return result

    return method


def _close(inner: Proceed, steps: Sequence[Proceed]) -> Proceed:
    """Call the steps after the method, also after an error."""

    @wraps(inner)
    def close(self: Any) -> None:
        try:
            inner(self)
        finally:
            for step in reversed(steps):
                step(self)

    return close


def _set_autocommit(inner: Proceed, steps: Sequence[Proceed]) -> Proceed:
    """Call the steps after a transaction that was recorded has ended because autocommit was set."""

    @wraps(inner)
    def set_autocommit(self: Any, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        inner(self, autocommit, *args, **kwargs)
        if autocommit and RECORD in self.__dict__:
            for step in reversed(steps):
                step(self)

    return set_autocommit


# --- the steps after the methods of a connection: called with the connection, their result and their arguments -------


def _savepoint(connection: Any, savepoint: str | None) -> None:
    """Record a new savepoint; None is one that the database does not have."""
    transaction = connection.__dict__.get(RECORD)
    if transaction is not None and savepoint is not None:
        transaction.mark(savepoint)


def _savepoint_commit(connection: Any, _: Any, savepoint: str) -> None:
    """Record that a savepoint is gone: what was done since it stays as long as what was done before."""
    transaction = connection.__dict__.get(RECORD)
    if transaction is not None:
        transaction.release(savepoint)


def _savepoint_rollback(connection: Any, _: Any, savepoint: str) -> None:
    """Record the rollback of a savepoint."""
    transaction = connection.__dict__.get(RECORD)
    if transaction is not None:
        transaction.roll_back_to(savepoint)


def _committed(connection: Any, _: Any = None) -> None:
    """Record that the transaction is committed, if there is one: `atomic()` has recorded the end of its own before."""
    transaction = connection.__dict__.pop(RECORD, None)
    if transaction is not None:
        transaction.is_open = False


def _rolled_back(connection: Any, _: Any = None) -> None:
    """Record that the transaction is rolled back, if there is one: a committed one is not recorded any more."""
    transaction = connection.__dict__.pop(RECORD, None)
    if transaction is not None:
        transaction.roll_back()


# --- the methods ------------------------------------------------------------------------------------------------

_STEP = "record_time"
savepoint_rollback = Method("savepoint_rollback", ("call_undone", _STEP), _wrap, BaseDatabaseWrapper, are_around=False)
_set_autocommit_of_connection = Method(
    "set_autocommit", (_STEP,), _set_autocommit, BaseDatabaseWrapper, are_around=False
)
_close_connection = Method("close", (_STEP,), _close, BaseDatabaseWrapper, are_around=False)

# The function that records what each of the other methods has done.
_RECORDING: dict[str, Callable[..., None]] = {
    "savepoint": _savepoint,
    "savepoint_commit": _savepoint_commit,
    "commit": _committed,
    "rollback": _rolled_back,
}
_METHODS = {name: Method(name, (_STEP,), _wrap, BaseDatabaseWrapper, are_around=False) for name in _RECORDING}


def _steps() -> Iterator[Step]:
    for name, record in _RECORDING.items():
        yield _METHODS[name].step(_STEP, record)
    yield savepoint_rollback.step(_STEP, _savepoint_rollback)
    yield _set_autocommit_of_connection.step(_STEP, _committed)
    yield _close_connection.step(_STEP, _rolled_back)


# While this lease is taken, a savepoint time knows whether it was rolled back.
of_connections = PatchLease(_steps)
