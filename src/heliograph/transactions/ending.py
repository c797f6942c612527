"""Ending: the steps around the end of a transaction, and around a save in autocommit, which is a transaction too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

from django.db import transaction
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import post_save, pre_save

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.routes import registering
from heliograph.orm import atomic, saving
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold, Method, PatchLease, Proceed, Step
from heliograph.transactions import rollbacks
from heliograph.transactions.autocommit_save import AWAITED, join_transaction, save_in_autocommit
from heliograph.transactions.flush import finish, flush, take
from heliograph.transactions.pending import HELD, ON_ROLLBACK, Stage, is_outermost, release_held, run_first


def holds_on_end(target: Target) -> tuple[Hold, ...]:
    """Return holds on the patches that a receiver at a target needs in order to wait for the end of a transaction."""
    if target.signal is not pre_save and target.signal is not post_save:
        return of_connections.take(), _for_all.take()
    model = target.sender if isinstance(target.sender, ModelBase) else Model
    return of_connections.take(), _for_all.take(), _for_model(model).take()


def _steps() -> Iterator[Step]:
    yield atomic.step_of_exit(_exit)
    yield saving.save_base.step("autocommit_save", save_in_autocommit, Model)


def _steps_of_model(model: Any) -> Iterator[Step]:
    yield _awaited.step("mark", lambda: None, model)
    yield saving.save_table.step("join_transaction", join_transaction, model)


# Marks the models for whose saves a receiver waits until the end of a transaction.
_awaited = Method(AWAITED, ("mark",), lambda inner, steps: True)
_for_all = PatchLease(_steps)
_for_models: WeakKeyDictionary[Any, PatchLease] = WeakKeyDictionary()


def _for_model(model: Any) -> PatchLease:
    with registering:
        if model not in _for_models:
            here = ref(model)
            _for_models[model] = PatchLease(lambda: _steps_of_model(here()))
        return _for_models[model]


def _exit(proceed: Proceed, block: Any, exc_type: Any, exc_value: Any, traceback: Any) -> None:
    connection = transaction.get_connection(block.using)
    if block._from_testcase:
        rollbacks.forget(connection)  # the rollback at the end of a test calls no receiver
    if not (connection.run_on_commit or ON_ROLLBACK in connection.__dict__) or not is_outermost(connection):
        proceed(block, exc_type, exc_value, traceback)
        return
    is_lost, is_real = exc_type is not None or not _is_sound(connection), len(connection.atomic_blocks) == 1
    try:
        if not is_lost:
            _flush(connection, partial(proceed, block))
        is_good = exc_type is None and _is_sound(connection)
        _end(connection, partial(proceed, block, exc_type, exc_value, traceback), is_good)
    except BaseException:
        is_lost = is_lost or not is_real  # of a real one, the connection knows whether it was rolled back
        raise
    finally:
        if HELD in connection.__dict__:
            release_held(connection)
        if ON_ROLLBACK in connection.__dict__:
            rollbacks.end(connection, is_lost=is_lost)


def _flush(connection: Any, end: Callable[..., None]) -> None:
    """Make the calls that are due before the commit; an error ends the transaction."""
    try:
        flush(connection)
    except BaseException as error:
        take(connection, *Stage)
        end(type(error), error, error.__traceback__)
        raise


def _is_sound(connection: Any) -> bool:
    """Return whether a transaction will be committed when its block ends without an error."""
    return not connection.needs_rollback and not connection.closed_in_transaction


def _end(connection: Any, end: Callable[[], None], is_good: bool) -> None:
    """End a transaction, and make the calls that are due after it; in a test, Django does not commit it."""
    due = [one for one in take(connection, *Stage) if one.is_due] if connection.run_on_commit else []
    is_real = len(connection.atomic_blocks) == 1
    if (due or HELD in connection.__dict__) and is_good and is_real:

        def finish_committed() -> None:  # not a partial: Django 5.2 asks for its __qualname__
            release_held(connection)
            finish(due)

        run_first(connection, finish_committed)
    end()
    if due and is_good and not is_real:
        finish(due)
