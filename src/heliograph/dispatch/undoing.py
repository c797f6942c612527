"""Undoing: if one of several connections is refused, the others are undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

Undo = Callable[[], object]

_undos: ContextVar[list[Undo] | None] = ContextVar("heliograph_undos", default=None)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Undo all connections that were made in this block if the block raises an error."""
    outer, undos = _undos.get(), list[Undo]()
    token = _undos.set(undos)
    try:
        yield
    except BaseException:
        for undo in reversed(undos):
            undo()
        raise
    else:
        if outer is not None:
            outer.extend(undos)
    finally:
        _undos.reset(token)


def undone_by(undo: Callable[..., object], *args: Any, **options: Any) -> None:
    """Remember the call that undoes a new connection, until the surrounding `all_or_nothing` block ends."""
    undos = _undos.get()
    if undos is not None:
        undos.append(partial(undo, *args, **options))
