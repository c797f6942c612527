"""The beginning of a demonstration: a new database."""

from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from demo import workers


def begin() -> None:
    """Delete what is left of an earlier demonstration, and migrate a new database."""
    connection.close()
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{settings.DATABASES['default']['NAME']}{suffix}").unlink(missing_ok=True)
    workers.LOG.unlink(missing_ok=True)
    call_command("migrate", verbosity=0)
