"""Management commands that run under a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from django.core.management import BaseCommand, CommandError, call_command, get_commands, load_command_class

from heliograph.context import current
from heliograph.context.kept_context import under
from heliograph.flow.trace import trace


def file_to_write(name: str) -> Path:
    """Return the path of a file that is written when a command has run; raise CommandError if it has no directory."""
    path = Path(name)
    if path.is_dir():
        raise CommandError(f"{path} cannot be written: it is a directory.")
    if not path.parent.is_dir():
        raise CommandError(f"{path} cannot be written: there is no directory {path.parent}.")
    return path


def run_under(flow: trace, line: Sequence[str]) -> None:
    """Run a management command, given with its arguments, under a trace; its context has the name of the command.

    Raises CommandError for a command that is not there, and the errors of the command.
    """
    name, *arguments = line
    command = _named(name)
    # A command that checks the project first does so here too; the others refuse the option.
    checks = {"skip_checks": False} if command.requires_system_checks else {}
    with under(replace(current(), command=name)), flow:
        call_command(command, *arguments, **checks)


def _named(name: str) -> BaseCommand:
    found = get_commands().get(name)
    if found is None:
        raise CommandError(f"There is no command {name!r}. `manage.py help` lists all commands.")
    return found if isinstance(found, BaseCommand) else load_command_class(found, name)
