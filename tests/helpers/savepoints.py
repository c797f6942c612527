"""Blocks and savepoints that end in a way which a test chooses: "release", "roll back" or "raise"."""

from contextlib import contextmanager, suppress

from django.db import transaction

# Django 6.1 has given it another name, and warns of the former one.
make_savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint


class UndoneError(Exception): ...


@contextmanager
def in_block(how):
    """Open an atomic block, and end it in a way."""
    with suppress(UndoneError), transaction.atomic():
        yield
        if how == "raise":
            raise UndoneError
        transaction.set_rollback(how == "roll back")


@contextmanager
def by_hand(how):
    """Make a savepoint, and end it in a way."""
    savepoint = make_savepoint()
    yield
    (transaction.savepoint_commit if how == "release" else transaction.savepoint_rollback)(savepoint)
