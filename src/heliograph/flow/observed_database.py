"""Saves and queries as events, while a trace is open: by steps around Django's methods."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

from django.db.models import Model

from heliograph.dispatch.observed_calls import current_call, inside, new_number, notify
from heliograph.dispatch.observed_events import Ended, ObservedEvent
from heliograph.dispatch.scopes import current, watch
from heliograph.orm import cursors, saving
from heliograph.orm.steps import PatchLease, Proceed, Step


class _Saving(NamedTuple):
    model: Any
    using: str | None
    number: int
    parent: int | None


class Saving(ObservedEvent, _Saving):
    """An instance is about to be saved. The sends, statements and calls until its `Ended` have it as their parent."""

    __slots__ = ()


class _Queried(NamedTuple):
    sql: str
    using: str
    seconds: float
    number: int
    parent: int | None


class Queried(ObservedEvent, _Queried):
    """A statement was executed, without its parameters; `parent` is the call, the send or the save that has done it."""

    __slots__ = ()


def observe_save(proceed: Proceed, save: saving.SaveBase) -> Any:
    """Save an instance, and let scopes observe when the save begins and ends."""
    scopes = current() if watch else ()
    if not scopes:
        return proceed(save)
    number, began = new_number(), perf_counter()
    notify(scopes, Saving(type(save.instance), save.using, number, current_call()))
    try:
        with inside(number):
            return proceed(save)
    finally:
        notify(scopes, Ended(number, perf_counter() - began))


def observe_query(proceed: Proceed, cursor: Any, sql: Any, *args: Any) -> Any:
    """Execute a statement, and let scopes observe it."""
    scopes = current() if watch else ()
    if not scopes:
        return proceed(cursor, sql, *args)
    began = perf_counter()
    try:
        return proceed(cursor, sql, *args)
    finally:
        seconds = perf_counter() - began
        notify(scopes, Queried(str(sql), cursor.db.alias, seconds, new_number(), current_call()))


def _steps() -> Iterator[Step]:
    yield saving.save_base.step("observe", observe_save, Model)
    yield cursors.execute.step("observe", observe_query)
    yield cursors.execute_many.step("observe", observe_query)


of_saves_and_queries = PatchLease(_steps)
