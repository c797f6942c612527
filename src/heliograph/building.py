"""Public names for libraries that connect receivers by declarations of their own, as the recipes here do."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.db import connections, transaction
from django.db.models import Model

from heliograph.changes.row_locks import lock_database, locking_block
from heliograph.conditions import ANYTHING, Changed, Created, Has, OnFields, Raw, UpdateFields, alternatives, fields_of
from heliograph.databases import database_of
from heliograph.dispatch import Fact, Gate, condition
from heliograph.dispatch.condition_base import Both, Either, Not
from heliograph.dispatch.describe import qualified_name
from heliograph.dispatch.skip_reasons import KeptAway
from heliograph.receivers.facts import DeclaredBy

__all__ = [
    "ANYTHING",
    "Both",
    "Changed",
    "Created",
    "DeclaredBy",
    "Either",
    "Fact",
    "Gate",
    "Has",
    "KeptAway",
    "Not",
    "OnFields",
    "Raw",
    "UpdateFields",
    "alternatives",
    "condition",
    "database_of",
    "fields_of",
    "lock_for_writing",
    "qualified_name",
    "writing",
]


def writing(model: type[Model], using: str) -> AbstractContextManager[None]:
    """Return a context manager: a transaction that reads rows of a model and then writes on the database `using`.

    It is `transaction.atomic(using)`; on SQLite it also takes the lock for writing first. Without that lock, another
    transaction may write after this one has read, and SQLite would refuse the writes of this one.
    """
    return locking_block(connections[using], transaction.atomic(using), model)


def lock_for_writing(model: type[Model], using: str) -> None:
    """Let the transaction that is open on a database read rows of a model and then write, as `writing()` does.

    `using` is the alias of the database.
    """
    lock_database(connections[using], model)
