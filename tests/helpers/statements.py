"""The statements that an operation sends to a database."""

from django.db import connections
from django.test.utils import CaptureQueriesContext


def statements(operation, using="default"):
    """Call an operation, and return the SQL of its statements."""
    with CaptureQueriesContext(connections[using]) as captured:
        operation()
    return [query["sql"] for query in captured]


def verbs(operation, using="default"):
    """Call an operation, and return the first word of each of its statements."""
    return [sql.split()[0] for sql in statements(operation, using)]
