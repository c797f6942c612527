"""Transactions that are tried again when the database ends them for another one's sake, and how often it did."""

from collections import Counter

from django.db import IntegrityError, OperationalError, connection, transaction

from tests.app.models import Shopper

# What databases say of a transaction that is to be tried again: a deadlock, or a conflict of snapshots.
KINDS = {"40P01": "deadlock", "40001": "serialization", 1213: "deadlock", 1205: "lock wait", 1020: "serialization"}
ISOLATIONS = {
    "postgresql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "mysql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
    "sqlite": [None],
}[connection.vendor]


class Retrying:
    """Tries transactions again, and counts the errors by their kinds."""

    def __init__(self, isolation=None):
        self.isolation = isolation
        self.errors = Counter()
        self.done = 0

    def isolate(self):
        """Let this thread's transactions be of the isolation level."""
        if self.isolation is None:
            return
        whose = "SESSION CHARACTERISTICS AS" if connection.vendor == "postgresql" else "SESSION"
        with connection.cursor() as cursor:
            cursor.execute(f"SET {whose} TRANSACTION ISOLATION LEVEL {self.isolation}")

    def wait_for_long(self):
        """Let this thread's connection to SQLite wait for others: it queues nobody, so one may starve under a load."""
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 600000")  # milliseconds

    def atomic(self, write):
        """Write in a transaction, until the database lets it be."""
        self.run(lambda: in_transaction(write))

    def run(self, write):
        while True:
            try:
                write()
            except IntegrityError as error:  # a parent that another thread has deleted
                self.errors[type(error).__name__] += 1
                return
            except OperationalError as error:
                self.errors[kind_of(error)] += 1
            else:
                self.done += 1
                return


def kind_of(error):
    """Return the kind of an error after which a transaction is tried again; raise any other one."""
    code = error.args[0] if connection.vendor == "mysql" else getattr(error.__cause__, "sqlstate", None)
    if code not in KINDS:
        raise error
    return KINDS[code]


def in_transaction(write):
    with transaction.atomic():
        lock_sqlite()
        write()


def lock_sqlite():
    """Write first: SQLite refuses a transaction that reads, and then writes, if another one has written meanwhile."""
    if connection.vendor == "sqlite":
        Shopper.objects.filter(pk=0).update(name="")
