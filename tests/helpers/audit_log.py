"""A large audit log, written by two statements: ten entries of each object, and a tenth of all entries of one object.

The oldest entries have a kind and an actor of their own. Each change set has two entries, a second after the last one.
"""

from datetime import UTC, datetime

from django.db import connection

from heliograph.audit.digests import number_of
from heliograph.audit.models import ChangeSet, Entry, Kind

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
KINDS = [
    *[("app.Item", "updated", f",{name},") for name in ("quantity", "price", "quantity,price")],
    *[("app.Item", "created", ",cart,quantity,"), ("app.Item", "deleted", ",cart,quantity,")],
    *[("app.Cart", "updated", f",{name},") for name in ("total", "state", "owner")],
]
RARE = ("app.Item", "updated", ",weight,")
BUSY = "busy"  # the key of the object with a tenth of all entries

_AT = {
    "postgresql": "TIMESTAMPTZ '2030-01-01 00:00:00+00' + n * INTERVAL '1 second'",
    "sqlite": "datetime('2030-01-01', '+' || n || ' seconds')",
    "mysql": "TIMESTAMP('2030-01-01') + INTERVAL n SECOND",
}
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))


def fill(entries, busy=BUSY):
    """Write so many entries."""
    rows(Kind, [(number_of(kind), *kind) for kind in (*KINDS, RARE)])
    actor = f"CASE WHEN n <= 3 THEN 'auth.User 1' ELSE REPLACE('auth.User #', '#', {_text('2 + n % 40')}) END"
    _insert_numbered(ChangeSet, entries // 2, f"n, NULL, {_AT[connection.vendor]}, {actor}, {actor}, '', '', '', ''")
    cases = " ".join(f"WHEN {at} THEN {number_of(kind)}" for at, kind in enumerate(KINDS))
    kind = f"CASE WHEN n <= 20 THEN {number_of(RARE)} ELSE CASE n % 1009 % {len(KINDS)} {cases} END END"
    key = f"CASE WHEN n % 10 = 0 THEN '{busy}' ELSE {_text(f'n % {max(entries // 10 - 1, 1)}')} END"
    _insert_numbered(Entry, entries, f"n, (n + n % 2) / 2, {kind}, {key}, '{{\"quantity\":[1,2]}}', {'s' * 22!r}, 'd'")
    if connection.vendor != "mysql":  # where it would commit
        _execute("ANALYZE")


def _text(expression):
    return f"CAST({expression} AS {'CHAR' if connection.vendor == 'mysql' else 'VARCHAR(20)'})"


def _insert_numbered(model, count, values):
    """Insert rows with these expressions, in which n is a number from 1 to the count."""
    digits = len(str(count))
    tables = " CROSS JOIN ".join(f"({_DIGITS}) d{at}" for at in range(digits))
    number = " + ".join(f"d{at}.d * {10**at}" for at in range(digits))
    numbers = f"SELECT n FROM (SELECT {number} AS n FROM {tables}) numbers WHERE n BETWEEN 1 AND {count} ORDER BY n"
    _execute(f"INSERT INTO {model._meta.db_table} ({_columns(model)}) SELECT {values} FROM ({numbers}) ordered")


def rows(model, values):
    """Insert rows, in the order of the columns of the table."""
    for row in values:
        marks = ", ".join(["%s"] * len(row))
        _execute(f"INSERT INTO {model._meta.db_table} ({_columns(model)}) VALUES ({marks})", row)


def _columns(model):
    return ", ".join(connection.ops.quote_name(field.column) for field in model._meta.concrete_fields)


def _execute(sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
