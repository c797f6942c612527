"""A promise of an application, and how often it is kept and broken."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True)
class Promise:
    """A promise of an application: its text, the rows that it is about, and how to find the rows that break it.

    `wrong` is SQL that selects these rows. If the promise is about files and not about rows, it is a function that
    returns how many are wrong.
    """

    application: str
    text: str
    rows: str
    wrong: str | Callable[[], int]


@dataclass(frozen=True)
class Kept:
    """How many rows a promise is about, and how many break it."""

    promise: Promise
    rows: int
    differences: int


def count(promise: Promise) -> Kept:
    """Count the rows of a promise."""
    wrong = promise.wrong
    return Kept(promise, _count(promise.rows), wrong() if callable(wrong) else _count(wrong))


def _count(rows: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM ({rows}) AS counted")
        (number,) = cursor.fetchone()
    return number


def audited(application: str, table: str, model: str) -> Promise:
    """Return the promise that the audit log has one entry for the creation of each row."""
    entries = (
        "SELECT COUNT(*) FROM heliograph_audit_entry e JOIN heliograph_audit_kind k ON k.id = e.kind_id"
        f" WHERE k.model = '{model}' AND k.action = 'created' AND e.object = CAST(r.id AS VARCHAR(20))"
    )
    text = f"the audit log knows how each {table.partition('_')[2]} came about"
    return Promise(application, text, f"SELECT 1 FROM {table} r", f"SELECT 1 FROM {table} r WHERE ({entries}) <> 1")


def mailed(application: str, text: str, rows: str, matching: str) -> Promise:
    """Return the promise that each row has its mail; `matching` compares a mail `m` with a row `r`."""
    mails = f"SELECT COUNT(*) FROM mailing_mail m WHERE {matching}"
    return Promise(application, text, rows, f"{rows} WHERE ({mails}) = 0")
