"""Hooks: the patches that tell the end of a transaction, while somebody waits for one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial, wraps
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, ref

from django.db import router, transaction
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import post_save, pre_save

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.routes import registering
from heliograph.orm.patching import forwarding_code
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold, PatchLease, Step, StepOrder
from heliograph.transactions import rollbacks
from heliograph.transactions.autocommit_save import running, turn_for
from heliograph.transactions.flush import finish, settle
from heliograph.transactions.pending import Stage, is_held, is_outermost, release_held, run_first, taken


def _steps() -> Iterator[Step]:
    yield from _steps_of_end(vars(transaction.Atomic)["__exit__"])
    reason = "in autocommit, is where receivers run outside of the transaction"
    yield Step(Model, "save_base", _save_base, reason, StepOrder.TRANSACTION)


def _steps_of_model(model: Any) -> Iterator[Step]:
    reason = "marks the models for whose saves a receiver waits until the end"
    yield Step(model, _AWAITED, lambda _: True, reason, StepOrder.TRANSACTION)
    yield Step(model, "_save_table", _save_table, "is the transaction of a save in autocommit", StepOrder.TRANSACTION)


_AWAITED = "_heliograph_is_awaited"
_for_all = PatchLease(_steps)
_for_models: WeakKeyDictionary[Any, PatchLease] = WeakKeyDictionary()


def _for_model(model: Any) -> PatchLease:
    with registering:
        if model not in _for_models:
            here = ref(model)
            _for_models[model] = PatchLease(lambda: _steps_of_model(here()))
        return _for_models[model]


def taken_at(place: Target) -> tuple[Hold, ...]:
    """Return what keeps in place the hooks that a receiver at a place needs, for as long as it is referred to."""
    if place.signal is not pre_save and place.signal is not post_save:
        return of_connections.take(), _for_all.take()
    model = place.sender if isinstance(place.sender, ModelBase) else Model
    return of_connections.take(), _for_all.take(), _for_model(model).take()


def _steps_of_end(end: Any) -> Iterator[Step]:
    """Yield what makes the end of a block ours, also of one that is open by now: it has its `__exit__` in hand."""
    reason = "is the end of a transaction, of which Django tells nobody before"
    if not isinstance(end, FunctionType) or end.__code__.co_freevars:  # a tool has put a wrapper around it
        yield Step(transaction.Atomic, "__exit__", _exit, reason, StepOrder.TRANSACTION)
        return
    if end.__code__ is not _FORWARDING:
        # Not a patch: it stays, for a thread that is about to call it when the code is put back.
        setattr(transaction.Atomic, _EXIT, _exit(FunctionType(end.__code__, end.__globals__, end.__name__)))
    yield Step(end, "__code__", lambda _: _FORWARDING, reason, StepOrder.TRANSACTION)


_EXIT = "_heliograph_exit"
_FORWARDING = forwarding_code("__exit__", _EXIT)


def _exit(inner: Callable[..., None]) -> Callable[..., None]:
    @wraps(inner)
    def exit_(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        connection = transaction.get_connection(self.using)
        if self._from_testcase:
            rollbacks.forget(connection)  # the rollback at the end of a test calls no receiver
        if not (connection.run_on_commit or rollbacks.is_awaited(connection)) or not is_outermost(connection):
            inner(self, exc_type, exc_value, traceback)
            return
        is_lost, is_real = exc_type is not None or not _is_sound(connection), len(connection.atomic_blocks) == 1
        try:
            if not is_lost:
                _settle(connection, partial(inner, self))
            _end(connection, partial(inner, self, exc_type, exc_value, traceback), exc_type is None)
        except BaseException:
            is_lost = is_lost or not is_real  # of a real one, the connection knows whether it was rolled back
            raise
        finally:
            release_held(connection)
            rollbacks.end(connection, is_lost=is_lost)

    return exit_


def _settle(connection: Any, end: Callable[..., None]) -> None:
    """Make what is due before the commit; an error ends the transaction."""
    try:
        settle(connection)
    except BaseException as error:
        taken(connection, *Stage)
        end(type(error), error, error.__traceback__)
        raise


def _is_sound(connection: Any) -> bool:
    """Return whether a transaction will be committed when its block ends without an error."""
    return not connection.needs_rollback and not connection.closed_in_transaction


def _end(connection: Any, end: Callable[[], None], is_good: bool) -> None:
    """End a transaction, and make what is due after it; in a test, Django does not commit it."""
    due = taken(connection, *Stage)
    is_real = len(connection.atomic_blocks) == 1
    is_good = is_good and _is_sound(connection)
    if (due or is_held(connection)) and is_good and is_real:

        def finish_committed() -> None:  # not a partial: Django 5.2 asks for its __qualname__
            release_held(connection)
            finish(due)

        run_first(connection, finish_committed)
    end()
    if due and is_good and not is_real:
        finish(due)


def _save_base(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def save_base(
        self: Any,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> Any:
        # Every save of every model comes through here: *args and **kwargs would take three times as long.
        if not getattr(self, _AWAITED, False):
            return inner(self, raw, force_insert, force_update, using, update_fields)
        with turn_for(self, using or router.db_for_write(type(self), instance=self)):
            return inner(self, raw, force_insert, force_update, using, update_fields)

    return save_base


def _save_table(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def _save_table(
        self: Any,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> Any:
        write = partial(inner, self, raw, cls, force_insert, force_update, using, update_fields)
        turn = running(self)
        if turn is None or turn.is_written:
            return write()
        turn.begin()
        return turn.write(write, raw, update_fields) if cls is self._meta.concrete_model else write()

    return _save_table
