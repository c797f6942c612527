"""The sessions of connections on servers of databases, which tests end as the server would."""

import threading

import pytest
from django.db import connection

_OWN = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
_ALL = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database()",
}
_END = {"postgresql": "SELECT pg_terminate_backend(%s, 10000)", "mysql": "KILL CONNECTION %s"}

has_sessions = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connection to lose")


def end_own():
    """End the session of this thread's connection, which does not know."""
    number = _numbers(_OWN)
    thread = threading.Thread(target=_end, args=[number])
    thread.start()
    thread.join()


def end_others():
    """End all other sessions on this database."""
    for number in set(_numbers(_ALL)) - set(_numbers(_OWN)):
        with connection.cursor() as cursor:
            cursor.execute(_END[connection.vendor], [number])


def _numbers(query):
    with connection.cursor() as cursor:
        cursor.execute(query[connection.vendor])
        return [row[0] for row in cursor.fetchall()]


def _end(numbers):
    with connection.cursor() as cursor:
        cursor.execute(_END[connection.vendor], numbers)
    connection.close()
