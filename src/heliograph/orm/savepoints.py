"""Savepoints: the methods of a database connection by which a savepoint, or a transaction, begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from heliograph.orm import savepoint_times
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
    """Call the steps after autocommit was set, which commits a transaction that was open."""

    @wraps(inner)
    def set_autocommit(self: Any, autocommit: bool, *args: Any, **kwargs: Any) -> None:
        inner(self, autocommit, *args, **kwargs)
        if autocommit:
            for step in reversed(steps):
                step(self)

    return set_autocommit


_RECORD = "record_time"
savepoint_rollback = Method("savepoint_rollback", ("call_undone", _RECORD), _wrap, BaseDatabaseWrapper)
_set_autocommit_of_connection = Method("set_autocommit", (_RECORD,), _set_autocommit, BaseDatabaseWrapper)
_close_connection = Method("close", (_RECORD,), _close, BaseDatabaseWrapper)

# The function that records what each of the other methods has done.
_RECORDING: dict[str, Callable[..., None]] = {
    "savepoint": savepoint_times.savepoint_made,
    "savepoint_commit": savepoint_times.savepoint_released,
    "commit": savepoint_times.committed,
    "rollback": savepoint_times.rolled_back,
}
_METHODS = {name: Method(name, (_RECORD,), _wrap, BaseDatabaseWrapper) for name in _RECORDING}


def _steps() -> Iterator[Step]:
    for name, record in _RECORDING.items():
        yield _METHODS[name].step(_RECORD, record)
    yield savepoint_rollback.step(_RECORD, savepoint_times.savepoint_rolled_back)
    yield _set_autocommit_of_connection.step(_RECORD, savepoint_times.committed)
    yield _close_connection.step(_RECORD, savepoint_times.rolled_back)


# While this lease is taken, a savepoint time knows whether it was rolled back.
of_connections = PatchLease(_steps)
