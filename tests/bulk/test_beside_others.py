"""Bulk writes beside others: other connections, nobody who listens, async code, single rows; cases B9 to B11, B18."""

import functools
import inspect
import re
import threading
from contextlib import nullcontext

import pytest
from asgiref.sync import sync_to_async
from django.core.checks import run_checks
from django.db import connection, models, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from heliograph import capture, changed, mute, receiver
from heliograph.signals import (
    m2m_changed,
    post_bulk_create,
    post_bulk_update,
    post_delete,
    post_save,
    post_update,
    pre_delete,
    pre_save,
    request_finished,
)
from tests.app.models import Article, Audiobook, Country, Ware, Writer
from tests.helpers.threads import at_once
from tests.helpers.writes import WRITES, articles, conflict, rows_of, set_words, wares

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

ROWS = (pre_save, post_save, pre_delete, post_delete)

# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])

in_a_transaction_and_not = pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "autocommit"])

# --- at the same time ---------------------------------------------------------------------------------------------


@in_a_transaction_and_not
def test_b9_what_is_old_for_one_of_concurrent_writers_is_new_for_another(batches, is_atomic):
    (tea,) = wares("tea")
    received = batches(post_update, sender=Ware)
    start = threading.Barrier(4, timeout=20)

    def add():
        start.wait()
        for _ in range(5):
            with transaction.atomic() if is_atomic else nullcontext():
                Ware.objects.filter(pk=tea.pk).update(stock=F("stock") + 1)

    at_once(add, add, add, add)
    delivered = sorted(change for batch in received for change in batch.changes("stock"))
    assert delivered == [(tea.pk, number, number + 1) for number in range(20)]
    assert Ware.objects.get().stock == 20


def test_b9_so_it_is_for_objects_that_are_written_with_an_expression(batches):
    (tea,) = wares("tea")
    received = batches(post_bulk_update, sender=Ware)
    start = threading.Barrier(3, timeout=20)

    def add():
        start.wait()
        for _ in range(4):
            Ware.objects.bulk_update([Ware(pk=tea.pk, stock=F("stock") + 1)], ["stock"])

    at_once(add, add, add)
    delivered = sorted(change for batch in received for change in batch.changes("stock"))
    assert delivered == [(tea.pk, number, number + 1) for number in range(12)]


def test_b9_so_it_is_for_conflicts_that_update(batches):
    wares("tea")
    received = batches(post_bulk_create, sender=Ware)
    start = threading.Barrier(4, timeout=20)

    def take(number):
        start.wait()
        Ware.objects.bulk_create([Ware(name="tea", stock=number)], **conflict("name", update=["stock"]))

    at_once(*(functools.partial(take, number) for number in (1, 2, 3, 4)))
    delivered = [change[1:] for batch in received for change in batch.changes("stock")]
    assert sorted(new for _, new in delivered) == [1, 2, 3, 4]
    assert sorted([*(old for old, _ in delivered), Ware.objects.get().stock]) == [0, 1, 2, 3, 4]


def meanwhile(first, second):
    """Run `second` in another thread while the transaction of `first` is open, and return what it returns."""
    is_written, is_about_to = threading.Event(), threading.Event()

    def lead():
        with transaction.atomic():
            first()
            is_written.set()
            is_about_to.wait(20)

    def follow():
        is_written.wait(20)
        is_about_to.set()  # whether it comes to the row before the commit or after: what it writes on is the commit's
        return second()

    return at_once(lead, follow)[1]


def test_b9_the_old_value_is_what_the_statement_found_and_not_what_was_read_before_it(batches):
    (tea,) = wares("tea")
    received = batches(post_update, sender=Ware)
    meanwhile(lambda: Ware.objects.update(stock=5), lambda: Ware.objects.update(stock=9))
    assert [batch.changes("stock") for batch in received] == [[(tea.pk, 0, 5)], [(tea.pk, 5, 9)]]


def test_b9_a_row_that_has_left_the_filter_meanwhile_is_not_sent(batches):
    wares("tea")
    received = batches(post_update, sender=Ware)
    count = meanwhile(lambda: Ware.objects.update(stock=5), lambda: Ware.objects.filter(stock=0).update(stock=9))
    assert (count, [batch.changes("stock") for batch in received if batch.pks][1:]) == (0, [])


# --- nobody listens -----------------------------------------------------------------------------------------------


METHODS = ("bulk_create", "bulk_update", "update", "abulk_create", "abulk_update", "aupdate", "delete", "adelete")

DJANGOS = {name: (getattr(models.QuerySet, name), getattr(models.QuerySet, name).__code__) for name in METHODS}


