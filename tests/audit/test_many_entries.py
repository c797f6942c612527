"""Many entries are sealed and verified in bounded memory: HELIOGRAPH_TEST_ENTRIES=1000000 measures as many."""

import os
import tracemalloc
from time import perf_counter

import pytest
from django.db import connection

from heliograph.audit import sealing
from heliograph.audit.chain import rows
from heliograph.audit.digests import digest_of, new_salts, number_of
from heliograph.audit.models import ChangeSet, Entry, Kind, Seal
from heliograph.outbox.clock import DatabaseNow
from tests.audit.logs import counts, findings, tamper
from tests.helpers.threads import LONG

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3000)]

COUNT = int(os.environ.get("HELIOGRAPH_TEST_ENTRIES", "20000"))
SET = 20  # entries of a change set
TEXT = '{"quantity":[1,2],"note":["before","after"]}'
KIND = ("app.Item", "updated", ",note,quantity,")


@pytest.fixture
def many():
    rows(Kind, "default").bulk_create([Kind(number_of(KIND), *KIND)])
    for start in range(0, COUNT, 10_000):
        keys = range(start, min(start + 10_000, COUNT))
        salts = new_salts(len(keys))
        sets = [ChangeSet(pk=number + 1, at=DatabaseNow()) for number in {key // SET for key in keys}]
        rows(ChangeSet, "default").bulk_create(sets, ignore_conflicts=True, batch_size=500)
        entries = [
            Entry(
                change_set_id=key // SET + 1,
                kind_id=number_of(KIND),
                object=str(key % 1000),
                text=TEXT,
                salt=salt,
                digest=digest_of(salt, TEXT),
            )
            for key, salt in zip(keys, salts, strict=True)
        ]
        rows(Entry, "default").bulk_create(entries, batch_size=2_000)


def timed(name, function):
    start = perf_counter()
    result = function()
    seconds = perf_counter() - start
    print(f"{connection.vendor}: {name} {COUNT:,} entries: {seconds:.1f} s, {seconds / COUNT * 1e6:.1f} µs an entry")
    return result


def test_many_entries_are_sealed_and_verified(many):
    assert timed("sealed", lambda: sealing.seal("default", wait=LONG)).entries == COUNT
    assert timed("verified", counts)["entr"] == COUNT
    one = Entry.objects.all()[COUNT // 2].pk
    tamper("DELETE FROM {Entry} WHERE id = %s", one)

    [found] = findings()
    assert found.startswith(f"Entry #{one} was removed")


def test_memory_does_not_grow_with_the_entries(many):
    if COUNT > 100_000:
        pytest.skip("it would take long")
    tracemalloc.start()
    try:
        sealing.seal("default", wait=LONG)
        assert findings() == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    # Of a seal at a time: its 5,000 entries, with their leaves and texts.
    assert peak < 12_000_000 < COUNT * 600 + 1
    assert Seal.objects.count() == COUNT // sealing.SIZE
