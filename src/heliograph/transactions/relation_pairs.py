"""The net change of a many-to-many relation, made of several changes of its pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heliograph.catalogue import CATALOGUE
from heliograph.transactions.collect import ReceivedSend

_M2M_CHANGES = CATALOGUE["m2m_changes"]


def is_of_pairs(signal: Any) -> bool:
    """Return whether a signal carries the added and removed pairs of a relation, as `m2m_changes` does."""
    return _M2M_CHANGES.is_of(signal)


def net_of_pairs(sends: Sequence[ReceivedSend]) -> list[ReceivedSend]:
    """Return one send with the net change of all sends about one field; an empty list if no pair has changed.

    A pair that was added and then removed, or removed and then added, is in neither set.
    """
    last, counts = sends[-1], Counter[Any]()
    for one in sends:
        counts.update(one.payload["added"])
        counts.subtract(one.payload["removed"])
    added = frozenset(pair for pair, count in counts.items() if count > 0)
    removed = frozenset(pair for pair, count in counts.items() if count < 0)
    return [replace(last, payload={**last.payload, "added": added, "removed": removed})] if added or removed else []