def write_everything():
    objects = Article.objects.bulk_create([Article(words=1), Article(words=2)])
    Article.objects.bulk_update(set_words(objects, 3, 4), ["words"])
    Article.objects.filter(words=3).update(words=F("words") + 1)
    Country.objects.bulk_create([Country(code="de"), Country(code="de")], ignore_conflicts=True)
    Country.objects.bulk_create([Country(code="de", name="x")], **conflict("code", update=["name"]))
    Article.objects.all().delete()
    Country.objects.all().delete()


@in_a_transaction_and_not
def test_b10_a_model_that_nobody_listens_to_has_the_statements_of_django(listen, is_atomic):
    def sent():
        with transaction.atomic() if is_atomic else nullcontext(), CaptureQueriesContext(connection) as queries:
            write_everything()
        return [re.sub(r"\d+", "0", query["sql"]) for query in queries.captured_queries]

    plain = sent()
    for signal in WRITES:
        listen(signal, sender=Ware)
    listen(post_save, sender=Ware, bulk=True, when=changed("stock"))
    listen(post_save, sender=Article)
    listen(post_save, sender=Article, when=changed("words"))
    assert sent() == plain


@in_a_test_case
@pytest.mark.parametrize("name", METHODS)
def test_b10_methods_look_as_they_do_without_receivers(listen, name):
    owners = [owner for owner in (models.QuerySet, models.Manager) if hasattr(owner, name)]
    plain = [looks(getattr(owner, name)) for owner in owners]
    for signal, options in [*((signal, {}) for signal in WRITES), *((one, {"bulk": True}) for one in ROWS)]:
        listen(signal, sender=Article, **options)
    assert [looks(getattr(owner, name)) for owner in owners] == plain


def looks(function):
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "alters_data", "queryset_only")
    attributes = [getattr(function, name, None) for name in names]
    return inspect.signature(function), inspect.iscoroutinefunction(function), attributes


@in_a_test_case
@pytest.mark.usefixtures("no_kept_error")
@pytest.mark.parametrize(("signal", "options"), [*((one, {}) for one in WRITES), (post_save, {"bulk": True})])
def test_b10_after_the_last_receiver_the_methods_are_djangos_own(signal, options):
    def record(sender, **kwargs): ...

    for sender in (Article, Ware):
        signal.connect(record, sender=sender, **options)
    for sender in (Article, Ware):
        signal.disconnect(record, sender=sender)
    assert {name: getattr(models.QuerySet, name) for name in METHODS} == {
        name: one for name, (one, _) in DJANGOS.items()
    }
    assert all(function.__code__ is code for function, code in DJANGOS.values())


def test_b10_while_all_is_muted_nothing_is_sent_and_everything_is_written(listen):
    articles(1)
    received = [listen(signal, sender=Article) for signal in WRITES] + [listen(post_save, sender=Article, bulk=True)]
    for target in ([], [Article], [*WRITES, post_save]):
        with mute(*target):
            Article.objects.update(words=F("words") + 1)
            Article.objects.bulk_create([Article(words=-9)])
    assert received == [[]] * 7
    assert (Article.objects.get(title="1").words, Article.objects.count()) == (4, 4)


def test_b10_a_capture_receives_what_nobody_else_does():
    (article,) = articles(1)
    with capture(post_update, sender=Article) as sent:
        Article.objects.update(words=2)
        Ware.objects.update(stock=1)
    (event,) = sent
    assert event is sent.assert_sent(using="default", update_fields=frozenset({"words"}))
    assert event.kwargs["batch"].pks == [article.pk]


@in_a_test_case
@pytest.mark.parametrize("signal", [m2m_changed, request_finished, post_update, post_bulk_create])
def test_b10_bulk_is_refused_for_signals_that_are_not_about_the_write_of_a_row(signal):
    def record(sender, **kwargs): ...

    with pytest.raises(TypeError, match="bulk"):
        receiver(signal, sender=Article, bulk=True)(record)
    signal.disconnect(record, sender=Article)


@in_a_test_case
def test_b10_the_checks_find_nothing_wrong_with_receivers_of_writes(batches, net):
    for signal in (post_bulk_create, post_bulk_update, post_update):
        batches(signal)
    net()
    assert [one for one in run_checks() if one.id.startswith("heliograph.")] == []


# --- async, and one row at a time ---------------------------------------------------------------------------------


