"""Cached parents: instances that written children hold in memory, and whose columns a recipe has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from asgiref.sync import SyncToAsync


def cached_parents(children: Iterable[Any], names: Iterable[str], using: str) -> Iterator[Any]:
    """Yield the parents that instances of children have in memory under these foreign keys, each once."""
    caches = [one._state.fields_cache for one in children]
    for name in names:
        parents = {id(one): one for one in (cache.get(name) for cache in caches) if one is not None}
        yield from (one for one in parents.values() if one._state.db == using)


def forget(instance: Any, columns: Sequence[str], using: str) -> None:
    """Remove values from an instance, so that they are loaded when they are next read.

    Async code could not load them at that moment, so for a write that it has made they are read at once.
    """
    found: Iterable[Any] = ()
    if columns and _is_called_by_async():
        found = type(instance)._base_manager.using(using).filter(pk=instance.pk).values(*columns)
    for name in columns:
        instance.__dict__.pop(name, None)
    for values in found:
        instance.__dict__.update(values)


def _is_called_by_async() -> bool:
    """Return whether this thread runs what async code awaits; it may be so for later calls of the thread, too.

    The thread keeps its event loop, also one that has ended.
    """
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    return loop is not None and loop.is_running()
