"""Where receivers are written: their short names, and their lines with the file as seen from here."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from heliograph.dispatch.describe import qualified_name, source

# A longer name is cut, such as that of a recipe, which has the names of its fields.
LONGEST_NAME = 44


def short_name(receiver: Any) -> str:
    """Return the name of a receiver without its module."""
    name = qualified_name(receiver).rpartition("<locals>.")[2]
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def file_and_line(receiver: Any) -> str:
    """Return where a receiver is written, such as "shop/receivers.py:7", or "-" where there is no Python source."""
    return short_source(source(receiver))


def short_source(found: tuple[str, int] | None) -> str:
    """Return a file and line as text, with the file as seen from here; "-" for None."""
    return f"{short_file(found[0], os.getcwd())}:{found[1]}" if found else "-"


def short_line(line: str) -> str:
    """Return a file and line with the file as seen from here."""
    file, _, number = line.rpartition(":")
    return f"{short_file(file, os.getcwd())}:{number}" if file else line


@cache
def short_file(file: str, here: str) -> str:
    """Return a file as seen from a folder; of an installed package, as seen from the folder that has the package."""
    inside = [file.removeprefix(f"{root}{os.sep}") for root in (here, *sys.path) if file.startswith(f"{root}{os.sep}")]
    is_here = file.startswith(f"{here}{os.sep}")
    return inside[0] if is_here else min(inside, key=len, default=file)
