"""Caches are held while effects are recorded: what is written stays in memory, above the cache, and is read there."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.dummy import DummyCache

from heliograph.flow.effects.seen_effects import record, recording

_GONE = object()  # in place of a value that was deleted


@contextmanager
def held() -> Iterator[None]:
    """Put a `HeldCache` above each cache of this thread or task for a block."""
    before = {alias: caches[alias] for alias in caches}
    for alias, cache in before.items():
        if not isinstance(cache, DummyCache | HeldCache):  # a dummy keeps nothing
            caches[alias] = HeldCache(alias, cache)
    try:
        yield
    finally:
        for alias, cache in before.items():
            caches[alias] = cache


class HeldCache(BaseCache):
    """A cache that reads another one and never writes it.

    A method that only the other cache has, such as `lock()` of a backend for Redis, is called there, and recorded.
    """

    def __init__(self, alias: str, cache: Any) -> None:
        super().__init__(
            {
                "TIMEOUT": cache.default_timeout,
                "KEY_PREFIX": cache.key_prefix,
                "VERSION": cache.version,
                "KEY_FUNCTION": cache.key_func,
            }
        )
        self._alias = alias
        self._below = cache
        self._written: dict[str, Any] = {}  # pickled, as most caches have it, or _GONE
        self._is_cleared = False

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        made = self.make_and_validate_key(key, version=version)
        if made in self._written:
            value = self._written[made]
            return default if value is _GONE else pickle.loads(value)
        if self._is_cleared:
            return default
        with recording(None):
            return self._below.get(key, default, version=version)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._record("set", key)
        is_gone = timeout is not DEFAULT_TIMEOUT and timeout is not None and timeout <= 0
        self._written[self.make_and_validate_key(key, version=version)] = _GONE if is_gone else pickle.dumps(value)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        if self.has_key(key, version=version):
            return False
        self.set(key, value, timeout, version=version)
        return True

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self._record("touch", key)
        return self.has_key(key, version=version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        self._record("delete", key)
        was_there = self.has_key(key, version=version)
        self._written[self.make_and_validate_key(key, version=version)] = _GONE
        return was_there

    def clear(self) -> None:
        record("cache", f"cache {self._alias}: clear", is_held=True)
        self._written.clear()
        self._is_cleared = True

    def written(self) -> dict[str, Any]:
        """Return what was written above the cache: pickled values by their keys, None for a value that was deleted."""
        return {key: None if value is _GONE else value for key, value in self._written.items()}

    def _record(self, verb: str, key: Any) -> None:
        record("cache", f"cache {self._alias}: {verb} {key!r}", is_held=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._below, name)
        record("cache", f"cache {self._alias}: {name}")
        return found
