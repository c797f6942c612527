"""Slugs of equal titles that are chosen at the same time, beside the loop of tutorials."""

import threading
from contextlib import contextmanager
from functools import partial
from itertools import count

import pytest
from django.db import IntegrityError, connection, transaction

from examples.tutorial.slug import set_slug
from heliograph.recipes import unique_slug
from heliograph.signals import pre_save
from tests.app.models import Story
from tests.helpers.sessions import has_sessions, wait_until_it_waits
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def slugs():
    return unique_slug(Story, "slug", source="title")


# --- eight threads ------------------------------------------------------------------------------------------------

THREADS, ROWS = 8, 15
QUERIES = ("SELECT", "INSERT", "UPDATE")  # the others begin and end transactions and savepoints


def queries(operation):
    """Return how many queries an operation makes: also those that fail, which a driver may not log."""
    found = []

    def record(execute, sql, *args):
        found.append(sql.split()[0] in QUERIES)
        return execute(sql, *args)

    with connection.execute_wrapper(record):
        operation()
    return sum(found)


def create(title="Tea"):
    Story.objects.create(title=title)


def in_autocommit(title):
    return [queries(partial(create, title)) for _ in range(ROWS)]


def in_a_transaction_each(title):
    return [queries(transaction.atomic(partial(create, title))) for _ in range(ROWS)]


def five_in_a_transaction(title):
    found = []
    for _ in range(ROWS // 5):
        with transaction.atomic():
            found += [queries(partial(create, title)) for _ in range(5)]
    return found


def five_by_one_statement(title):
    def create_five():
        Story.objects.bulk_create([Story(title=title) for _ in range(5)])

    return [queries(create_five) for _ in range(ROWS // 5)]


WAYS = [in_autocommit, in_a_transaction_each, five_in_a_transaction, five_by_one_statement]
# On MariaDB, several INSERTs of a slug that was deleted a moment ago may end in a deadlock. A test deletes its rows.
titles = (f"tea{number}" for number in count(1))
LEVELS = {
    "sqlite": {"default": None},
    "postgresql": {
        "default": None,
        "repeatable read": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    },
    "mysql": {"default": None, "repeatable read": "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"},
}[connection.vendor]


def isolated(level):
    """Let the transactions of this thread have a level of isolation; Django's queries to connect are made, too."""
    connection.ensure_connection()
    if LEVELS[level] is not None:
        with connection.cursor() as cursor:
            cursor.execute(LEVELS[level])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", LEVELS)
def test_r6_eight_threads_create_rows_with_one_title_without_an_error(slugs, way, level):
    title = next(titles)

    def work():
        isolated(level)
        return way(title)

    counts = [count for found in at_once(*[work] * THREADS) for count in found]
    stored = [*Story.objects.values_list("slug", flat=True)]
    assert len({*stored}) == len(stored) == THREADS * ROWS
    assert max(counts) <= 3
    assert title in stored


# --- two writers in an order --------------------------------------------------------------------------------------


@contextmanager
def overtaken_by(writes, connect):
    """Let another thread write something when a save has begun, before its row is written."""

    def overtake(sender, instance, **kwargs):
        if threading.current_thread() is threading.main_thread():
            in_thread(writes)

    connect(pre_save, overtake, sender=Story)
    yield


def test_r6_a_row_that_is_committed_during_the_save_is_seen(slugs, connect):
    with overtaken_by(create, connect):
        assert Story.objects.create(title="Tea").slug == "tea-2"


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a transaction that has read is refused by SQLite")
@pytest.mark.parametrize("level", LEVELS)
def test_r6_a_transaction_that_does_not_see_the_row_of_another_one_gets_another_slug(slugs, level):
    has_read, may_write = threading.Event(), threading.Event()

    def late():
        isolated(level)
        with transaction.atomic():
            assert Story.objects.count() == 0
            has_read.set()
            assert may_write.wait(LONG)
            story = Story.objects.create(title="Tea")
            return story.slug, Story.objects.get(pk=story.pk).slug

    def early():
        assert has_read.wait(LONG)
        create()
        may_write.set()

    (given, stored), _ = at_once(late, early)
    assert given == stored
    assert (given == "tea-2") is (level == "default")
    assert given.startswith("tea-")


@has_sessions
def test_r6_a_row_that_is_not_committed_yet_is_waited_for_and_is_no_error(slugs):
    def also_create():
        create()
        connection.close()

    second = threading.Thread(target=also_create)
    with transaction.atomic():
        create()
        second.start()
        wait_until_it_waits(second)
    second.join()
    one, other = Story.objects.order_by("pk").values_list("slug", flat=True)
    assert one == "tea"
    assert other.startswith("tea-")


# --- the loop of tutorials ----------------------------------------------------------------------------------------


def test_control_r6_the_loop_fails_for_all_but_one_of_those_who_look_at_the_same_time(connect):
    all_have_looked = threading.Barrier(THREADS, timeout=LONG)
    connect(pre_save, set_slug, sender=Story)
    connect(pre_save, lambda **kwargs: all_have_looked.wait(), sender=Story, weak=False)

    def attempt():
        try:
            create()
        except IntegrityError:
            return False
        return True

    assert sorted(at_once(*[attempt] * THREADS)) == [False] * (THREADS - 1) + [True]


def test_control_r6_the_loop_fails_for_a_row_that_is_committed_during_the_save(connect):
    connect(pre_save, set_slug, sender=Story)
    with overtaken_by(create, connect), pytest.raises(IntegrityError):
        create()


def test_control_r6_the_loop_makes_more_queries_the_more_rows_there_are(connect):
    connect(pre_save, set_slug, sender=Story)
    for _ in range(ROWS):
        create()
    assert queries(create) == ROWS + 2
