"""Options and lines of output that the verbs of the command `audit` share."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from heliograph.outbox.manage.commandline import database_alias


def add_database(parser: Any) -> None:
    """Add the option that names the database."""
    text = "the database that has the entries (default: %(default)s)"
    parser.add_argument("--database", default=DEFAULT_DB_ALIAS, type=database_alias, metavar="ALIAS", help=text)


def duration(text: str) -> timedelta:
    """Return the duration of a text such as 90d, 12h or 30m."""
    found = re.fullmatch(r"(\d{1,6})([dhms])", text)
    if found is None or int(found[1]) == 0:
        raise ArgumentTypeError(f"it takes a duration such as 90d, 12h, 30m or 10s, not {text!r}.")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def entries(count: int) -> str:
    """Return `1 entry`, or `7,314 entries`."""
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def progress_of(command: Any, done: str) -> Callable[[int], None]:
    """Return a function that says on a terminal how far the command is; elsewhere it says nothing."""

    def progress(count: int) -> None:
        command.stdout.write(f"\r{done} {entries(count)} so far.", ending="")
        command.stdout.flush()

    return progress if command.stdout.isatty() else lambda count: None


def end_progress(command: Any) -> None:
    """Begin a new line after the progress on a terminal."""
    if command.stdout.isatty():
        command.stdout.write("")
