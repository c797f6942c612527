"""The sessions of connections on servers of databases, which tests end as the server would."""

import re
import threading

import pytest
from django.db import connection, connections

_OWN = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
_ALL = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database()",
}
_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    # Not `innodb_trx`, which stays as it is for as long as somebody asks again and again.
    "mysql": "SELECT variable_value + 0 FROM information_schema.global_status"
    " WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
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


def wait_until_it_waits(thread):
    """Return once a thread waits for a lock of the database, or has ended; SQLite does not say who waits."""
    with connections["other"].cursor() as cursor:
        while thread.is_alive():
            cursor.execute(_WAITING[connection.vendor])
            if cursor.fetchone()[0]:
                return


def own_number():
    """Return by which number the database knows this thread's connection."""
    return _numbers(_OWN)[0]


def waiting_numbers():
    """Return the numbers of all connections that wait for a lock, on whichever database of the server they work."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pid FROM pg_locks WHERE NOT granted")
            return {row[0] for row in cursor.fetchall()}
        # Not `innodb_trx`, which stays as it is for as long as somebody asks again within a tenth of a second.
        cursor.execute("SHOW ENGINE INNODB STATUS")
        transactions = cursor.fetchone()[2].split("---TRANSACTION")[1:]
    waiting = [one for one in transactions if re.search("^LOCK WAIT", one, re.MULTILINE)]
    return {int(number) for one in waiting for number in re.findall(r"thread id (\d+)", one)}


def _numbers(query):
    with connection.cursor() as cursor:
        cursor.execute(query[connection.vendor])
        return [row[0] for row in cursor.fetchall()]


def _end(numbers):
    with connection.cursor() as cursor:
        cursor.execute(_END[connection.vendor], numbers)
    connection.close()
