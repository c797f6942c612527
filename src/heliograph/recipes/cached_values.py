"""Cached values: a value in a cache counts as long as its key has the generation in which the value was computed.

A reader that misses a key, and computes the value from rows that another transaction is about to change, would put the
old value into the cache after the change was invalidated. So each key has a generation, a random text under a key of
its own. A reader takes the generation before it computes, and stores it with the value. Invalidating removes the
generation, which never comes back: what was computed in it is not taken for a value any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connections

from heliograph.building import database_of

T = TypeVar("T")

_CHANGED = "_heliograph_changed_keys"  # an attribute of a connection


def cached(key: str, compute: Callable[[], T], timeout: Any = DEFAULT_TIMEOUT, *, cache: str = "default") -> T:
    """Return the value of a key of a cache; if there is none, compute it by `compute()` and store it.

        cached(f"product:{pk}", lambda: card_of(pk), timeout=3600)

    `invalidate()` removes the value, also one that is being computed at that time. A transaction that has changed the
    key computes the value for itself, and leaves the cache alone until its commit. `timeout` is in seconds, None for
    ever; by default it is that of the cache, whose alias is `cache`.
    """
    if _is_changed(cache, key):
        return compute()
    store, generation_key = caches[cache], _generation_key(key)
    found = store.get_many([key, generation_key])
    generation, entry = found.get(generation_key), found.get(key)
    if generation is not None and isinstance(entry, tuple) and len(entry) == 2 and entry[0] == generation:
        value: T = entry[1]
        return value
    return _computed(store, key, compute, timeout, generation) if _may_store(store) else compute()


def _computed(store: Any, key: str, compute: Callable[[], T], timeout: Any, generation: str | None) -> T:
    generation = generation or _begin_generation(store, _generation_key(key), timeout)
    value = compute()
    store.set(key, (generation, value), timeout)
    return value


def _generation_key(key: str) -> str:
    return f"generation:{key}"


def _begin_generation(store: Any, key: str, timeout: Any) -> str:
    """Return a new generation, or the one that another reader has begun meanwhile."""
    new = uuid4().hex
    if store.add(key, new, timeout):
        return new
    there: str = store.get(key, new)
    return there


def forget(cache: str, keys: Iterable[str]) -> None:
    """Remove the values of keys from a cache, also those that are being computed."""
    caches[cache].delete_many([name for key in keys for name in (key, _generation_key(key))])


# --- transactions -------------------------------------------------------------------------------------------------


def add_changed(using: str, cache: str, keys: Sequence[str]) -> None:
    """Remember keys that the transaction which is open has changed."""
    changed: Counter[tuple[str, str]] = connections[using].__dict__.setdefault(_CHANGED, Counter())
    for key in keys:
        changed[cache, key] += 1


def remove_changed(using: str, keys: Iterable[tuple[str, str]]) -> None:
    """Forget keys, each with its cache, that a transaction has changed, after its commit or its rollback."""
    left: Counter[tuple[str, str]] = connections[using].__dict__.pop(_CHANGED, Counter())
    left.subtract(keys)
    if left := +left:
        connections[using].__dict__[_CHANGED] = left


def _is_changed(cache: str, key: str) -> bool:
    """Return whether a transaction of this thread has changed a key, and not committed yet."""
    return any((cache, key) in one.__dict__.get(_CHANGED, ()) for one in connections.all(initialized_only=True))


def _may_store(store: Any) -> bool:
    """Return whether a value that is computed now may be put into a cache.

    In a transaction whose queries do not see what others have committed since it began, the value may be older than the
    generation. In the table of a database cache, others do not see the generation before the commit.
    """
    for connection in _in_transactions():
        if isinstance(store, BaseDatabaseCache) or database_of(connection).has_snapshot(connection):
            return False
    return True


def _in_transactions() -> Iterator[Any]:
    return (one for one in connections.all(initialized_only=True) if one.in_atomic_block)
