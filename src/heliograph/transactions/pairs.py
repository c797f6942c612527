"""Pairs: what several changes of one many-to-many relation come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heliograph.signals import entry_of

if TYPE_CHECKING:
    from heliograph.transactions.netting import HeardSend


def is_of_pairs(signal: Any) -> bool:
    """Return whether a signal carries pairs of a relation that were added and removed: `m2m_changes` does."""
    entry = entry_of(signal)
    return entry is not None and entry.name == "m2m_changes"


def net_of_pairs(sends: Sequence[HeardSend]) -> list[HeardSend]:
    """Return the one send that these, about one field, come to; none where every pair is as it was before.

    A pair that was added and then removed is in neither set, nor is one that was removed and then added.
    """
    last, counts = sends[-1], Counter[Any]()
    for one in sends:
        counts.update(one.payload["added"])
        counts.subtract(one.payload["removed"])
    added = frozenset(pair for pair, count in counts.items() if count > 0)
    removed = frozenset(pair for pair, count in counts.items() if count < 0)
    return [replace(last, payload={**last.payload, "added": added, "removed": removed})] if added or removed else []
