"""Connecting as a whole: where one of several connections is refused, the others are undone."""

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
    """Undo what was connected in this block where the block raises: a list of senders is connected whole, or not."""
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
    """Keep the call that undoes a connection which was just made, for as long as its block may raise."""
    undos = _undos.get()
    if undos is not None:
        undos.append(partial(undo, *args, **options))
