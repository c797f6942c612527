"""Databases that nobody has migrated yet."""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import connection

from tests.helpers.databases import PREFIX, SERVERS, SQLITE_FOLDER

KIND = {"mysql": "mariadb"}.get(connection.vendor, connection.vendor)


@contextmanager
def fresh(name, creation=""):
    """Make an empty database of the kind that the tests run on, and yield its entry of DATABASES.

    `creation` is what CREATE DATABASE has after the name.
    """
    if KIND == "sqlite":
        SQLITE_FOLDER.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=SQLITE_FOLDER) as folder:
            yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(folder, f"{name}.sqlite3"))}
        return
    full_name = f"{PREFIX}_{name}"
    try:
        _execute(f"DROP DATABASE IF EXISTS {full_name}", f"CREATE DATABASE {full_name} {creation}")
        yield {**SERVERS[KIND], "NAME": full_name}
    finally:
        _execute(f"DROP DATABASE IF EXISTS {full_name}")


def _execute(*statements):
    with connection._nodb_cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
