"""Each capability that the description of a database claims: a statement is run, and its effect is looked at.

A claim that holds is seen by what the database does; where a capability is not claimed, its test is skipped, or shows
that the opposite is so.
"""

import threading
from contextlib import ExitStack
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db import Error, OperationalError, connection, connections, transaction

from heliograph.databases import GENERAL, database_of
from heliograph.databases.pieces import PLACE_NUMBER
from tests.app.models import Article

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = database_of(connection)
ROWS = "INSERT INTO heliograph_rows (id, number) VALUES (1, 10), (2, 20)"


def claims(name):
    """Skip a test on a database that does not claim a capability."""
    return pytest.mark.skipif(not getattr(DATABASE, name), reason=f"{DATABASE.vendor} does not claim {name}")


def asked(sql, params=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def holds(condition):
    sql, params = condition
    [(answer,)] = asked(f"SELECT {sql}", params)
    return bool(answer)


def in_another_session(function):
    """Call a function on a connection of its own, and raise what it raises."""
    raised = []

    def run():
        try:
            function()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    if raised:
        raise raised[0]


@pytest.fixture
def execute():
    """Execute SQL; `undo` is a statement for the end of the test."""
    with ExitStack() as stack:

        def execute(*statements, undo=None):
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            if undo is not None:
                stack.callback(execute, undo)

        yield execute


@pytest.fixture
def rows(execute):
    """A table with a primary key and two rows; its name."""
    columns = "id int NOT NULL PRIMARY KEY, number int NOT NULL"
    execute(f"CREATE TABLE heliograph_rows ({columns})", ROWS, undo="DROP TABLE heliograph_rows")
    return "heliograph_rows"


# --- which description --------------------------------------------------------------------------------------------


def test_the_database_of_these_tests_is_described():
    assert DATABASE.vendor == connection.vendor


def test_a_database_that_nobody_has_described_claims_nothing():
    unknown = database_of(SimpleNamespace(vendor="oracle"))

    assert unknown is GENERAL
    assert [name for name, value in vars(type(unknown)).items() if value is True] == []


# --- values -------------------------------------------------------------------------------------------------------


@claims("rounding")
@pytest.mark.parametrize("text", ["0.125", "0.135", "-0.125", "2.675", "1.005", "1234.5", "0.1"])
def test_a_decimal_is_stored_as_the_database_says(text):
    article = Article.objects.create(price=Decimal(text))

    stored = Article.objects.get(pk=article.pk).price

    assert DATABASE.stored_decimal(Decimal(text), places=2, digits=8) == stored
    assert GENERAL.stored_decimal(Decimal(text), places=2, digits=8) in (None, stored)


# --- locks and transactions ---------------------------------------------------------------------------------------


@claims("has_one_writer")
def test_nobody_else_writes_beside_a_transaction_that_begins_as_writer(rows):
    with DATABASE.beginning_as_writer(connection) as is_writer, transaction.atomic():
        assert is_writer
        with pytest.raises(OperationalError):
            in_another_session(write_without_waiting)


NO_WAITING = {"sqlite": "PRAGMA busy_timeout = 0"}


def write_without_waiting():
    with connection.cursor() as cursor:
        cursor.execute(NO_WAITING.get(connection.vendor, "SELECT 1"))
        cursor.execute("UPDATE heliograph_rows SET number = 5 WHERE id = 1")


def execute_alone(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_transaction_may_write_what_it_has_read_beside_another_writer_unless_it_begins_as_reader(rows):
    def read_and_write():
        with transaction.atomic():
            asked("SELECT id FROM heliograph_rows")
            in_another_session(write_without_waiting)
            execute_alone("UPDATE heliograph_rows SET number = 7 WHERE id = 2")

    if DATABASE.begins_as_reader(connection):
        with pytest.raises(OperationalError):
            read_and_write()
    else:
        read_and_write()


def test_a_transaction_takes_no_more_statements_if_it_is_aborted():
    with transaction.atomic():
        assert takes("SELECT nothing FROM heliograph_nowhere") is False
        is_aborted = DATABASE.is_aborted(connection)
        assert takes("SELECT 1") is not is_aborted
        transaction.set_rollback(True)


def takes(sql):
    try:
        execute_alone(sql)
    except Error:
        return False
    return True


def test_a_savepoint_that_rolls_back_undoes_its_writes_and_an_error(rows):
    with transaction.atomic():
        with pytest.raises(Error):
            write_and_fail()
        assert not DATABASE.is_aborted(connection)
        assert [*map(tuple, asked("SELECT number FROM heliograph_rows WHERE id = 1"))] == [(10,)]


@transaction.atomic
def write_and_fail():
    execute_alone("UPDATE heliograph_rows SET number = 11 WHERE id = 1")
    execute_alone("SELECT nothing FROM heliograph_nowhere")


# --- bulk writes --------------------------------------------------------------------------------------------------

WRITES = {
    "INSERT": "INSERT INTO heliograph_rows (id, number) VALUES (3, 30)",
    "UPDATE": "UPDATE heliograph_rows SET number = 30 WHERE id = 1",
    "DELETE": "DELETE FROM heliograph_rows WHERE number = 10",
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_statement_returns_rows_if_the_database_says_so(rows, kind):
    expected = {"INSERT": (3, 30), "UPDATE": (1, 30), "DELETE": (1, 10)}[kind]

    if DATABASE.returns_rows(connection, of=kind):
        assert [*map(tuple, asked(f"{WRITES[kind]} RETURNING id, number"))] == [expected]
    else:
        with pytest.raises(Error), connection.cursor() as cursor:
            cursor.execute(f"{WRITES[kind]} RETURNING id, number")


@claims("describes_tables")
@pytest.mark.parametrize(
    ("columns", "has_key"),
    [
        ("id int NOT NULL PRIMARY KEY, region int NOT NULL", True),
        ("id int NOT NULL, region int NOT NULL", False),
        ("id int NOT NULL, region int NOT NULL, PRIMARY KEY (id, region)", False),
    ],
)
def test_a_table_has_a_key_if_no_two_rows_share_one(execute, columns, has_key):
    execute(f"CREATE TABLE heliograph_keys ({columns})", undo="DROP TABLE heliograph_keys")

    assert holds(DATABASE.has_key(connection, "heliograph_keys", ["id"])) is has_key
    if not has_key:
        execute("INSERT INTO heliograph_keys (id, region) VALUES (1, 1), (1, 2)")


TRIGGERS = {
    "postgresql": "BEFORE UPDATE ON heliograph_rows FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "mysql": "BEFORE UPDATE ON heliograph_rows FOR EACH ROW SET NEW.number = 5",
    "sqlite": "AFTER UPDATE ON heliograph_rows BEGIN UPDATE heliograph_rows SET number = 5 WHERE id = NEW.id; END",
}


@claims("describes_tables")
def test_a_trigger_of_updates_is_known(rows, execute):
    before = holds(DATABASE.has_no_triggers(connection, rows))
    execute(f"CREATE TRIGGER heliograph_trigger {TRIGGERS[connection.vendor]}")

    assert (before, holds(DATABASE.has_no_triggers(connection, rows))) == (True, False)


def test_locators_find_one_row_each(rows):
    columns = DATABASE.locators(connection, rows)
    places = asked(f"SELECT id, {', '.join(columns)} FROM {rows} ORDER BY id")

    for id, *place in places:
        where = " AND ".join(f"{column} = %s" for column in columns)
        assert [*map(tuple, asked(f"SELECT id FROM {rows} WHERE {where}", place))] == [(id,)]


def test_a_view_has_no_locators(rows, execute):
    execute(f"CREATE VIEW heliograph_view AS SELECT * FROM {rows}", undo="DROP VIEW heliograph_view")

    assert [*DATABASE.locators(connection, "heliograph_view")] == []


@claims("keeps_places")
def test_locked_rows_are_updated_at_their_places(rows):
    columns = ", ".join(DATABASE.locators(connection, rows))
    with transaction.atomic():
        places = asked(f"SELECT {columns} FROM {rows} ORDER BY id DESC FOR UPDATE")
        sql = f"UPDATE {rows} SET number = number + 1{DATABASE.at_places(rows)} RETURNING {PLACE_NUMBER}, id, number"
        updated = asked(sql, [*map(list, zip(*places, strict=True))])

    assert sorted(updated) == [(1, 2, 21), (2, 1, 11)]


@claims("updates_from_subquery")
def test_an_update_returns_old_and_new_values(rows):
    updated = asked(
        f"UPDATE {rows} SET number = {rows}.number + 1"
        f" FROM (SELECT id, number FROM {rows} WHERE number < 20 FOR UPDATE) old WHERE {rows}.id = old.id"
        f" RETURNING old.number, {rows}.number"
    )

    assert updated == [(10, 11)]


@claims("returns_rows_of_views")
def test_an_update_of_a_view_returns_what_its_trigger_has_changed(rows, execute):
    execute(
        f"CREATE VIEW heliograph_view AS SELECT id, number FROM {rows}",
        "CREATE FUNCTION heliograph_ten() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.number := NEW.number * 10; RETURN NEW; END $$",
        "CREATE TRIGGER heliograph_trigger INSTEAD OF UPDATE ON heliograph_view"
        " FOR EACH ROW EXECUTE FUNCTION heliograph_ten()",
        undo="DROP FUNCTION heliograph_ten CASCADE",
    )
    execute(undo="DROP VIEW heliograph_view")

    assert asked("UPDATE heliograph_view SET number = 3 WHERE id = 1 RETURNING number") == [(30,)]


UPSERT = "INSERT INTO {} (id, number) VALUES (1, 1), (3, 3) ON CONFLICT (id) DO UPDATE SET number = 5 RETURNING id{}"


def test_marks_say_which_rows_an_upsert_has_inserted(rows):
    marks = DATABASE.insertion_marks(connection, rows)
    if not marks.columns:
        assert [*marks.are_insertions([(), ()])] == [True, True]
        return

    written = asked(UPSERT.format(rows, marks.columns))

    assert dict(zip([row[0] for row in written], marks.are_insertions([row[1:] for row in written]), strict=True)) == {
        1: False,
        3: True,
    }
