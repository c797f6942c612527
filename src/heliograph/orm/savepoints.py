"""Savepoints: the steps around the methods of a connection that follow the savepoints and the end of a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from heliograph.orm import savepoint_times
from heliograph.orm.steps import PatchLease, Step, StepOrder


def _steps() -> Iterator[Step]:
    reason = "knows what is rolled back"
    for name, tell in _TELLING.items():
        yield Step(BaseDatabaseWrapper, name, partial(_telling, tell), reason, StepOrder.MEMORY)
    yield Step(BaseDatabaseWrapper, "close", _close, reason, StepOrder.MEMORY)


# While this lease is taken, a savepoint time knows whether it was rolled back.
of_connections = PatchLease(_steps)

# The function that is called after each method, with the connection, the result and the arguments.
_TELLING: dict[str, Callable[..., None]] = {
    "savepoint": savepoint_times.savepoint_made,
    "savepoint_rollback": lambda connection, _, sid: savepoint_times.savepoint_rolled_back(connection, sid),
    "savepoint_commit": lambda connection, _, sid: savepoint_times.savepoint_released(connection, sid),
    "commit": lambda connection, _: savepoint_times.ended(connection, rolled_back=False),
    "rollback": lambda connection, _: savepoint_times.ended(connection, rolled_back=True),
    "set_autocommit": lambda connection, _, autocommit, *__, **___: _autocommit_set(connection, autocommit),
}


def _telling(tell: Callable[..., None], inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(self, *args, **kwargs)
        tell(self, result, *args, **kwargs)
        return result

    return method


def _autocommit_set(connection: Any, autocommit: bool) -> None:
    if autocommit:  # this commits a transaction that was open by hand; atomic() has reported its end before
        savepoint_times.ended(connection, rolled_back=False)


def _close(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def close(self: Any) -> None:
        try:
            inner(self)
        finally:
            savepoint_times.ended(self, rolled_back=True)  # a committed transaction is not recorded any more

    return close
