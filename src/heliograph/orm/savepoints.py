"""Savepoints: the methods of a database connection by which a savepoint, or a transaction, begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from heliograph.orm import savepoint_times
from heliograph.orm.steps import Method, PatchLease, Proceed, Step, around


def _wrap(inner: Proceed, steps: Sequence[Proceed]) -> Proceed:
    run = around(inner, steps)

    @wraps(inner)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, *args, **kwargs)

    return method


_RECORD = ("record_time",)
savepoint_rollback = Method("savepoint_rollback", ("call_undone", *_RECORD), _wrap, BaseDatabaseWrapper)
_METHODS = {
    "savepoint_rollback": savepoint_rollback,
    **{
        name: Method(name, _RECORD, _wrap, BaseDatabaseWrapper)
        for name in ("savepoint", "savepoint_commit", "commit", "rollback", "set_autocommit", "close")
    },
}


def _savepoint(proceed: Proceed, connection: Any) -> Any:
    sid = proceed(connection)
    savepoint_times.savepoint_made(connection, sid)
    return sid


def _savepoint_rollback(proceed: Proceed, connection: Any, sid: str) -> None:
    proceed(connection, sid)
    savepoint_times.savepoint_rolled_back(connection, sid)


def _savepoint_commit(proceed: Proceed, connection: Any, sid: str) -> None:
    proceed(connection, sid)
    savepoint_times.savepoint_released(connection, sid)


def _commit(proceed: Proceed, connection: Any) -> None:
    proceed(connection)
    savepoint_times.ended(connection, rolled_back=False)


def _rollback(proceed: Proceed, connection: Any) -> None:
    proceed(connection)
    savepoint_times.ended(connection, rolled_back=True)


def _set_autocommit(proceed: Proceed, connection: Any, autocommit: bool, *args: Any, **kwargs: Any) -> None:
    proceed(connection, autocommit, *args, **kwargs)
    if autocommit:  # this commits a transaction that was open by hand; atomic() has reported its end before
        savepoint_times.ended(connection, rolled_back=False)


def _close(proceed: Proceed, connection: Any) -> None:
    try:
        proceed(connection)
    finally:
        savepoint_times.ended(connection, rolled_back=True)  # a committed transaction is not recorded any more


_RUN: dict[str, Callable[..., Any]] = {
    "savepoint": _savepoint,
    "savepoint_rollback": _savepoint_rollback,
    "savepoint_commit": _savepoint_commit,
    "commit": _commit,
    "rollback": _rollback,
    "set_autocommit": _set_autocommit,
    "close": _close,
}


def _steps() -> Iterator[Step]:
    for name, run in _RUN.items():
        yield _METHODS[name].step("record_time", run)


# While this lease is taken, a savepoint time knows whether it was rolled back.
of_connections = PatchLease(_steps)
