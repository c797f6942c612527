"""Bulk writes on tables that are not what their models say: views, partitions, keys that are not unique, triggers."""

import threading
from contextlib import ExitStack

import pytest
from django.db import connection, connections, models, transaction
from django.test.utils import isolate_apps

from heliograph.signals import post_bulk_create

pytestmark = pytest.mark.django_db(transaction=True)

IS_POSTGRESQL, IS_MARIADB = connection.vendor == "postgresql", connection.vendor == "mysql"
of_postgresql = pytest.mark.skipif(not IS_POSTGRESQL, reason="only PostgreSQL has it")

PART = "id int NOT NULL, region char(1) NOT NULL, words int NOT NULL DEFAULT 0"


@pytest.fixture
def execute():
    """Execute SQL; `undo` are statements for the end of the test."""
    with ExitStack() as stack:

        def execute(*statements, undo=()):
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            for statement in undo:
                stack.callback(execute, statement)

        yield execute


@pytest.fixture
def part(execute):
    """A model of a table that was made by SQL, whose key is not unique."""
    with isolate_apps("tests.app"):

        class Part(models.Model):
            id = models.IntegerField(primary_key=True)
            region = models.CharField(max_length=1)
            words = models.IntegerField(default=0)

            class Meta:
                app_label = "app"
                db_table = "app_part"
                managed = False

        yield Part


def rows_of(model):
    return sorted(model.objects.values_list("id", "region", "words"))


def on_conflict(*unique):
    """Return the options of bulk_create() that update a row with the same values of these fields."""
    names = {} if IS_MARIADB else {"unique_fields": unique}
    return {"update_conflicts": True, "update_fields": ["words"], **names}


def told_of(heard):
    """Return what was told of each write: the rows that are new, and the keys and values of those that are changed."""
    batches = [one.payload["batch"] for one in heard]
    return [
        (sorted((one.id, one.region) for one in batch.created), sorted(batch.changes("words"))) for batch in batches
    ]


# --- insertions in conflict with rows -----------------------------------------------------------------------------

TABLES = {
    "a table": [f"CREATE TABLE app_part ({PART}, PRIMARY KEY (id, region))"],
    "a partitioned table": [
        f"CREATE TABLE app_part ({PART}, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
        "CREATE TABLE app_part_a PARTITION OF app_part FOR VALUES IN ('a')",
        "CREATE TABLE app_part_b PARTITION OF app_part DEFAULT",
    ],
    "a view": [
        f"CREATE TABLE app_stored ({PART}, PRIMARY KEY (id, region))",
        "CREATE VIEW app_part AS SELECT id, region, words FROM app_stored",
    ],
    "a view of a partitioned table": [
        f"CREATE TABLE app_stored ({PART}, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
        "CREATE TABLE app_part_a PARTITION OF app_stored DEFAULT",
        "CREATE VIEW app_part AS SELECT id, region, words FROM app_stored",
    ],
}


def create(execute, kind):
    is_view = "view" in kind
    undo = ["DROP TABLE app_stored", "DROP VIEW app_part"] if is_view else ["DROP TABLE app_part"]
    execute(*TABLES[kind], undo=undo)


@of_postgresql
@pytest.mark.parametrize("kind", TABLES)
def test_new_rows_and_old_ones_are_told_apart_in_whatever_takes_conflicts(hear, execute, part, kind):
    create(execute, kind)
    part.objects.bulk_create([part(id=1, region="a"), part(id=1, region="b")])
    heard = hear(post_bulk_create, sender=part)
    rows = [part(id=1, region="a", words=2), part(id=2, region="a", words=3), part(id=1, region="c", words=4)]
    part.objects.bulk_create(rows, **on_conflict("id", "region"))
    assert told_of(heard) == [([(1, "c"), (2, "a")], [(1, 0, 2)])]
    assert rows_of(part) == [(1, "a", 2), (1, "b", 0), (1, "c", 4), (2, "a", 3)]


@of_postgresql
def test_a_table_that_takes_the_place_of_another_is_asked_what_it_is(hear, execute, part):
    heard = hear(post_bulk_create, sender=part)
    for kind in TABLES:
        with ExitStack() as stack:
            create(lambda *made, undo: (execute(*made), [stack.callback(execute, one) for one in undo]), kind)
            for words in (1, 2):
                part.objects.bulk_create([part(id=1, region="a", words=words)], **on_conflict("id", "region"))
    assert told_of(heard) == [([(1, "a")], []), ([], [(1, 1, 2)])] * len(TABLES)


@of_postgresql
def test_the_tables_of_two_schemas_are_not_taken_for_each_other(hear, execute, part):
    heard = hear(post_bulk_create, sender=part)
    create(execute, "a view")
    execute(
        "CREATE SCHEMA tenant",
        f"CREATE TABLE tenant.app_part ({PART}, PRIMARY KEY (id, region)) PARTITION BY LIST (region)",
        "CREATE TABLE tenant.app_part_a PARTITION OF tenant.app_part DEFAULT",
        undo=["DROP SCHEMA tenant CASCADE"],
    )
    for schema in ("public", "tenant", "public", "tenant"):
        with transaction.atomic():
            execute(f"SET LOCAL search_path TO {schema}")
            part.objects.bulk_create([part(id=1, region="a", words=len(heard))], **on_conflict("id", "region"))
    assert told_of(heard) == [([(1, "a")], []), ([(1, "a")], []), ([], [(1, 0, 2)]), ([], [(1, 1, 3)])]


@of_postgresql
@pytest.mark.parametrize("kind", ["a table", "a partitioned table"])
def test_a_row_that_another_transaction_inserts_meanwhile_is_told_as_updated(hear, execute, part, kind):
    create(execute, kind)
    heard = hear(post_bulk_create, sender=part)
    is_read = threading.Event()

    def note_reading(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "FOR " in sql:
            is_read.set()
        return result

    def insert():
        with connection.execute_wrapper(note_reading):
            part.objects.bulk_create([part(id=1, region="a", words=2)], **on_conflict("id", "region"))
        connections.close_all()

    inserting = threading.Thread(target=insert)
    with transaction.atomic():
        execute("INSERT INTO app_part VALUES (1, 'a', 1)")
        inserting.start()
        assert is_read.wait(20)  # and has not found the row, which is committed only now
    inserting.join(20)
    assert [batch.payload["batch"].created for batch in heard] == [[]]
    assert [[event.kind for event in batch.payload["batch"].events] for batch in heard] == [["updated"]]
    assert rows_of(part) == [(1, "a", 2)]
