"""Letters: texts of receivers that a log, or a database with few letters, takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 2000

# The letters that character sets lack, the rarest first: emoji and others (MySQL's utf8mb3), all but those of Western
# Europe (LATIN1), and all but those of English.
_BEYOND = (re.compile("[^\x00-\uffff]"), re.compile("[^\x00-\xff]"), re.compile("[^\x00-\x7f]"))


def one_line(text: str) -> str:
    """Return a text as one line of letters that can be seen: nobody writes a second line of a log by an error."""
    line = storable(" ".join(text.split())[:_LONGEST])
    return line if line.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in line)


def storable(text: str) -> str:
    """Return a text that every database takes: without what is no character, or ends one."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def with_fewer_letters(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield values with more and more of the letters in their texts escaped, where there are such letters."""
    given = {**values}
    for beyond in _BEYOND:
        fewer = {name: _without(beyond, value) if type(value) is str else value for name, value in given.items()}
        if any(fewer[name] is not given[name] for name in given):
            given = fewer
            yield given


def _without(beyond: re.Pattern[str], text: str) -> str:
    return beyond.sub(lambda found: _escaped(found[0]), text) if beyond.search(text) else text


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
