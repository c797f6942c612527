"""The demonstration's database, made anew."""

from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection


def create() -> None:
    """Delete the database of an earlier demonstration, and migrate a new one."""
    connection.close()
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{settings.DATABASES['default']['NAME']}{suffix}").unlink(missing_ok=True)
    call_command("migrate", verbosity=0)
