"""The state that an attempt leaves behind: rows, files, values in caches, and values that a test adds."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.cache import caches

from heliograph.flow.effects.held_caches import HeldCache
from heliograph.flow.effects.seen_effects import Effect
from heliograph.testing.matching import text_of
from heliograph.testing.table_rows import Table, differences, read_tables

Contents = dict[str, Any]


@dataclass(frozen=True)
class LeftBehind:
    """The state of rows, files and caches after an attempt."""

    tables: dict[str, list[Table]]  # by the aliases of the databases
    files: Contents  # what is in each file that was touched; None for a file that is gone
    cached: Contents  # the pickled values by cache and key; None for a value that was deleted
    also: Any  # whatever the test compares in addition

    def differences(self, later: LeftBehind) -> Iterator[str]:
        """Yield a line for each row, file or value that differs in the later state."""
        for alias, tables in self.tables.items():
            for before, after in zip(tables, later.tables[alias], strict=True):
                yield from differences(before, after)
        for name in _changed(self.files, later.files, _is_same):
            yield f"file {name} is not the same"
        for name in _changed(self.cached, later.cached, _is_same_pickle):
            yield f"cache {name} is not the same"
        if self.also != later.also:
            yield f"also= is {text_of(self.also)}, and then {text_of(later.also)}"


def left_behind(
    aliases: Iterable[str], effects: Sequence[Effect], also: Callable[[], Any], ignoring: Collection[Any]
) -> LeftBehind:
    """Return what is there now: in these databases, in the caches, and in the files that effects have touched."""
    paths = {path for one in effects if one.kind == "file" for path in one.about}
    return LeftBehind(
        tables={alias: read_tables(alias, ignoring) for alias in aliases},
        files={path: _content(Path(path)) for path in paths},
        cached=dict(_cached()),
        also=deepcopy(also()),
    )


def _content(path: Path) -> Any:
    """Return what is in a file; None where there is none."""
    if path.is_dir():
        return "a directory"
    return path.read_bytes() if path.exists() else None


def _cached() -> Iterator[tuple[str, Any]]:
    for alias in caches:
        cache = caches[alias]
        if isinstance(cache, HeldCache):
            yield from ((f"{alias} {key}", value) for key, value in cache.written().items())


def _changed(before: Contents, after: Contents, is_same: Callable[[Any, Any], bool]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if not is_same(before.get(name), after.get(name)):
            yield name


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _is_same_pickle(one: Any, other: Any) -> bool:
    """Return whether two pickled values are the same; equal objects may have different pickles."""
    if one is None or other is None:
        return one is other
    return one == other or bool(pickle.loads(one) == pickle.loads(other))
