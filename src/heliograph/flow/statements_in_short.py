"""Statements in short: the verb and the table, such as "UPDATE shop_order"."""

from __future__ import annotations

import re

_VERB = re.compile(r"\s*\(*\s*(\w+)")
_TARGET = re.compile(r'\b(?:INTO|UPDATE|FROM|TABLE|INDEX)\s+(?:ONLY\s+)?[`"\[]?(\w+)', re.IGNORECASE)
_CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET")
_OF_NO_ROW = " WHERE 0 = 1"  # the end of an UPDATE by which a transaction of SQLite takes the lock for writing
_DDL = ("CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME")
_WRITING = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", *_DDL)


def in_short(sql: str) -> str:
    """Return the verb of a statement and the first table that it names."""
    target = _TARGET.search(sql)
    return f"{verb_of(sql)} {target[1]}" if target else verb_of(sql)


def verb_of(sql: str) -> str:
    """Return the verb of a statement in capitals."""
    found = _VERB.match(sql)
    return found[1].upper() if found else ""


def is_control(sql: str) -> bool:
    """Return whether a statement begins or ends a transaction or a savepoint, or locks SQLite; it reads no row."""
    return verb_of(sql) in _CONTROL or sql.endswith(_OF_NO_ROW)


def is_ddl(sql: str) -> bool:
    """Return whether a statement makes, changes or removes a table."""
    return verb_of(sql) in _DDL


def is_write(sql: str) -> bool:
    """Return whether a statement writes."""
    return verb_of(sql) in _WRITING
