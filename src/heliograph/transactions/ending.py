"""Ending: the patches by which the end of a transaction is known, and the end of a save in autocommit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import post_save, pre_save

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.routes import registering
from heliograph.orm import atomic, saving
from heliograph.orm.savepoints import of_connections
from heliograph.orm.steps import Hold, Method, PatchLease, Step, is_there
from heliograph.transactions.autocommit_save import AWAITED, join_transaction, save_in_autocommit
from heliograph.transactions.flush import end_block


def holds_on_end(target: Target) -> tuple[Hold, ...]:
    """Return holds on the patches that a receiver at a target needs in order to wait for the end of a transaction."""
    if target.signal is not pre_save and target.signal is not post_save:
        return of_connections.take(), _of_blocks.take()
    model = target.sender if isinstance(target.sender, ModelBase) else Model
    of_model = lease_of(model, _for_models, _steps_of_model)
    return of_connections.take(), _of_blocks.take(), _of_saves.take(), of_model.take()


Leases = WeakKeyDictionary[Any, PatchLease]  # one for each model


def lease_of(model: Any, leases: Leases, steps_of: Callable[[ref[Any]], list[Step]]) -> PatchLease:
    """Return the lease of a model, whose steps are made of a reference to the model."""
    with registering:
        if model not in leases:
            leases[model] = PatchLease(partial(steps_of, ref(model)))
        return leases[model]


def _steps_of_blocks() -> Iterator[Step]:
    yield atomic.step_of_exit(end_block)


def _steps_of_saves() -> Iterator[Step]:
    yield saving.save_base.step("autocommit_save", save_in_autocommit, Model)


def _steps_of_model(reference: ref[Any]) -> list[Step]:
    model = reference()
    mark = _awaited.step("mark", lambda: None, model)
    return [mark, saving.save_table.step("join_transaction", join_transaction, model)]


# Marks the models for whose saves a receiver waits until the end of a transaction.
_awaited = Method(AWAITED, ("mark",), is_there, are_around=False)
_of_blocks = PatchLease(_steps_of_blocks)
_of_saves = PatchLease(_steps_of_saves)
_for_models: Leases = WeakKeyDictionary()
