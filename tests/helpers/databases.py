"""The databases that the tests run on."""

import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

# Checkouts and cells of the matrix run side by side on the same servers, so each has databases of its own.
_CHECKOUT = zlib.crc32(os.fsencode(Path(__file__).resolve().parents[2]))
_CELL = os.environ.get("HELIOGRAPH_TEST_CELL", "")
PREFIX = f"heliograph_{_CHECKOUT:08x}{_CELL and '_'}{_CELL}"

_MEMORY = Path("/dev/shm")
_NEEDED = 2**29  # bytes, for the databases of several cells


def _folder() -> Path:
    """A folder in memory where the system has a large one: nobody misses a test database after a power cut."""
    is_usable = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _NEEDED
    return _MEMORY if is_usable else Path(tempfile.gettempdir())


SQLITE_FOLDER = _folder() / PREFIX

SERVERS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": int(os.environ.get("PGPORT", "5432")),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        # Nobody misses a test database after a power cut.
        "OPTIONS": {"options": "-c synchronous_commit=off"},
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": int(os.environ.get("MYSQL_TCP_PORT", "3306")),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        # The driver reads all certificates of the machine for each connection, also where the server has no TLS: that
        # takes it 24 ms of processor, and a test with transactions opens one or two connections.
        "OPTIONS": {"ssl_disabled": True},
        "TEST": {"CHARSET": "utf8mb4"},
    },
}
KINDS = ("sqlite", *SERVERS)


def databases(kind: str) -> dict[str, dict[str, Any]]:
    """Django's DATABASES for one kind: two aliases on the same server."""
    if kind not in KINDS:
        raise ValueError(f"HELIOGRAPH_TEST_DATABASE is {kind!r}; it must be one of {', '.join(KINDS)}.")
    return {alias: _sqlite(alias) if kind == "sqlite" else _server(kind, alias) for alias in ("default", "other")}


def _server(kind: str, alias: str) -> dict[str, Any]:
    return {**SERVERS[kind], "NAME": f"{PREFIX}_{alias}"}


def _sqlite(alias: str) -> dict[str, Any]:
    """A database in a file, since threads do not share one in memory the way they share a server."""
    SQLITE_FOLDER.mkdir(exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SQLITE_FOLDER / f"{alias}.sqlite3",
        "OPTIONS": {"timeout": 20, "init_command": "PRAGMA synchronous=OFF"},
        "TEST": {"NAME": SQLITE_FOLDER / f"test_{alias}.sqlite3"},
    }
