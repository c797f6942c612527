"""Re-entrancy: a receiver that causes the send it is handling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from heliograph.dispatch.describe import full_name

POLICIES = ("allow", "skip", "raise")


class ReentrancyError(RuntimeError):
    """A receiver with `reentrant="raise"` was sent the instance that it is handling.

    The message has the chain of receivers that has led there.
    """


RowId = tuple[Hashable, Any]  # a table, and the primary key of a row in it
RowsOf = Callable[[Any], Collection[RowId]]  # the rows of an instance, as far as their keys are known


def of_class(kind: type, using: str | None, namespace: object = None) -> RowsOf:
    """Return a function that identifies the row of an instance without models: by its class and its key."""

    def rows(instance: Any) -> Collection[RowId]:
        key = key_of(instance)
        return () if key is None else (((kind, using), key),)

    return rows


# The first function identifies the rows of instances of a class in a database. The second returns the namespace in
# which the database looks for tables now, such as a search path. The app sets both, since it knows models.
_identity: Callable[[type, str | None, Any], RowsOf] = of_class


def _no_namespace(using: str | None) -> None:
    """Return None: without models there are no tables, and so no namespaces."""


_namespace_of: Callable[[str | None], Any] = _no_namespace


def identify_by(identity: Callable[[type, str | None, Any], RowsOf], namespace_of: Callable[[str | None], Any]) -> None:
    """Identify rows by these functions from now on."""
    global _identity, _namespace_of
    _identity, _namespace_of = identity, namespace_of


class Handling:
    """A receiver that handles an instance in this context, until the end of a `with` block."""

    __slots__ = ("_namespace", "instance", "receiver", "using")

    def __init__(self, receiver: Any, payload: Mapping[str, Any]) -> None:
        self.receiver = receiver
        self.instance = payload.get("instance")
        self.using = payload.get("using")
        # Only the namespace may change until a nested send asks for the rows. The rest is found then: this runs at each
        # call of a guarded receiver.
        self._namespace = _namespace_of(self.using)

    def __enter__(self) -> None:
        _at_work.set((*_at_work.get(), self))

    def __exit__(self, *error: object) -> None:
        # Not by a token: async receivers of one send share their context and do not end in the order they began.
        _at_work.set(tuple(other for other in _at_work.get() if other is not self))

    def is_of(self, receiver: Any, instance: Any, using: str | None) -> bool:
        return self.receiver == receiver and (self.instance is instance or self._has_row_of(instance, using))

    def rows(self) -> Collection[RowId]:
        """Return the rows that the receiver is handling, as far as their primary keys are known."""
        return _identity(self.instance.__class__, self.using, self._namespace)(self.instance)

    def _has_row_of(self, instance: Any, using: str | None) -> bool:
        """Return whether the receiver is handling a row of an instance; with multi-table parents it has several."""
        rows = self.rows()
        return bool(rows) and any(row in rows for row in rows_of(instance, using))

    def __str__(self) -> str:
        instance = self.instance
        return f"{full_name(self.receiver)} ({type(instance).__name__} pk={getattr(instance, 'pk', None)!r})"


class HandlingAll(Handling):
    """A receiver that handles many instances in one call."""

    __slots__ = ("_rows", "instances")

    def __init__(self, receiver: Any, payloads: Sequence[Mapping[str, Any]], rows: Collection[RowId] = ()) -> None:
        super().__init__(receiver, payloads[-1] if payloads else {})
        all_instances = [(payload["instance"], payload.get("using")) for payload in payloads if "instance" in payload]
        self.instances = {id(instance): instance for instance, _ in all_instances}
        self._rows = {*rows, *(row for instance, using in all_instances for row in rows_of(instance, using))}

    def rows(self) -> Collection[RowId]:
        return self._rows

    def is_of(self, receiver: Any, instance: Any, using: str | None) -> bool:
        return self.receiver == receiver and (id(instance) in self.instances or self._has_row_of(instance, using))


def key_of(instance: Any) -> Any:
    """Return the primary key of an instance, or None if it is not known yet, as when the database will compute it."""
    primary_key = getattr(instance, "pk", None)
    parts = primary_key if isinstance(primary_key, tuple) else (primary_key,)
    is_known = all(part is not None and not hasattr(part, "resolve_expression") for part in parts)
    return primary_key if is_known else None


def rows_of(instance: Any, using: str | None = None) -> Collection[RowId]:
    """Return the rows of an instance, beginning with its own table; none if its primary key is not known yet."""
    return _identity(instance.__class__, using, _namespace_of(using))(instance)


_at_work: ContextVar[tuple[Handling, ...]] = ContextVar("heliograph_at_work", default=())


def at_work() -> tuple[Handling, ...]:
    """Return the receivers that are at work in this context."""
    return _at_work.get()


@contextmanager
def at_work_again(handlings: Iterable[Handling]) -> Iterator[None]:
    """Count receivers as at work again during a block, which makes a deferred call that they have caused."""
    before = _at_work.set(tuple(dict.fromkeys((*_at_work.get(), *handlings))))
    try:
        yield
    finally:
        _at_work.reset(before)


def is_reentered(receiver: Any, payload: Mapping[str, Any]) -> bool:
    """Return whether the receiver is already handling, further up in this context, the instance of this send."""
    at_work = _at_work.get()
    if not at_work:
        return False
    instance, using = payload.get("instance"), payload.get("using")
    return instance is not None and any(handling.is_of(receiver, instance, using) for handling in at_work)


def refuse(receiver: Any, payload: Mapping[str, Any]) -> None:
    """Raise ReentrancyError with the chain of receivers that led back to this one."""
    chain = " -> ".join(str(handling) for handling in (*_at_work.get(), Handling(receiver, payload)))
    raise ReentrancyError(
        f"{full_name(receiver)} was called for the instance it is handling: {chain}."
        " Write under mute(), or connect it with reentrant='skip'."
    )


def refuse_reentrant(value: object) -> None:
    """Raise ValueError for a value that `reentrant=` does not take."""
    raise ValueError(f"reentrant= takes 'allow', 'skip' or 'raise', not {value!r}.")
