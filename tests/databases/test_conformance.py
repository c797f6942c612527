"""Each capability that the description of a database claims: a statement is run, and its effect is looked at.

A claim that holds is seen by what the database does; where a capability is not claimed, its test is skipped, or shows
that the opposite is so.
"""

import threading
from datetime import timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import (
    DataError,
    Error,
    NotSupportedError,
    OperationalError,
    connection,
    transaction,
)
from django.utils.dateparse import parse_datetime

from heliograph.databases import GENERAL, database_at, database_of, database_with_outbox
from heliograph.databases.pieces import ROW_NUMBER, Insertion
from tests.app.models import Article
from tests.helpers.claims import DATABASE, asked, claims, holds, in_another_session

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = "INSERT INTO heliograph_rows (id, number) VALUES (1, 10), (2, 20)"


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


def test_the_database_of_an_alias_is_found_without_a_connection():
    assert database_at("default") is DATABASE
    assert database_at("no alias") is GENERAL


def test_the_outbox_does_not_run_on_a_database_that_nobody_has_described():
    with pytest.raises(NotSupportedError, match="runs on postgresql, mysql, sqlite, and not on oracle"):
        database_with_outbox(SimpleNamespace(vendor="oracle"))


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stored", "others"),
    [
        ("title", "é", ["e", "É", "é ", None]),
        ("words", 1, [0, 2, None]),
        ("price", Decimal("123456.01"), [Decimal("123456.02"), None]),
        ("author_id", None, [1]),
    ],
)
def test_a_row_has_the_same_value_or_another_one(name, stored, others):
    Article.objects.create(**{name: stored})
    field = Article._meta.get_field(name)
    column = f"{connection.ops.quote_name('app_article')}.{connection.ops.quote_name(field.column)}"
    target = field.target_field if field.remote_field else field
    same = DATABASE.same(column, target.get_internal_type(), target)

    def finds(value):
        param = target.get_db_prep_value(value, connection, prepared=True)
        return Article.objects.extra(where=[same], params=[param]).exists()

    assert [finds(one) for one in (stored, *others)] == [True] + [False] * len(others)


@claims("rounding")
@pytest.mark.parametrize("text", ["0.125", "0.135", "-0.125", "2.675", "1.005", "1234.5", "0.1"])
def test_a_decimal_is_stored_as_the_database_says(text):
    article = Article.objects.create(price=Decimal(text))

    stored = Article.objects.get(pk=article.pk).price

    assert DATABASE.stored_decimal(Decimal(text), decimal_places=2, digits=8) == stored
    assert GENERAL.stored_decimal(Decimal(text), decimal_places=2, digits=8) in (None, stored)


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
        assert is_aborted is DATABASE.aborts
        assert takes("SELECT 1") is not is_aborted
        transaction.set_rollback(True)


@pytest.mark.skipif(DATABASE.has_one_writer, reason="a transaction that reads keeps writers out")
def test_a_transaction_without_a_snapshot_sees_what_others_commit(rows):
    def number():
        return [*map(tuple, asked(f"SELECT number FROM {rows} WHERE id = 1"))]

    with transaction.atomic():
        before = number()
        in_another_session(lambda: execute_alone(f"UPDATE {rows} SET number = 99 WHERE id = 1"))
        assert number() == (before if DATABASE.has_snapshot(connection) else [(99,)])


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
    located = asked(f"SELECT id, {', '.join(columns)} FROM {rows} ORDER BY id")

    for id, *locator in located:
        where = " AND ".join(f"{column} = %s" for column in columns)
        assert [*map(tuple, asked(f"SELECT id FROM {rows} WHERE {where}", locator))] == [(id,)]


def test_a_view_has_no_locators(rows, execute):
    execute(f"CREATE VIEW heliograph_view AS SELECT * FROM {rows}", undo="DROP VIEW heliograph_view")

    assert [*DATABASE.locators(connection, "heliograph_view")] == []


@claims("keeps_locators")
def test_locked_rows_are_updated_by_their_locators(rows):
    columns = ", ".join(DATABASE.locators(connection, rows))
    with transaction.atomic():
        located = asked(f"SELECT {columns} FROM {rows} ORDER BY id DESC FOR UPDATE")
        sql = f"UPDATE {rows} SET number = number + 1{DATABASE.at_locators(rows)} RETURNING {ROW_NUMBER}, id, number"
        updated = asked(sql, [*map(list, zip(*located, strict=True))])

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


