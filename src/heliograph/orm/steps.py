"""Steps: code that runs around a method of Django, and can be added and removed in any order.

A `Method` is declared once, in one file of this package, with Django's signature and with the names of its steps from
the outside to the inside. `changes`, `transactions` and `bulk` contribute steps: functions that are called like
Django's own `execute_wrapper`s, with what goes on and with the call. The method has one wrapper of ours, which is built
anew whenever a step joins or leaves, so that no step depends on another one. When the last step leaves, the method is
Django's own again.

    _save_table = Method("_save_table", ("join_transaction", "remember"), wrap, call=call)

    def remember(proceed, write):
        updated = proceed(write)
        ...                                 # the row is written
        return updated

    join([_save_table.step("remember", remember, owner=Article)])

A monitoring tool may put its own wrapper around ours, and keep our function in it. The next wrapper then goes around
the tool's, and the kept function only calls the method without our steps: each step runs once.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial, wraps
from types import FunctionType
from typing import Any, NamedTuple

from heliograph.dispatch.routes import registering
from heliograph.orm.patching import MISSING, own, passed_on_to, passing_on, put

# What a step calls to go on: the next step, or the method itself.
Proceed = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Method:
    """A method of Django that steps may go around.

    `wrap(inner, run)` returns a new function, which takes what Django's method takes, and calls `run`: the steps around
    the method `inner`. If the steps take the call in another form than the method, `call(inner, heir, ...)` makes it.
    """

    name: str
    order: tuple[str, ...]  # the names of its steps, from the outside to the inside
    wrap: Callable[[Any, Any], Any]
    owner: Any = None  # the class that has it; None if each step says which, such as a model or a field
    call: Callable[..., Any] | None = None
    are_around: bool = True  # if not, `wrap(inner, steps)` calls the steps before the method or after it

    def step(self, name: str, run: Proceed, owner: Any = None) -> Step:
        """Return a step of this method. Raises LookupError for a name that the method does not declare."""
        if name not in self.order:
            raise LookupError(f"{self.name} has no step named {name!r}. Its steps are {', '.join(self.order)}.")
        return Step(self, self.owner if owner is None else owner, name, run)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Code that runs around a method of one owner, under one of the names that the method declares.

    `run(proceed, ...)` is called with what goes on, and with the call in the form that `Method.wrap` gives it.
    """

    method: Method
    owner: Any
    name: str
    run: Proceed


def is_there(inner: Any, steps: Any) -> bool:
    """Wrap an attribute that only marks its owner: it is true while there is a step."""
    return True


def join(steps: Iterable[Step]) -> None:
    """Put steps around their methods."""
    with registering:
        for step in steps:
            chain = _chains.setdefault((step.owner, step.method.name), Chain(step.owner, step.method))
            chain.steps[step] = None
            _outdated.add(chain)
        _update(wait=True)


def leave(steps: Iterable[Step]) -> None:
    """Remove steps from their methods.

    Garbage collection may call this function at any line of a program, so it never waits for a lock. If another thread
    has the lock, the next step that joins or leaves completes the removal.
    """
    for step in steps:
        chain = _chains.get((step.owner, step.method.name))
        if chain is not None:
            chain.steps.pop(step, None)
            _outdated.add(chain)
    _update(wait=False)


class Patched(NamedTuple):
    """A method that has steps around it."""

    owner: Any
    name: str
    steps: tuple[str, ...]  # from the outside to the inside


def patched_methods() -> list[Patched]:
    """Return the methods of Django that have steps around them at this moment."""
    there = [(chain, chain.ordered()) for chain in [*_chains.values()]]
    return [Patched(chain.owner, chain.name, tuple(step.name for step in steps)) for chain, steps in there if steps]


