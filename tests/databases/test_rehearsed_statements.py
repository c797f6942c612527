"""The capabilities of databases that an analysis needs: statements that take too long end, and numbers of new rows."""

import pytest
from django.db import OperationalError, connection, transaction

from heliograph.databases import database_of
from tests.app.models import Article

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = database_of(connection)

# A statement of so many seconds.
SLOW = {"postgresql": "SELECT pg_sleep({})", "mysql": "SELECT SLEEP({})"}


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.skipif(connection.vendor not in SLOW, reason="nothing limits a statement here")
def test_a_statement_that_takes_too_long_is_ended_and_the_next_transaction_has_no_limit():
    slow = SLOW[connection.vendor]
    with pytest.raises(OperationalError), transaction.atomic(), DATABASE.limiting_statements(connection, 0.1):
        execute(slow.format(60))

    execute(slow.format(0.2))


def test_a_rollback_gives_the_numbers_of_rows_back_where_it_undoes_sequences():
    def number():
        with transaction.atomic():
            made = Article.objects.create()
            transaction.set_rollback(True)
        return made.pk

    assert (number() == number()) is DATABASE.undoes_sequences
