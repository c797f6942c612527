"""On PostgreSQL the table of entries becomes one of partitions, in which everything else works as before."""

import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, OperationalError, connection, connections, models, transaction

from heliograph.audit import audit, partitioning, sealing
from heliograph.audit.chain import rows
from heliograph.audit.models import ChangeSet, Entry, Link, Seal
from heliograph.audit.partitioning import PartitionError
from heliograph.audit.sealing import seal
from heliograph.databases import database_of
from heliograph.outbox.upkeep.chores import all_chores
from tests.app.models import Cart, Item, Shopper
from tests.audit.logs import command, counts, findings, tamper
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = database_of(connection)
TABLE = Entry._meta.db_table
DAYS = timedelta(days=1)
TIMEOUT = "heliograph.databases.postgresql_partitions._TIMEOUT"

on_partitions = pytest.mark.skipif(not DATABASE.has_partitions, reason=f"{DATABASE.vendor} does not claim it")


@pytest.fixture
def cart(monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 4)
    audit(Item, keep=30 * DAYS)
    audit(Shopper, keep=60 * DAYS)
    audit(Cart, keep=30 * DAYS)
    yield Cart.objects.create()
    with connection.schema_editor() as editor:  # for other tests, the table is one table again
        editor.delete_model(Entry)
        editor.create_model(Entry)


def grow_old(days):
    """Let all entries so far be so many days older."""
    for one in ChangeSet.objects.all():
        ChangeSet._base_manager.filter(pk=one.pk).update(at=one.at - days * DAYS)


def ranges():
    return [(one.first, one.end) for one in DATABASE.partitions(connection, TABLE)]


def numbers():
    return [*Entry.objects.values_list("pk", flat=True)]


def where(number):
    """The table that has an entry."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text FROM {TABLE} WHERE id = %s", [number])
        return cursor.fetchone()[0].strip('"')


def restart(number):
    """Let the next entry have a number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s, false)", [TABLE, number])


def write_open():
    """Write an entry as the end of a transaction does, while the transaction stays open."""
    rows(Entry, "default").bulk_create(
        [Entry(change_set_id=1, kind_id=1, object="open", text="{}", salt="", digest="")]
    )


def indexes():
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, TABLE)
    return {name: (one["columns"], one["primary_key"], one["index"]) for name, one in found.items() if one["columns"]}


@pytest.mark.skipif(DATABASE.has_partitions, reason="it is about databases without partitions")
def test_l12_a_database_without_partitions_is_refused():
    with pytest.raises(CommandError, match="Partitions of the audit log are for PostgreSQL, and 'default' is"):
        command("partition")


