"""What the tests of databases share."""

from contextlib import ExitStack

import pytest
from django.db import connection


@pytest.fixture
def execute():
    """Execute SQL; `undo` is a statement for the end of the test."""
    with ExitStack() as stack:

        def execute(*statements, undo=None):
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            if undo is not None:
                stack.callback(execute, undo)

        yield execute
