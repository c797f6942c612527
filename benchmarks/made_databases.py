"""Databases of the benchmarks are made, copied and dropped, through a connection of Django to any of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any


def make(connection: Any, name: str = "", template: str = "") -> None:
    """Make the database of the connection, or another one beside it; as a copy of a template if there is one.

    SQLite makes an empty file when somebody connects to it.
    """
    name = name or _name_of(connection)
    if connection.vendor == "postgresql":
        copied = f" TEMPLATE {_quoted(connection, template)}" if template else ""
        _execute_beside(connection, f"CREATE DATABASE {_quoted(connection, name)}{copied}")
    elif template:
        shutil.copyfile(template, name)


def drop(connection: Any, name: str = "") -> None:
    """Drop the database of the connection, or another one beside it, if it is there."""
    connection.close()
    name = name or _name_of(connection)
    if connection.vendor == "postgresql":
        _execute_beside(connection, f"DROP DATABASE IF EXISTS {_quoted(connection, name)} WITH (FORCE)")
    else:
        for ending in ("", "-wal", "-shm"):
            Path(f"{name}{ending}").unlink(missing_ok=True)


def _name_of(connection: Any) -> str:
    return str(connection.settings_dict["NAME"])


def _quoted(connection: Any, name: str) -> str:
    return str(connection.ops.quote_name(name))


def _execute_beside(connection: Any, statement: str) -> None:
    """Execute a statement about a database, from outside of it."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)
