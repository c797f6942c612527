"""The programs of the servers that the crash tests start themselves."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

OF_SERVERS = {
    "postgresql": ("initdb", "postgres"),
    "mariadb": ("mariadb-install-db", "mariadbd"),
    "redis": ("redis-server",),
}


def program(name: str) -> str | None:
    """Return the path of a program, which need not be on PATH; None if it is not here."""
    folders = [os.environ.get("PATH", ""), "/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    return shutil.which(name, path=os.pathsep.join(folders))


def missing(names: Sequence[str]) -> list[str]:
    """Return which of them are not here."""
    return [name for name in names if not program(name)]
