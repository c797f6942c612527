"""The verbs `protect` and `unprotect`."""

from __future__ import annotations

from typing import Any

from heliograph.audit import row_protection


def add_arguments(parser: Any) -> None:
    """Add no arguments."""


def protect(command: Any, options: dict[str, Any]) -> None:
    """Let the database refuse to change or delete rows of the audit log."""
    row_protection.protect(options["database"])
    command.stdout.write("The database refuses to change the audit log, but for audit forget and audit prune.")


def unprotect(command: Any, options: dict[str, Any]) -> None:
    """Let the database allow it again."""
    row_protection.unprotect(options["database"])
    command.stdout.write("The database allows to change the audit log.")
