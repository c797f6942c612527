"""The machine and the packages of a run, and how busy the machine was before it."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version

import django

import heliograph
from benchmarks.load.measuring import CONCURRENCY, Load
from benchmarks.load.variants import MAIL_SECONDS
from benchmarks.machine import computer
from tests.helpers.databases import SERVERS


def description(load: Load) -> dict[str, str]:
    """Return what is to be known about a run; it is asked for before the run, when the machine does nothing of it."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("locust", "waitress"))
    return {
        **computer(),
        "Packages": f"heliograph {heliograph.__version__}, Django {django.__version__}, {packages}",
        "Database": _database(load.database),
        "Load": (
            f"{load.users} users with a pause of {load.pause:g} s, {load.seconds:g} s for each row; a server with 4"
            f" threads, a worker with {CONCURRENCY}, a mail takes {MAIL_SECONDS * 1000:.0f} ms"
        ),
        "Busy before": f"{os.getloadavg()[0]:.1f} processes on {os.cpu_count()} cores",
        "Date": datetime.now(UTC).date().isoformat(),
    }


def _database(name: str) -> str:
    if name == "sqlite":
        return f"SQLite {sqlite3.sqlite_version}"
    import psycopg

    server = SERVERS[name]
    with psycopg.connect(
        host=server["HOST"], port=server["PORT"], user=server["USER"], password=server["PASSWORD"], dbname="postgres"
    ) as connection:
        shown = {one: connection.execute(f"SHOW {one}").fetchone()[0] for one in ("server_version", "fsync")}
    return f"PostgreSQL {shown['server_version'].split()[0]}, fsync {shown['fsync']}"
