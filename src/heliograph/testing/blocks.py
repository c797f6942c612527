"""Blocks of tests: context managers that decorate functions too, also async ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from heliograph.context.entering import within

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

F = TypeVar("F", bound=Callable[..., Any])


class Block(ABC):
    """A context manager and decorator, which makes a new block each time that it is entered or called."""

    def __init__(self) -> None:
        self._open: list[AbstractContextManager[None]] = []

    @abstractmethod
    def block(self) -> AbstractContextManager[None]:
        """Return a new block."""

    def __enter__(self) -> None:
        block = self.block()
        block.__enter__()
        self._open.append(block)

    def __exit__(self, *error: Any) -> None:
        self._open.pop().__exit__(*error)

    def __call__(self, function: F) -> F:
        """Return the function with a block around each call. Raises TypeError for a class, and for a generator."""
        return within(function, self.block)