async def test_b11_from_async_code_each_write_is_one_event(listen, batches, async_database):
    received = {signal: batches(signal, sender=Ware) for signal in (post_bulk_create, post_bulk_update, post_update)}
    rows = listen(post_save, sender=Ware, bulk=True)
    objects = await Ware.objects.abulk_create([Ware(name="tea"), Ware(name="salt")])
    for one in objects:
        one.stock = 3
    await Ware.objects.abulk_update(objects, ["stock"])
    assert await Ware.objects.aupdate(stock=F("stock") + 1) == 2
    assert {signal: [len(batch.pks) for batch in one] for signal, one in received.items()} == {
        signal: [2] for signal in received
    }
    assert len(rows) == 6
    assert sorted(change[1:] for change in received[post_update][0].changes("stock")) == [(3, 4), (3, 4)]


async def test_b11_an_async_receiver_receives_writes_from_async_code(receive, async_database):
    received = []

    @receive(post_update, sender=Ware)
    async def record(sender, batch, **kwargs):
        received.append(batch.changes("stock"))

    tea = await Ware.objects.acreate(name="tea")
    await Ware.objects.aupdate(stock=1)
    assert received == [[(tea.pk, 0, 1)]]


async def test_b11_a_mute_of_a_task_holds_for_its_writes(listen, async_database):
    received = listen(post_update, sender=Ware)
    await Ware.objects.acreate(name="tea")
    with mute(post_update):
        await Ware.objects.aupdate(stock=1)
    assert received == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_b11_what_writes_one_row_is_one_event_and_no_bulk_write(listen, is_async, async_database):
    rows, writes = listen(post_save, sender=Ware, bulk=True), [listen(signal, sender=Ware) for signal in WRITES]
    every = Ware.objects
    get, update = (
        (every.aget_or_create, every.aupdate_or_create)
        if is_async
        else map(sync_to_async, (every.get_or_create, every.update_or_create))
    )
    delivered = []
    for call in (get, get, update):
        await call(name="tea", defaults={"stock": len(delivered)})
        delivered.append(len(rows))
    await update(name="salt", defaults={"stock": 9})
    assert delivered == [1, 1, 2]
    assert [one.payload["created"] for one in rows] == [True, False, True]
    assert writes == [[]] * 6


def test_b11_get_or_create_is_one_event_also_when_racing(listen, net):
    rows, whole = listen(post_save, sender=Ware, bulk=True), net(Ware)
    start = threading.Barrier(4, timeout=20)

    def get():
        start.wait()
        return Ware.objects.get_or_create(name="tea")[1]

    assert sorted(at_once(get, get, get, get)) == [False, False, False, True]
    assert [one.payload["created"] for one in rows] == [True]
    assert [len(batch.created) for batch in whole] == [1]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one reader who may become a writer")
def test_b11_update_or_create_is_one_event_for_each_also_when_racing(listen):
    received = listen(post_save, sender=Ware, bulk=True)
    start = threading.Barrier(2, timeout=20)

    def update():
        start.wait()
        Ware.objects.update_or_create(name="tea", defaults={"stock": 1})

    at_once(update, update)  # a third one would be a deadlock of InnoDB, with Django alone as well
    assert sorted(one.payload["created"] for one in received) == [False, True]


# --- not twice ----------------------------------------------------------------------------------------------------


def test_b18_the_updates_inside_a_bulk_update_are_not_reported_by_themselves(listen, net):
    objects = set_words(articles(1, 2), 3, 4)
    updates, rows, whole = listen(post_update, sender=Article), listen(post_save, sender=Article, bulk=True), net()
    Article.objects.bulk_update(objects, ["words"], batch_size=1)
    assert (updates, len(rows), [len(batch.events) for batch in whole]) == ([], 2, [2])


def test_b18_the_update_of_the_collector_is_reported_once(listen, net):
    writer = Writer.objects.create()
    article = Article.objects.create(author=writer)
    rows, whole = listen(post_save, sender=Article, bulk=True), net(when=changed("author"))
    writer_id = writer.pk
    writer.delete()
    assert rows_of(rows) == [article]
    assert [batch.changes("author") for batch in whole] == [[(article.pk, writer_id, None)]]


def test_b18_what_a_save_does_is_no_update(listen):
    received = [listen(signal) for signal in WRITES]
    article = Article.objects.create(words=1)
    article.save()
    article.save(update_fields=["words"])
    Audiobook.objects.create(name="a").save()
    assert received == [[]] * 6


def test_b18_two_receivers_of_which_one_asks_for_values_receive_one_write(
    listen, row_changes, django_assert_num_queries
):
    articles(1)
    rows, changes = listen(post_save, sender=Article, bulk=True), row_changes(Article, "words")
    Article.objects.update(words=2)
    assert (len(rows), len(changes)) == (1, 1)
    assert rows_of(rows)[0].words == 2
