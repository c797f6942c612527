"""Transactions that a receiver leaves open: every later delivery of its thread would be in them, so they are ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import Error, connections

from heliograph.databases import database_of

_ADVICE = {
    "a block of atomic() open": "write `with transaction.atomic(using={0!r}):`",
    "autocommit off": "call `set_autocommit(True, using={0!r})` in a `finally`, or use `transaction.atomic()`",
    "a transaction open that its SQL has begun": "end it with COMMIT or ROLLBACK, or use `transaction.atomic()`",
}


class LeftOpenError(Exception):
    """A receiver has left a transaction open, or autocommit off."""


@dataclass(frozen=True, slots=True)
class _State:
    """The transaction of a connection before a receiver is called."""

    blocks: int  # of `atomic()`, which are open
    is_manual: bool  # whether commits are made by hand


@contextmanager
def none_left_open(receiver: str) -> Iterator[None]:
    """Roll back every transaction that a block leaves open, close its connection, and raise LeftOpenError.

    If the block raises an error, that one is raised, with a note.
    """
    before = _states()
    try:
        yield
    except BaseException as error:
        for text in _end_left(before):
            error.add_note(f"{receiver} {text}")
        raise
    if left := _end_left(before):
        raise LeftOpenError(" ".join(f"{receiver} {text}" for text in left))


def _states() -> Mapping[str, _State]:
    """Return the state of each connection of this thread, by alias."""
    return {one.alias: _State(len(one.atomic_blocks), _is_manual(one)) for one in _connections()}


def _end_left(before: Mapping[str, _State]) -> list[str]:
    """Roll back what was left open since then, and close its connections; return a text about each."""
    found = []
    for one in _connections():
        state = before.get(one.alias) or _State(0, not one.settings_dict["AUTOCOMMIT"])
        if left := _left(one, state):
            _end(one, state)
            advice = _ADVICE[left].format(one.alias)
            found.append(f"has left {left} on {one.alias!r}. What is not committed there is rolled back: {advice}.")
    return found


def _connections() -> list[Any]:
    return [*connections.all(initialized_only=True)]


def _left(connection: Any, state: _State) -> str | None:
    if len(connection.atomic_blocks) > state.blocks:
        return "a block of atomic() open"
    if connection.in_atomic_block or connection.connection is None or state.is_manual:
        return None
    if _is_manual(connection):
        return "autocommit off"
    return "a transaction open that its SQL has begun" if database_of(connection).has_begun(connection) else None


def _is_manual(connection: Any) -> bool:
    if connection.connection is None:
        return not connection.settings_dict["AUTOCOMMIT"]
    return not connection.in_atomic_block and not connection.autocommit


def _end(connection: Any, state: _State) -> None:
    """Leave the blocks as an error would, so that Django rolls them back, and then close the connection.

    In a transaction around the receiver, which is rolled back too, the connection stays.
    """
    error = LeftOpenError()
    with suppress(Error):
        for block in reversed(connection.atomic_blocks[state.blocks :]):
            block.__exit__(LeftOpenError, error, None)
        if not connection.in_atomic_block:
            connection.rollback()
            connection.set_autocommit(connection.settings_dict["AUTOCOMMIT"])
    if not connection.in_atomic_block:
        connection.close()
