"""Atomic: where a block of `transaction.atomic()` begins and ends, and what an error outside of one marks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, wraps
from types import FunctionType
from typing import Any

from django.db import transaction
from django.db.transaction import Atomic

from heliograph.orm.patching import forwarding_code
from heliograph.orm.steps import Method, Proceed, Step


def _exit(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def __exit__(self: Any, exc_type: Any, exc_value: Any, traceback: Any) -> Any:  # noqa: N807 - that is its name
        return run(self, exc_type, exc_value, traceback)

    return __exit__


def _enter(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def __enter__(self: Any) -> Any:  # noqa: N807 - that is its name
        return run(self)

    return __enter__


def _mark(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def mark_for_rollback_on_error(using: Any = None) -> Any:
        return run(using)

    return mark_for_rollback_on_error


begin = Method("__enter__", ("rehearse",), _enter, Atomic)
# A context manager of Django around each single query of the ORM that writes.
mark = Method("mark_for_rollback_on_error", ("rehearse",), _mark, transaction)

_STEPS = ("flush",)
_EXIT = "_heliograph_exit"
_FORWARDING = forwarding_code("__exit__", _EXIT)


def step_of_exit(run: Proceed) -> Step:
    """Return a step around the end of each block, also of a block that is open now.

    Python has looked up the `__exit__` of an open block when the block began. So the step replaces the code of the
    function, and not the attribute, unless a tool has put a wrapper around it.
    """
    end = vars(Atomic)["__exit__"]
    if not isinstance(end, FunctionType) or end.__code__.co_freevars:
        return Method("__exit__", _STEPS, _exit, Atomic).step("flush", run)

    def wrap(code: Any, steps: Sequence[Proceed]) -> Any:
        inner = FunctionType(code, end.__globals__, end.__name__)
        (flush,) = steps
        # Not a patch: it stays, for a thread that is about to call it when the code is put back.
        setattr(Atomic, _EXIT, _exit(inner, partial(flush, inner)))
        return _FORWARDING

    return Method("__code__", _STEPS, wrap, end, are_around=False).step("flush", run)
