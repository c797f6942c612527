"""Ids as a text that stays short where ids follow each other: `1-500,502`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_of(ids: Iterable[int]) -> str:
    """Return the text of ids that ascend."""
    ranges: list[list[int]] = []
    for number in ids:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ranges)


def ids_of(text: str) -> Sequence[int]:
    """Return the ids of a text."""
    ids: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        ids.extend(range(int(first), int(last or first) + 1))
    return ids
