"""The words that were removed from a text and added to it, or its lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

# How many words the changed parts of two texts may have: the time to compare them grows with their product.
MOST_WORDS = 1000

# How many characters are left of a part that has not changed, on the side of a change.
_AROUND = 80

_WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")


class Piece(NamedTuple):
    """A part of the texts: "same" in both, or "removed" from the old one, or "added" in the new one."""

    kind: str
    text: str


def differences(old: str, new: str) -> list[Piece] | None:
    """Return the pieces of two texts in order; None if they differ in too many words."""
    return _pieces(_WORD.findall(old), _WORD.findall(new))


def differences_by_line(old: str, new: str) -> list[Piece] | None:
    """Return the pieces of two texts in order, in whole lines; None if they differ in too many."""
    return _pieces(old.splitlines(keepends=True), new.splitlines(keepends=True))


def _pieces(before: Sequence[str], after: Sequence[str]) -> list[Piece] | None:
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    begin, rest = before[:start], before[len(before) - end :]
    before, after = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(before), len(after)) > MOST_WORDS:
        return None
    pieces = [Piece("same", "".join(begin)), *_compared(before, after), Piece("same", "".join(rest))]
    return [_shortened(piece, at, len(pieces)) for at, piece in enumerate(pieces) if piece.text]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return with how many equal words two texts begin."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (word, same) in enumerate(pairs) if word != same), min(len(one), len(other)))


def _compared(before: Sequence[str], after: Sequence[str]) -> Iterator[Piece]:
    for kind, first, last, start, end in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            yield Piece("same", "".join(before[first:last]))
        else:
            yield Piece("removed", "".join(before[first:last]))
            yield Piece("added", "".join(after[start:end]))


def _shortened(piece: Piece, at: int, count: int) -> Piece:
    """Return a piece that has not changed as no more than its ends; of the first and last piece, the inner end."""
    if piece.kind != "same":
        return piece
    before, after = "" if at == 0 else piece.text[:_AROUND], "" if at == count - 1 else piece.text[-_AROUND:]
    short = f"{before} … {after}"
    return Piece("same", short) if len(short) + _AROUND // 2 < len(piece.text) else piece
