"""The tables that are emptied after a test are those that have rows."""

import pytest
from django.db import connection

from tests.app.models import Novel, Writer
from tests.helpers.emptying import FilledTables
from tests.helpers.sessions import end_others, has_sessions

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = Novel._meta.db_table


@pytest.fixture
def filled():
    tables = FilledTables("default")
    yield tables
    tables.close()


@pytest.fixture
def without_table():
    """Take a table away for the time of a test: `without_table()` does it."""
    renamed = []

    def rename():
        _execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_away")
        renamed.append(TABLE)

    yield rename
    for table in renamed:
        _execute(f"ALTER TABLE {table}_away RENAME TO {table}")


def _execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_table_is_found_while_it_has_rows(filled):
    assert TABLE not in filled()
    Novel.objects.create(name="Emma")
    assert TABLE in filled()
    Novel.objects.all().delete()
    assert TABLE not in filled()


def test_a_table_is_found_in_another_session_too(filled):
    assert TABLE not in filled()
    connection.close()
    Novel.objects.create(name="Emma")
    assert TABLE in filled()


def test_a_table_that_is_away_for_a_while_is_found_again(filled, without_table):
    Novel.objects.create(name="Emma")
    assert TABLE in filled()

    without_table()
    assert TABLE not in filled()

    _execute(f"ALTER TABLE {TABLE}_away RENAME TO {TABLE}")
    found = filled()
    _execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_away")
    assert TABLE in found


def test_which_tables_there_are_is_asked_once(filled, django_assert_num_queries):
    filled()
    with django_assert_num_queries(1, connection=filled.connection):
        filled()


@has_sessions
def test_tables_are_found_after_all_other_sessions_have_ended(filled):
    Novel.objects.create(name="Emma")
    assert TABLE in filled()
    end_others()
    assert TABLE in filled()


def test_tables_are_emptied_whatever_refers_to_them(filled):
    Novel.objects.create(name="Emma", writer=Writer.objects.create(name="Jane"))
    filled.empty()
    assert filled() == []


def test_tables_are_emptied_beside_a_transaction_that_was_left_open(filled):
    Novel.objects.create(name="Emma")
    connection.set_autocommit(False)
    Novel.objects.update(name="Persuasion")
    filled.empty()
    assert filled() == []
