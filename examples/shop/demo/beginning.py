"""The beginning of a demonstration: a new database."""

from contextlib import closing
from pathlib import Path
from shutil import rmtree

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from demo import workers


def begin() -> None:
    """Delete the database and the files of an earlier demonstration, and migrate a new database."""
    connection.close()
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    _NEW_DATABASE[connection.vendor]()
    workers.LOG.unlink(missing_ok=True)
    rmtree(settings.MEDIA_ROOT, ignore_errors=True)
    call_command("migrate", verbosity=0)


def _delete_files() -> None:
    """Delete the files of SQLite."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{settings.DATABASES['default']['NAME']}{suffix}").unlink(missing_ok=True)


def _create_again() -> None:
    """Delete the database of PostgreSQL if it is there, and create it."""
    name = connection.ops.quote_name(settings.DATABASES["default"]["NAME"])
    with closing(connection.Database.connect(dbname="postgres", autocommit=True)) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")


_NEW_DATABASE = {"sqlite": _delete_files, "postgresql": _create_again}