@on_partitions
def test_l12_the_table_becomes_the_first_partition_with_its_rows_and_indexes(cart):
    Item.objects.create(cart=cart)
    before, names, last = numbers(), indexes(), Entry.objects.last().pk
    end = (last // 100 + 2) * 100

    assert command("partition", "--size", "100", "--ahead", "3") == (
        "The table of entries is partitioned by ranges of ids; what was there is the first.\n"
        "Made 3 partitions for the next entries.\n"
    )

    assert ranges() == [(None, end), *((end + n, end + n + 100) for n in (0, 100, 200)), (None, None)]
    assert (numbers(), indexes()) == (before, names)
    Item.objects.create(cart=cart)
    assert numbers() == [*before, last + 1]
    assert where(last + 1) == f"{TABLE}_p0"


@on_partitions
def test_l12_another_run_makes_only_what_is_missing(cart):
    command("partition", "--size", "100")
    first = ranges()

    assert command("partition") == "Made 0 partitions for the next entries.\n"
    assert ranges() == first
    restart(first[1][0] + 1)
    Item.objects.create(cart=cart)

    assert command("partition") == "Made 1 partition for the next entries.\n"
    assert ranges() == [*first[:-1], (first[-2][1], first[-2][1] + 100), (None, None)]
    assert where(first[1][0] + 1) == f"{TABLE}_p{first[1][0]}"


@on_partitions
def test_l12_an_entry_beyond_all_partitions_is_written_and_later_ones_have_partitions_again(cart):
    command("partition", "--size", "100", "--ahead", "1")
    restart(5_010)
    Item.objects.create(cart=cart)
    assert where(5_010) == f"{TABLE}_default"

    command("partition", "--ahead", "2")

    assert ranges()[-3:] == [(5_100, 5_200), (5_200, 5_300), (None, None)]
    restart(5_099)
    Item.objects.create(cart=cart)
    Item.objects.create(cart=cart)
    assert [where(number) for number in (5_099, 5_100)] == [f"{TABLE}_default", f"{TABLE}_p5100"]
    seal("default", wait=LONG)
    assert findings() == []


@on_partitions
def test_l12_a_partition_whose_entries_are_all_old_is_dropped_and_the_log_is_verified(cart):
    Item.objects.create(cart=cart)
    command("partition", "--size", "10")
    end, last = ranges()[0][1], Entry.objects.last().pk
    restart(end - 1)
    for _ in range(12):
        Item.objects.create(cart=cart)
    grow_old(40)
    seal("default", wait=LONG)
    Item.objects.create(cart=cart)

    assert command("prune") == "Pruned 14 entries.\n"

    assert ranges()[0] == (end + 10, end + 20)
    assert numbers() == [end + 11]
    assert [one.ids for one in Seal.objects.filter(link=Link.PRUNED)] == [
        f"{last - 1}-{last},{end - 1}",
        f"{end}-{end + 9}",
        f"{end + 10}",
    ]
    assert {one.reason for one in Seal.objects.filter(link=Link.PRUNED)} == {
        "app.Cart is kept for 30 days, 0:00:00; app.Item is kept for 30 days, 0:00:00",
        "app.Item is kept for 30 days, 0:00:00",
    }
    assert ChangeSet.objects.count() == 1
    seal("default", wait=LONG)
    assert findings() == []
    assert counts()["pruned"] == 14


@on_partitions
def test_l12_a_partition_with_an_entry_that_is_kept_stays_and_the_others_are_deleted(cart):
    Shopper.objects.create()
    Item.objects.create(cart=cart)
    grow_old(40)
    command("partition", "--size", "10")
    first = ranges()
    restart(first[0][1])
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)

    assert command("prune") == "Pruned 2 entries.\n"

    assert ranges() == first
    assert [*Entry.objects.values_list("kind__model", flat=True)] == ["app.Shopper", "app.Item"]
    assert findings() == []


@on_partitions
def test_a_change_set_with_an_entry_in_another_partition_stays(cart):
    command("partition", "--size", "10")
    end = ranges()[0][1]
    restart(end - 1)
    with transaction.atomic():
        Item.objects.create(cart=cart)
        Shopper.objects.create()
    grow_old(40)
    seal("default", wait=LONG)

    assert command("prune") == "Pruned 2 entries.\n"

    assert ranges()[0] == (end, end + 10)
    assert numbers() == [end]
    assert [*ChangeSet.objects.values_list("pk", flat=True)] == [Entry.objects.get().change_set_id]
    assert findings() == []


@on_partitions
def test_l12_a_partition_that_an_open_transaction_writes_to_is_not_dropped(cart, monkeypatch):
    monkeypatch.setattr(TIMEOUT, "SET LOCAL lock_timeout = '50ms'")
    command("partition", "--size", "10")
    end = ranges()[0][1]
    restart(end - 1)
    grow_old(40)
    with transaction.atomic():
        write_open()  # the last id of the first partition
        restart(end + 2)

        assert in_thread(command, "prune") == "Pruned 1 entry.\n"

    assert ranges()[0] == (None, end)
    assert numbers() == [end - 1]


@on_partitions
def test_a_partition_with_an_entry_that_nobody_prunes_stays(cart):
    Item.objects.create(cart=cart)
    command("partition", "--size", "10")
    restart(ranges()[0][1] + 1)
    grow_old(40)

    assert command("prune", "app.Item") == "Pruned 1 entry.\n"
    assert ranges()[0][0] is None

    assert command("prune") == "Pruned 1 entry.\n"
    assert ranges()[0][0] is not None


@on_partitions
def test_another_error_than_a_wait_for_a_lock_is_raised(cart, monkeypatch):
    """Here a statement takes too long."""
    with transaction.atomic():
        write_open()
        with monkeypatch.context() as patch:
            patch.setattr(TIMEOUT, "SET LOCAL statement_timeout = '50ms'")
            with pytest.raises(OperationalError, match="statement timeout"):
                in_thread(command, "partition")
    command("partition", "--size", "10")
    restart(ranges()[0][1] - 1)
    with transaction.atomic():
        write_open()
        restart(ranges()[0][1] + 1)
        with monkeypatch.context() as patch:
            patch.setattr(TIMEOUT, "SET LOCAL statement_timeout = '50ms'")
            with pytest.raises(OperationalError, match="statement timeout"):
                in_thread(command, "prune")


@on_partitions
def test_partitions_that_wait_for_their_entries_are_never_dropped(cart):
    command("partition", "--size", "10")
    grow_old(40)

    assert command("prune") == "Pruned 1 entry.\n"
    assert len(ranges()) == 4


@on_partitions
def test_l12_no_seal_overtakes_a_transaction_that_has_written_to_a_partition(cart):
    """It holds the lock of the whole table, and partitions are added meanwhile."""
    written, end = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            write_open()
            written.set()
            assert end.wait(LONG)
        connections.close_all()

    command("partition", "--size", "10")
    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(LONG)
        Item.objects.create(cart=cart)
        done = seal("default")
        assert (done.entries, done.waits_for) == (0, 1)
        assert command("partition", "--ahead", "4") == "Made 2 partitions for the next entries.\n"
    finally:
        end.set()
        thread.join(LONG)

    assert seal("default", wait=LONG).entries == 3


@on_partitions
def test_l12_writers_go_on_while_the_table_is_partitioned(cart):
    ended, count = threading.Event(), 0

    def write():
        nonlocal count
        while not ended.is_set() or count < 20:
            Item.objects.create(cart=cart)
            count += 1
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        command("partition", "--size", "1000")
    finally:
        ended.set()
        thread.join(LONG)

    assert Entry.objects.filter(kind__model="app.Item").count() == count >= 20
    seal("default", wait=LONG)
    assert findings() == []


@on_partitions
def test_of_two_processes_that_partition_the_table_at_once_one_does(cart):
    def convert():
        try:
            return command("partition", "--size", "10")
        except CommandError as error:
            return str(error)

    done = at_once(convert, convert)

    assert sum(one.startswith("The table of entries is partitioned") for one in done) == 1
    assert len(ranges()) == 4
    with pytest.raises(PartitionError, match="Another process has just partitioned"):
        partitioning._convert("default", 10)
    restart(2_000_000)
    Item.objects.create(cart=cart)  # no limit of ids is left
    assert where(2_000_000) == f"{TABLE}_default"


@on_partitions
def test_a_limit_of_ids_that_a_killed_process_has_left_is_removed(cart):
    tamper("ALTER TABLE {Entry} ADD CONSTRAINT heliograph_below CHECK (id < 1000000)")

    command("partition", "--size", "10")

    restart(2_000_000)
    Item.objects.create(cart=cart)
    assert where(2_000_000) == f"{TABLE}_default"


@on_partitions
def test_a_worker_makes_the_partitions_that_are_missing_of_a_partitioned_table_only(cart):
    [chore] = [one for one in all_chores() if one.name == "seal the audit log"]
    chore.do("default")
    assert ranges() == []
    command("partition", "--size", "10")
    restart(ranges()[1][0])
    Item.objects.create(cart=cart)

    chore.do("default")

    assert len(ranges()) == 5


@on_partitions
def test_a_table_that_another_transaction_uses_is_left_as_it_was(cart, monkeypatch):
    monkeypatch.setattr(TIMEOUT, "SET LOCAL lock_timeout = '50ms'")
    names = indexes()
    with transaction.atomic():
        Item.objects.create(cart=cart)
        write_open()
        with pytest.raises(CommandError, match="was not locked in time"):
            in_thread(command, "partition")

    assert (ranges(), indexes()) == ([], names)
    Item.objects.create(cart=cart)
    assert command("partition").startswith("The table of entries is partitioned")


