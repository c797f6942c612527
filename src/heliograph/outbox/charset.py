"""Texts of receivers and errors, made fit for a line of a log, or for the character set of a database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 2000

# The characters that character sets lack, the rarest first: emoji and others (MySQL's utf8mb3), all beyond
# Western Europe (LATIN1), and all beyond English (ASCII).
_BEYOND = (re.compile("[^\x00-\uffff]"), re.compile("[^\x00-\xff]"), re.compile("[^\x00-\x7f]"))


def one_line(text: str) -> str:
    """Return a text as one line of printable characters, so that no error can forge a second line of a log."""
    line = storable(" ".join(text.split())[:_LONGEST])
    return line if line.isprintable() else "".join(one if one.isprintable() else _escaped(one) for one in line)


def storable(text: str) -> str:
    """Return a text without lone surrogates and NUL, which databases refuse."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def with_fewer_characters(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values with more and more characters of their texts escaped, as long as there are such characters."""
    given = {**values}
    for beyond in _BEYOND:
        fewer = {name: _without(beyond, value) if type(value) is str else value for name, value in given.items()}
        if any(fewer[name] is not given[name] for name in given):
            given = fewer
            yield given


def _without(beyond: re.Pattern[str], text: str) -> str:
    return beyond.sub(lambda found: _escaped(found[0]), text) if beyond.search(text) else text


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
