"""The machine, the servers and the software with which the figures were measured."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from benchmarks import machine, project
from benchmarks.outbox import brokers
from benchmarks.outbox.systems import KINDS, absent

_PACKAGES = ("psycopg", *(kind.package for kind in KINDS if kind.module))


def description() -> dict[str, str]:
    """Return what is to be known about a run."""
    project.set_up()
    about = machine.description()
    date = about.pop("Date")
    left_out = dict.fromkeys(filter(None, map(absent, KINDS)))
    return {
        **about,
        **{package: version(package) for package in dict.fromkeys(_PACKAGES) if _is_there(package)},
        "Durability": _durability(),
        **{one.name: one.version() for one in (brokers.REDIS, brokers.RABBITMQ) if one.answers()},
        **({"Left out": "; ".join(left_out)} if left_out else {}),
        "Date": date,
    }


def _is_there(package: str) -> bool:
    return not any(kind.package == package and absent(kind) for kind in KINDS)


def _durability() -> str:
    from django.db import connections

    names = ("fsync", "synchronous_commit", "full_page_writes")
    with connections[project.POSTGRESQL]._nodb_cursor() as cursor:
        return ", ".join(f"{name} {_shown(cursor, name)}" for name in names)


def _shown(cursor: Any, name: str) -> str:
    cursor.execute(f"SHOW {name}")
    return str(cursor.fetchone()[0])
