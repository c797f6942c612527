"""Savepoints that tests make by hand."""

from django.db import transaction

# Django 6.1 has given it another name, and warns of the former one.
make_savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint
