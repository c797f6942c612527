"""Options and lines of output that the verbs of the command `audit` share."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS

from heliograph.audit.chain import rows
from heliograph.audit.models import Kind
from heliograph.outbox.manage.commandline import database_alias, duration


def add_database(parser: Any) -> None:
    """Add the option that names the database."""
    text = "the database that has the entries (default: %(default)s)"
    parser.add_argument("--database", default=DEFAULT_DB_ALIAS, type=database_alias, metavar="ALIAS", help=text)


def label_of(using: str, given: str) -> str:
    """Return the label of a model that is there, or of one that has entries; CommandError if there is neither."""
    try:
        return str(apps.get_model(given)._meta.concrete_model._meta.label)
    except (LookupError, ValueError):
        if rows(Kind, using).filter(model=given).exists():
            return given
    raise CommandError(f"There is no model {given!r}, and no entry of it: name it such as shop.Customer.")


def duration_with_unit(text: str) -> timedelta:
    """Return the duration of a text such as 90d or 0; ArgumentTypeError for 90, by which somebody may mean days."""
    seconds = duration(text)
    if seconds and not text[-1].isalpha():
        raise ArgumentTypeError(f"it takes a duration with its unit, such as 90d or 90s, not {text!r}.")
    return timedelta(seconds=seconds)


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
