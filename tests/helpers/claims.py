"""The description of the database that the tests run on, and SQL that shows whether its claims are true."""

import threading

import pytest
from django.db import connection, connections

from heliograph.databases import database_of

DATABASE = database_of(connection)


def claims(name):
    """Skip a test on a database that does not claim a capability."""
    return pytest.mark.skipif(not getattr(DATABASE, name), reason=f"{DATABASE.vendor} does not claim {name}")


def asked(sql, params=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def holds(condition):
    sql, params = condition
    [(answer,)] = asked(f"SELECT {sql}", params)
    return bool(answer)


def in_another_session(function):
    """Call a function on a connection of its own, and raise what it raises."""
    raised = []

    def run():
        try:
            function()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if raised:
        raise raised[0]
