"""A row as it was is read by indexes from a large log: HELIOGRAPH_AUDIT_ENTRIES=1000000 also says how long it takes."""

import os
import re
from datetime import timedelta
from time import perf_counter

import pytest
from django.db import connection

from heliograph.audit import as_of, audit, history
from heliograph.audit.digests import number_of
from heliograph.audit.models import Entry, Kind
from tests.app.models import Item
from tests.helpers.audit_log import BEGIN, fill, rows
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db

ENTRIES = int(os.environ.get("HELIOGRAPH_AUDIT_ENTRIES", "20000"))
MIDDLE, END = (BEGIN + timedelta(seconds=ENTRIES // part) for part in (4, 2))
KEY, BUSY = 77, 10**9
LATE = ("app.Item", "updated", ",note,")  # of the last entries only, so that the field is newer than the others
ITEMS = {"a row": KEY, "a busy row": BUSY}


@pytest.fixture(scope="module")
def django_db_setup(django_db_setup, django_db_blocker):
    """Write the log once for all tests of this file: a busy object has a tenth of all entries."""
    with django_db_blocker.unblock():
        fill(ENTRIES, busy=str(BUSY))
        rows(Kind, [(number_of(LATE), *LATE)])
        last = Entry._base_manager.filter(pk__gt=ENTRIES * 0.98, kind__action="updated", kind__model="app.Item")
        last.update(kind=number_of(LATE))
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("entry", "changeset", "kind"):
            cursor.execute(f"DELETE FROM heliograph_audit_{table}")


@pytest.fixture
def items():
    made = {name: Item.objects.create(pk=key) for name, key in ITEMS.items()}
    audit(Item)
    return made


def plan_of(sql):
    with connection.cursor() as cursor:
        cursor.execute({"sqlite": "EXPLAIN QUERY PLAN "}.get(connection.vendor, "EXPLAIN ") + sql)
        return "\n".join(str(row) for row in cursor.fetchall())


def of_entries(operation):
    return [sql for sql in statements(operation) if 'FROM "heliograph_audit_entry"' in sql.replace("`", '"')]


@pytest.mark.parametrize("name", ITEMS)
def test_l9_the_entries_of_a_row_are_found_by_the_index_of_its_object(items, name):
    [sql] = [sql for sql in of_entries(lambda: as_of(items[name], MIDDLE)) if "GROUP BY" in sql]

    assert "heliograph_audit_object" in plan_of(sql), plan_of(sql)


@pytest.mark.parametrize("name", ITEMS)
def test_l9_the_entries_of_a_row_after_a_recent_moment_are_found_by_an_index(items, name):
    [sql] = [sql for sql in of_entries(lambda: as_of(items[name], END)) if "GROUP BY" in sql]

    # By the object, or by the few change sets after the moment.
    assert re.search("heliograph_audit_object|heliograph_audit_sets", plan_of(sql)), plan_of(sql)


def test_l9_the_first_entry_with_a_field_is_found_by_the_index_of_the_kinds(items):
    [sql] = [sql for sql in of_entries(lambda: as_of(items["a row"], MIDDLE)) if "ORDER BY" in sql and "LIMIT 1" in sql]

    assert "heliograph_audit_kinds" in plan_of(sql), plan_of(sql)


@pytest.mark.parametrize("name", ITEMS)
def test_l9_a_row_takes_the_same_few_queries_however_large_the_log_is(items, name):
    # Pruned ones, the kinds, the first entry of each and which are later, the row, its entries, the kinds again.
    assert len(statements(lambda: as_of(items[name], MIDDLE))) == 9


@pytest.mark.skipif(ENTRIES < 1_000_000, reason="only a large log says how long it takes")
def test_l9_a_row_of_a_large_log_is_fast(items):
    moments = {"middle": MIDDLE, "end": END - timedelta(seconds=100), "entry": Entry.objects.get(pk=ENTRIES // 2)}
    took = {name: _seconds(lambda at=at: as_of(items["a row"], at)) for name, at in moments.items()}
    took["get"] = _seconds(lambda: Item.objects.get(pk=KEY))
    took["history"] = _seconds(lambda: len(history(items["a row"])))
    took |= {f"busy, {name}": _seconds(lambda at=at: as_of(items["a busy row"], at)) for name, at in moments.items()}
    print(f"{connection.vendor}:", ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in took.items()))

    # A query by the primary key takes 0.4 ms where nothing else is at work, so that this is less than 10 ms.
    assert max(took[name] for name in moments) < 25 * took["get"] or connection.vendor != "postgresql"


def _seconds(operation):
    durations = []
    for _ in range(50):
        start = perf_counter()
        operation()
        durations.append(perf_counter() - start)
    return min(durations)