def fail_beside_a_writer(seconds):
    """Let partitioning fail while another transaction has written to the table, and ends after so many seconds."""
    written, end = threading.Event(), threading.Event()

    def write():
        with transaction.atomic():
            write_open()
            written.set()
            end.wait(seconds)
        connections.close_all()

    thread = threading.Thread(target=write)
    try:
        with DATABASE.bounded(connection, TABLE, 1_000_000):
            thread.start()
            assert written.wait(LONG)
            raise ZeroDivisionError
    finally:
        end.set()
        thread.join(LONG)


@on_partitions
def test_the_limit_of_ids_is_removed_also_if_others_use_the_table(cart, monkeypatch):
    monkeypatch.setattr(TIMEOUT, "SET LOCAL lock_timeout = '50ms'")

    with pytest.raises(ZeroDivisionError):
        fail_beside_a_writer(0.3)

    restart(2_000_000)
    Item.objects.create(cart=cart)


@on_partitions
def test_another_error_while_the_limit_is_removed_is_raised(cart, monkeypatch):
    monkeypatch.setattr(TIMEOUT, "SET LOCAL statement_timeout = '50ms'")

    with pytest.raises(OperationalError, match="statement timeout"):
        fail_beside_a_writer(LONG)


@on_partitions
def test_what_would_stay_with_the_old_table_is_refused(cart):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE VIEW heliograph_view AS SELECT id FROM {TABLE}")
        try:
            with pytest.raises(CommandError, match="The table of entries has the view heliograph_view"):
                command("partition")
        finally:
            cursor.execute("DROP VIEW heliograph_view")

    assert ranges() == []


@on_partitions
def test_partitions_are_protected_as_the_table_is(cart):
    Item.objects.create(cart=cart)
    command("protect")
    command("partition", "--size", "10")
    number, (end, _) = Entry.objects.last().pk, ranges()[1]
    restart(end)
    Item.objects.create(cart=cart)
    command("partition", "--ahead", "3")
    restart(ranges()[3][0])
    Item.objects.create(cart=cart)

    for table in (TABLE, *(one.name for one in DATABASE.partitions(connection, TABLE))):
        for sql in ("DELETE FROM", "TRUNCATE"):
            with pytest.raises(DatabaseError, match="are not edited"), transaction.atomic():
                tamper(f'{sql} "{table}"')
    assert number in numbers()
    command("unprotect")
    grow_old(40)
    command("protect")
    seal("default", wait=LONG)
    assert command("prune") == "Pruned 4 entries.\n"
    assert findings() == []
    command("unprotect")
    assert tamper("DELETE FROM {Entry}") == 0


@on_partitions
def test_later_migrations_find_the_table_its_columns_and_its_indexes(cart):
    command("partition", "--size", "10")
    field = models.TextField(default="", db_default="")
    field.set_attributes_from_name("later")
    field.model = Entry
    added = models.Index(fields=["digest"], name="heliograph_later")
    with connection.schema_editor() as editor:
        editor.add_field(Entry, field)
        editor.add_index(Entry, added)
        editor.remove_index(Entry, Entry._meta.indexes[0])
    assert "heliograph_later" in indexes()
    assert "heliograph_audit_object" not in indexes()
    with connection.schema_editor() as editor:
        editor.remove_field(Entry, field)
        editor.remove_index(Entry, added)
        editor.add_index(Entry, Entry._meta.indexes[0])

    Item.objects.create(cart=cart)
    assert "heliograph_audit_object" in indexes()
    assert command("partition", "--ahead", "3") == "Made 1 partition for the next entries.\n"


@on_partitions
def test_values_are_forgotten_in_partitions_too(cart):
    shopper = Shopper.objects.create()
    command("partition", "--size", "10")
    restart(ranges()[1][0])
    shopper.name = "Ada"
    shopper.save()
    seal("default", wait=LONG)

    assert "Forgot 2 entries" in command("forget", "app.Shopper", str(shopper.pk))
    assert findings() == []


@on_partitions
@pytest.mark.parametrize("option", ["--size=0", "--ahead=x", "--size=-5"])
def test_a_number_that_is_none_is_refused(option):
    with pytest.raises(CommandError, match="takes a whole number from 1"):
        command("partition", option)