# --- the outbox ---------------------------------------------------------------------------------------------------

carries_outbox = claims("carries_outbox")


@pytest.fixture
def calls(execute):
    """A table whose rows get their ids from the database, as an Insertion."""
    key = {
        "postgresql": "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
        "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
    }[connection.vendor]
    text = DATABASE.exact_text("varchar(20)")
    execute(
        f"CREATE TABLE heliograph_calls (id {key}, name {text} NOT NULL, kind {text} NOT NULL, state {text} NOT NULL)",
        undo="DROP TABLE heliograph_calls",
    )
    columns = [DATABASE.quoted(name) for name in ("name", "kind")]
    return Insertion(DATABASE.quoted("heliograph_calls"), columns, {DATABASE.quoted("state"): "'READY'"})


def stored_calls():
    return [*map(tuple, asked("SELECT id, name, kind, state FROM heliograph_calls ORDER BY id"))]


@carries_outbox
def test_rows_are_inserted_with_their_constants_and_ids_in_the_given_order(calls):
    rows = [("b", "x"), ("a", "x"), ("c", "y")]

    ids = DATABASE.insert(connection, calls, rows)

    assert ids == sorted(ids)
    assert stored_calls() == [(id, *row, "READY") for id, row in zip(ids, rows, strict=True)]


@carries_outbox
def test_more_rows_are_inserted_than_a_statement_has_parameters(calls, monkeypatch):
    monkeypatch.setattr(type(DATABASE), "most_parameters", 5)
    rows = [(f"row {number}", "x") for number in range(7)]

    ids = DATABASE.insert(connection, calls, rows)

    assert [(id, name) for id, name, *_ in stored_calls()] == [
        (id, name) for id, (name, _) in zip(ids, rows, strict=True)
    ]


@carries_outbox
def test_a_statement_may_have_as_many_parameters_as_are_claimed():
    most = DATABASE.most_parameters
    marks = ", ".join(["%s"] * (most - 1))

    [(found,)] = asked(f"SELECT COUNT(*) FROM (SELECT %s AS one) rows_ WHERE one IN ({marks})", [1] * most)

    assert found == 1


@carries_outbox
def test_texts_are_compared_letter_by_letter(calls):
    DATABASE.insert(connection, calls, [("a", "x"), ("A", "x")])

    assert [*map(tuple, asked("SELECT kind FROM heliograph_calls WHERE name = 'A'"))] == [("x",)]


@carries_outbox
def test_the_clock_goes_on_from_now_to_later():
    clock = DATABASE.clock
    later = [DATABASE.interval(3600), DATABASE.interval(-3600), DATABASE.interval(3600)]
    sql = f"SELECT {clock.now}, {clock.later}, {clock.later}, {clock.now_at_last}, {clock.later_at_last}"

    [times] = asked(sql, later)
    now, after, before, at_last, after_at_last = map(as_time, times)

    assert (after - now, now - before) == (timedelta(hours=1), timedelta(hours=1))
    assert now <= at_last
    assert after_at_last - at_last < timedelta(hours=1, seconds=1)


def as_time(value):
    return parse_datetime(value) if isinstance(value, str) else value


@carries_outbox
@pytest.mark.skipif(DATABASE.has_one_writer, reason="there are no locks of rows")
def test_a_row_that_another_transaction_has_locked_is_skipped(rows):
    lock = DATABASE.row_lock("one", skips_locked=True)
    found = []

    def look():
        with transaction.atomic():
            found.extend(asked(f"SELECT one.id FROM {rows} one ORDER BY one.id{lock}"))

    with transaction.atomic():
        asked(f"SELECT one.id FROM {rows} one WHERE one.id = 1{DATABASE.row_lock('one')}")
        in_another_session(look)
    assert [*map(tuple, found)] == [(2,)]


@carries_outbox
def test_a_row_lock_is_a_part_of_a_query_that_updates_what_it_has_locked(rows):
    with transaction.atomic():
        [(number,)] = asked(f"SELECT one.number FROM {rows} one WHERE one.id = 1{DATABASE.row_lock('one')}")
        execute_alone(f"UPDATE {rows} SET number = {number} + 1 WHERE id = 1")
    assert [*map(tuple, asked(f"SELECT number FROM {rows} WHERE id = 1"))] == [(11,)]


