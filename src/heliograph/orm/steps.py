"""Steps: code that runs around a method of Django, and can be added and removed in any order.

A method may need several steps: `Model._save_table` has one that remembers the row and one that opens a transaction.
All steps of a method are one chain, in the order that `StepOrder` declares. The chain is built anew whenever a step
joins or leaves, so that no step depends on another one. When the last step leaves, the method is Django's own again.

A monitoring tool may put its own wrapper around our chain, and keep our function in it. The next chain then goes around
the tool's wrapper, and the kept function only calls the method without our steps: each step runs once.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial, wraps
from operator import attrgetter
from types import FunctionType
from typing import Any

from heliograph.dispatch.routes import registering
from heliograph.orm.patching import MISSING, own, passed_on_to, passing_on, put

Make = Callable[[Any], Any]


class StepOrder(IntEnum):
    """Where a step is in the chain of a method, from the inside to the outside."""

    MEMORY = 1  # updates the values that instances remember, before receivers ask for them
    WRITES = 2  # finds the rows that were written, and sends them to receivers
    TRANSACTION = 3  # opens or ends the transaction that contains the other steps


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Code that runs around an attribute, and the reason for it.

    `make` takes the attribute without this step, and returns the attribute with it: a new object at each call.
    """

    owner: Any
    name: str
    make: Make
    reason: str
    order: StepOrder


def join(steps: Iterable[Step]) -> None:
    """Put steps around their attributes."""
    with registering:
        for step in steps:
            chain = _chains.setdefault((step.owner, step.name), Chain(step.owner, step.name))
            chain.steps[step] = None
            _outdated.add(chain)
        _update(wait=True)


def leave(steps: Iterable[Step]) -> None:
    """Remove steps from their attributes.

    Garbage collection may call this function at any line of a program, so it never waits for a lock. If another thread
    has the lock, the next step that joins or leaves completes the removal.
    """
    for step in steps:
        chain = _chains.get((step.owner, step.name))
        if chain is not None:
            chain.steps.pop(step, None)
            _outdated.add(chain)
    _update(wait=False)


class Chain:
    """An attribute with the steps around it."""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner = owner
        self.name = name
        self.steps: dict[Step, None] = {}  # in the order in which they joined
        self.inner: Any = MISSING  # the attribute without our steps
        self.outer: Any = _NOTHING  # the attribute with our steps

    def update(self) -> None:
        """Build the chain anew from the steps that there are now."""
        there = own(self.owner, self.name, MISSING)
        if there is not self.outer:  # the chain is new, or another tool has put its wrapper around it
            _retire(self)
            self.inner = _without_retired(there)
        steps = sorted([*self.steps], key=attrgetter("order"))
        self.outer = self._around(steps) if steps else _NOTHING
        put(self.owner, self.name, self.outer if steps else self.inner)
        if not steps:
            _chains.pop((self.owner, self.name), None)

    def _around(self, steps: Iterable[Step]) -> Any:
        outer = inherited(self.owner, self.name) if self.inner is MISSING else self.inner
        for step in steps:
            outer = step.make(outer)
        return outer


_NOTHING: Any = object()
_chains: dict[tuple[Any, str], Chain] = {}
_outdated: set[Chain] = set()
_is_updating = False


def _update(*, wait: bool) -> None:
    """Build the outdated chains; a finalizer that runs during the loop only adds its chain to the set."""
    global _is_updating
    if not registering.acquire(blocking=wait):
        return
    try:
        is_outermost, _is_updating = not _is_updating, True
        while is_outermost and _outdated:
            _outdated.pop().update()
    finally:
        _is_updating = not is_outermost
        registering.release()


# --- what a class inherits --------------------------------------------------------------------------------------


def inherited(owner: Any, name: str) -> Any:
    """Return an attribute that a class inherits; a method is looked up again at each call."""
    static = inspect.getattr_static(owner, name, None)
    if isinstance(static, classmethod):
        return InheritedClassMethod(owner, name, static.__func__)
    if not callable(static):
        return static

    @wraps(static)
    def passed_on(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(super(owner, self), name)(*args, **kwargs)

    return passed_on


class InheritedClassMethod:
    """A class method that a class inherits, looked up at each call."""

    def __init__(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        self.owner = owner
        self.name = name
        self.__func__ = function  # a step copies its name and docstring

    def __get__(self, instance: Any, cls: Any) -> Any:
        return getattr(super(self.owner, cls), self.name)


# --- wrappers of other tools ------------------------------------------------------------------------------------


def _retire(chain: Chain) -> None:
    """Let our function, which the wrapper of another tool may hold, call the attribute without our steps."""
    function = _function(chain.outer)
    if isinstance(function, FunctionType):
        passing_on(function, Retired(chain, function))


class Retired:
    """The attribute without our steps: a function of ours that another tool still holds calls this from now on."""

    def __init__(self, chain: Chain, function: FunctionType) -> None:
        self.owner = chain.owner
        self.name = chain.name
        self.inner = chain.inner
        self.function = function
        self.is_of_class = chain.outer is not function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called = self.inner
        if self._is_put_back():
            _update_one(self.owner, self.name)
            called = called if self._is_put_back() else own(self.owner, self.name, MISSING)
        return self._bound(called, args[0])(*args[1:], **kwargs)

    def _is_put_back(self) -> bool:
        """Return whether the other tool has removed its wrapper, and put back our function, which it had found."""
        return _function(own(self.owner, self.name, MISSING)) is self.function

    def _bound(self, value: Any, to: Any) -> Callable[..., Any]:
        value = inherited(self.owner, self.name) if value is MISSING else value
        if not hasattr(type(value), "__get__"):
            return partial(value, to)
        bound: Callable[..., Any] = value.__get__(None, to) if self.is_of_class else value.__get__(to, type(to))
        return bound


def _update_one(owner: Any, name: str) -> None:
    _outdated.add(_chains.setdefault((owner, name), Chain(owner, name)))
    _update(wait=False)


def _without_retired(value: Any) -> Any:
    """Return an attribute; if it is a retired function of ours, the attribute that this function calls."""
    while isinstance(retired := passed_on_to(_function(value)), Retired):
        value = retired.inner
    return value


def _function(value: Any) -> Any:
    """Return the function in a class method; anything else as it is."""
    return getattr(value, "__func__", value)


# --- leases -----------------------------------------------------------------------------------------------------


class PatchLease:
    """Steps that run for as long as the result of `take` exists."""

    def __init__(self, steps: Callable[[], Iterable[Step]]) -> None:
        self._steps = steps
        self._taken: Callable[[], Hold | None] = lambda: None

    def take(self) -> Hold:
        """Let the steps join, unless they have joined already."""
        with registering:
            tenancy = self._taken()
            if tenancy is None:
                tenancy, steps = Hold(), tuple(self._steps())
                self._taken = weakref.ref(tenancy, lambda _: leave(steps))
                join(steps)
            return tenancy


class Hold:
    """The steps of a lease run for as long as this object exists."""

    __slots__ = ("__weakref__",)
