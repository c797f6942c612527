"""Databases: what each database can do, and the SQL by which it does it.

A `Database` answers the questions that Django's `connection.features` does not: how a decimal is rounded, whether one
UPDATE can return the old and the new row, which lock a transaction needs before it reads. There is one object for each
`connection.vendor`, without state, in a file of its own: `postgresql.py`, `mysql.py` (MySQL and MariaDB), `sqlite.py`.
No other part of Heliograph asks for the vendor; a test looks for the word.

A *capability* is a fact about a database (`has_notices`); a method gives a piece of SQL, or runs a statement. The class
`Database` itself is the *general database*: it claims no capability, and serves where nobody has described the vendor.

    >>> database = database_of(connection)
    >>> database.stored_decimal(Decimal("0.125"), decimal_places=2, digits=5)
    Decimal('0.13')                                          # on PostgreSQL; on SQLite it is 0.12

Another database is one file with a subclass of `Database`, and an entry in `DESCRIBED` here. The tests in
`tests/databases` run each capability that the class claims.
"""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError, connections

from heliograph.databases.general import Database
from heliograph.databases.mysql import MySQL
from heliograph.databases.postgresql import PostgreSQL
from heliograph.databases.sqlite import SQLite

GENERAL = Database()
DESCRIBED: dict[str, Database] = {one.vendor: one for one in (PostgreSQL(), MySQL(), SQLite())}


def database_of(connection: Any) -> Database:
    """Return an object that says what the database behind a connection of Django can do.

    An unknown vendor has the general object. The names of the object may change in a minor release.
    """
    return DESCRIBED.get(connection.vendor, GENERAL)


def database_with_outbox(connection: Any) -> Database:
    """Return the description of the database behind a connection; NotSupportedError if the outbox does not know it."""
    database = database_of(connection)
    if not database.carries_outbox:
        those = ", ".join(one.vendor for one in DESCRIBED.values() if one.carries_outbox)
        raise NotSupportedError(f"The outbox runs on {those}, and not on {connection.vendor}.")
    return database


def database_at(using: str) -> Database:
    """Return the description of the database of an alias by its settings, without a connection.

    It is the general one for a name that is no alias.
    """
    engine = connections.settings.get(using, {}).get("ENGINE", "")
    return next((one for one in DESCRIBED.values() if one.engine in engine), GENERAL)
