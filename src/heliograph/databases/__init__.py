"""Databases: what each database can do, and the SQL by which it does it.

A `Database` answers the questions that Django's `connection.features` does not: how a decimal is rounded, whether one
UPDATE can return the old and the new row, which lock a transaction needs before it reads. There is one object for each
`connection.vendor`, without state, in a file of its own: `postgresql.py`, `mysql.py` (MySQL and MariaDB), `sqlite.py`.
No other part of Heliograph asks for the vendor; a test looks for the word.

A *capability* is a fact about a database (`has_notices`); a method gives a piece of SQL, or runs a statement. The class
`Database` itself is the *general database*: it claims no capability, and serves where nobody has described the vendor.

    >>> database = database_of(connection)
    >>> database.stored_decimal(Decimal("0.125"), places=2, digits=5)
    Decimal('0.13')                                          # on PostgreSQL; on SQLite it is 0.12

Another database is one file with a subclass of `Database`, and an entry in `_DATABASES` here. The tests in
`tests/databases` run each capability that the class claims.
"""

from __future__ import annotations

from typing import Any

from heliograph.databases.general import Database
from heliograph.databases.mysql import MySQL
from heliograph.databases.postgresql import PostgreSQL
from heliograph.databases.sqlite import SQLite

GENERAL = Database()
_DATABASES: dict[str, Database] = {one.vendor: one for one in (PostgreSQL(), MySQL(), SQLite())}


def database_of(connection: Any) -> Database:
    """Return the description of the database behind a connection of Django; the general one for an unknown vendor."""
    return _DATABASES.get(connection.vendor, GENERAL)