@carries_outbox
@pytest.mark.skipif(DATABASE.has_one_writer, reason="the one writer needs no locks")
def test_transactions_with_one_lock_write_one_after_the_other(calls):
    first_has_written, is_second_done = threading.Event(), threading.Event()

    def write_second():
        first_has_written.wait(60)
        write("second")
        is_second_done.set()

    def write(name, then=lambda: None):
        held = []
        with transaction.atomic():
            DATABASE.lock(connection, [7], held.append)
            DATABASE.insert(connection, calls, [(name, "x")], [7])
            then()
        for release in held:
            release()

    second = threading.Thread(target=partial(in_another_session, write_second))
    second.start()
    write("first", then=lambda: (first_has_written.set(), waits_for_lock(is_second_done)))
    second.join(60)

    assert [name for _, name, *_ in stored_calls()] == ["first", "second"]


WAITING = {
    "postgresql": "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'",
}


def waits_for_lock(is_done):
    """Return when another session waits for a lock, and fail if it does not wait but has written."""
    while not is_done.is_set():
        [(count,)] = asked(WAITING[connection.vendor])
        if count:
            return
    pytest.fail("the other transaction has not waited for the lock")


@carries_outbox
def test_a_transaction_that_sql_has_begun_is_known(rows):
    assert not DATABASE.has_begun(connection)
    execute_alone("BEGIN")
    execute_alone(f"UPDATE {rows} SET number = 5 WHERE id = 1")
    begun = DATABASE.has_begun(connection)
    execute_alone("ROLLBACK")

    assert (begun, DATABASE.has_begun(connection)) == (True, False)


@carries_outbox
def test_only_an_error_about_a_text_may_be_about_a_letter():
    assert DATABASE.lacks_character(DataError(1366, "Incorrect string value"))
    assert not DATABASE.lacks_character(OperationalError(1205, "Lock wait timeout exceeded"))


# --- waking -------------------------------------------------------------------------------------------------------


@claims("has_notices")
def test_a_session_that_listens_is_sent_notices():
    DATABASE.listen(connection, "heliograph_tests")
    none = DATABASE.wait_for_notice(connection, 0)

    def send():
        connection.ensure_connection()
        DATABASE.notify(connection, "heliograph_tests", "a text")

    in_another_session(send)

    assert (none, DATABASE.wait_for_notice(connection, 60)) == (False, True)
    connection.close()


@claims("counts_writes")
def test_the_count_of_writes_changes_when_another_session_writes(rows):
    before, again = DATABASE.count_of_writes(connection), DATABASE.count_of_writes(connection)
    in_another_session(write_without_waiting)

    assert before == again
    assert DATABASE.count_of_writes(connection) != before


# --- system checks ------------------------------------------------------------------------------------------------


@carries_outbox
def test_the_limit_of_connections_is_a_number_that_leaves_room_for_these_tests():
    most = DATABASE.most_connections(connection)

    assert most is None or most > 1


# --- schemas ------------------------------------------------------------------------------------------------------


@claims("has_search_path")
def test_a_search_path_is_known_and_leads_to_the_schemas_of_a_table(rows, execute):
    begin = DATABASE.default_search_path(connection)
    execute("CREATE SCHEMA heliograph_schema", undo="DROP SCHEMA heliograph_schema CASCADE")
    execute(f"CREATE TABLE heliograph_schema.{rows} (id int)")
    execute("SET search_path TO heliograph_schema, public")
    path = DATABASE.search_path(connection)
    execute("RESET search_path")

    assert path == ("heliograph_schema", "public")
    assert DATABASE.search_path(connection) == begin
    assert DATABASE.schemas_with(connection, rows, [*path, "pg_catalog"]) == {*path}
    assert DATABASE.reported_search_path(connection) in (None, begin)


# --- full text ------------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(execute):
    """A table of texts whose words are indexed."""
    number = "INTEGER PRIMARY KEY"
    execute(f"CREATE TABLE heliograph_texts (id {number}, text VARCHAR(200))", undo="DROP TABLE heliograph_texts")
    undo = DATABASE.without_full_text_index("heliograph_texts", "text")
    execute(*DATABASE.full_text_index("heliograph_texts", "text"))
    execute("INSERT INTO heliograph_texts VALUES (1, 'signals of ships'), (2, 'signals signals'), (3, 'ships')")
    yield
    execute(*undo)