class Chain:
    """A method of one owner, with the steps around it."""

    def __init__(self, owner: Any, method: Method) -> None:
        self.owner = owner
        self.method = method
        self.name = method.name
        self.steps: dict[Step, None] = {}  # in the order in which they joined
        self.inner: Any = MISSING  # the method without our steps
        self.outer: Any = _NOTHING  # the method with our steps

    def ordered(self) -> list[Step]:
        """Return the steps from the outside to the inside."""
        there = [*self.steps]
        return [step for name in self.method.order for step in there if step.name == name]

    def update(self) -> None:
        """Build the chain anew from the steps that there are now."""
        is_function = isinstance(self.owner, FunctionType)  # whose code is replaced
        there = own(self.owner, self.name) if is_function else vars(self.owner).get(self.name, MISSING)
        if there is not self.outer:  # the chain is new, or another tool has put its wrapper around it
            if self.outer is not _NOTHING:
                _retire(self)
            self.inner = there if there is MISSING else _without_retired(there)
        steps = self.ordered()
        if steps:
            self.outer = self._around(steps)
            setattr(self.owner, self.name, self.outer)
        else:
            self.outer = _NOTHING
            put(self.owner, self.name, self.inner)
            _chains.pop((self.owner, self.name), None)

    def _around(self, steps: Iterable[Step]) -> Any:
        inner = inherited(self.owner, self.name) if self.inner is MISSING else self.inner
        method, runs = self.method, [step.run for step in steps]
        if not method.are_around:
            return method.wrap(inner, runs)
        run = inner if method.call is None else partial(method.call, inner, heir(inner))
        for step in reversed(runs):
            run = partial(step, run)
        return method.wrap(inner, run)


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
    """Return an attribute that a class inherits, or that an object has of its class; a method is looked up anew."""
    if not isinstance(owner, type):
        return _of_class(owner, name)
    static = inspect.getattr_static(owner, name, None)
    if isinstance(static, classmethod):
        return InheritedClassMethod(owner, name, static.__func__)
    if not callable(static):
        return static

    @wraps(static)
    def passed_on(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(super(owner, self), name)(*args, **kwargs)

    _passing_on[passed_on] = owner
    return passed_on


def _of_class(owner: Any, name: str) -> Callable[..., Any]:
    @wraps(getattr(type(owner), name))
    def of_class(*args: Any, **kwargs: Any) -> Any:
        return getattr(type(owner), name)(owner, *args, **kwargs)

    return of_class


# The functions that look up a method that a class inherits, each with the class.
_passing_on: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def heir(inner: Any) -> Any:
    """Return the class that inherits a method, which `inner` looks up; None if the class has a method of its own.

    A call that looks the method up itself is one call less deep than a call of `inner`.
    """
    return _passing_on.get(inner) if isinstance(inner, FunctionType) else None


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
        self.method = chain.method
        self.inner = chain.inner
        self.function = function
        self.is_of_class = chain.outer is not function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        called = self.inner
        if self._is_put_back():
            _update_one(self.owner, self.method)
            called = called if self._is_put_back() else self._there()
        return self._bound(called, args[0])(*args[1:], **kwargs)

    def _is_put_back(self) -> bool:
        """Return whether the other tool has removed its wrapper, and put back our function, which it had found."""
        return _function(self._there()) is self.function

    def _there(self) -> Any:
        return own(self.owner, self.method.name, MISSING)

    def _bound(self, value: Any, to: Any) -> Callable[..., Any]:
        value = inherited(self.owner, self.method.name) if value is MISSING else value
        if not hasattr(type(value), "__get__"):
            return partial(value, to)
        bound: Callable[..., Any] = value.__get__(None, to) if self.is_of_class else value.__get__(to, type(to))
        return bound


def _update_one(owner: Any, method: Method) -> None:
    _outdated.add(_chains.setdefault((owner, method.name), Chain(owner, method)))
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


@dataclass(eq=False)
class PatchLease:
    """Steps that run for as long as the result of `take` exists."""

    steps: Callable[[], Iterable[Step]]  # makes them, whenever the lease begins
    _taken: weakref.ref[Hold] | None = field(default=None, init=False)

    def take(self) -> Hold:
        """Let the steps join, unless they have joined already."""
        with registering:
            hold = None if self._taken is None else self._taken()
            if hold is None:
                hold, steps = Hold(), tuple(self.steps())
                self._taken = weakref.ref(hold, lambda _: leave(steps))
                join(steps)
            return hold


class Hold:
    """The steps of a lease run for as long as this object exists."""

    __slots__ = ("__weakref__",)
