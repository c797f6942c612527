"""Chunking: many keys or names come in lists that are small enough for one query, or for one delivery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in their order, in lists of up to so many."""
    rest = iter(items)
    while chunk := [*islice(rest, size)]:
        yield chunk