def texts_with(*words):
    """Return the keys of the texts that have all these words, the best ones first."""
    condition, rank = (
        part("heliograph_texts", "heliograph_texts.id", "heliograph_texts.text")
        for part in (DATABASE.full_text_condition, DATABASE.full_text_rank)
    )
    query = DATABASE.full_text_query(words)
    sql = f"SELECT id FROM heliograph_texts WHERE {condition} ORDER BY {rank} DESC"
    return [key for (key,) in asked(sql, [query, query])]


@claims("has_full_text")
def test_full_text_finds_rows_with_all_words_the_best_ones_first(texts):
    assert texts_with("signals") == [2, 1]
    assert texts_with("ships", "signals") == [1]
    assert texts_with("trains") == []


@claims("has_full_text")
def test_full_text_follows_the_rows(texts, execute):
    execute(
        "UPDATE heliograph_texts SET text = 'trains' WHERE id = 1",
        "DELETE FROM heliograph_texts WHERE id = 3",
    )
    assert (texts_with("trains"), texts_with("ships")) == ([1], [])


def test_a_database_that_is_not_described_indexes_no_words():
    assert (GENERAL.full_text_index("a", "b"), GENERAL.without_full_text_index("a", "b")) == ((), ())
    for method in (
        partial(GENERAL.full_text_query, ["a"]),
        *(partial(method, "a", "b", "c") for method in (GENERAL.full_text_condition, GENERAL.full_text_rank)),
    ):
        with pytest.raises(NotImplementedError):
            method()


# --- the audit log ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(DATABASE.has_one_writer, reason="one transaction writes at a time")
def test_an_open_transaction_that_has_written_a_table_is_counted_by_when_it_began(rows):
    future, past = (parse_datetime(f"{year}-01-01T00:00:00+00:00") for year in (2100, 2000))
    written, ended = threading.Event(), threading.Event()

    def write():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO heliograph_rows (id, number) VALUES (3, 30)")
            written.set()
            assert ended.wait(60)

    thread = threading.Thread(target=in_another_session, args=[write])
    thread.start()
    try:
        assert written.wait(60)
        counts = [DATABASE.open_writers(connection, rows, since) for since in (future, past)]
    finally:
        ended.set()
        thread.join(60)

    assert counts == [1, 0]
    assert DATABASE.open_writers(connection, rows, future) == 0


def test_a_time_in_utc_is_that_of_the_clock(execute):
    [(found, now)] = asked(f"SELECT {DATABASE.in_utc(DATABASE.clock.now)}, {DATABASE.clock.now}")

    given = [str(one).replace("+00:00", "")[:19] for one in (found, now)]
    assert given[0] == given[1]


def test_protected_rows_are_refused_but_in_the_block_that_may_change_them(rows, execute):
    execute(*DATABASE.protection([rows]))
    assert DATABASE.is_protected(connection, rows)
    for sql in ("UPDATE heliograph_rows SET number = 0", "DELETE FROM heliograph_rows"):
        with pytest.raises(Error, match="are not edited"), transaction.atomic():
            execute(sql)
    with transaction.atomic(), DATABASE.unprotected(connection, [rows]):
        execute("UPDATE heliograph_rows SET number = 7")
    with pytest.raises(Error, match="are not edited"), transaction.atomic():
        execute("UPDATE heliograph_rows SET number = 8")

    execute(*DATABASE.without_protection([rows]))

    assert not DATABASE.is_protected(connection, rows)
    execute("DELETE FROM heliograph_rows WHERE number = 7")
    assert not asked("SELECT id FROM heliograph_rows")


def test_the_general_database_knows_neither_open_transactions_nor_triggers():
    with pytest.raises(NotSupportedError, match="which transactions are open"):
        GENERAL.open_writers(connection, "rows", None)
    with pytest.raises(NotSupportedError, match="Nobody has described triggers"):
        GENERAL.protection(["rows"])
    assert not GENERAL.is_protected(connection, "rows")
    assert GENERAL.without_protection(["rows"]) == ()
    with GENERAL.unprotected(connection, ["rows"]):
        assert GENERAL.in_utc("at") == "at"
