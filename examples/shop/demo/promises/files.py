"""Files that a column names, compared with the files that are there."""

from django.conf import settings
from django.db import connection


def differences(table: str, column: str, folder: str) -> int:
    """Return how many files of a folder no row names, and how many names of rows have no file."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE {column} <> ''")
        named = {name for (name,) in cursor.fetchall()}
    stored = {f"{folder}/{path.name}" for path in (settings.MEDIA_ROOT / folder).glob("*")}
    return len(named ^ stored)
