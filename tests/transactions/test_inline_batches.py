"""Inline(batch=True): one call for each write, in it."""

import re

import pytest
from django.core.signals import request_finished
from django.db import connection, transaction
from django.db.models.signals import m2m_changed, post_delete, post_init, post_save, pre_save

from heliograph import BeforeCommit, Inline, ReentrancyError, Signal, changed, created, mute, receiver, trace
from heliograph.dispatch import Called
from heliograph.signals import m2m_changes, post_update
from tests.app.models import Article, Audiobook, Genre, Novel, Reprint, Writer
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db


@pytest.fixture
def batches(receive):
    """Connect a receiver of inline batches: `received = batches(post_save, sender=Article)` is the list of them."""

    def connect(signal, **options):
        received = []

        @receive(signal, delivery=Inline(batch=True), **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


def kinds(batches):
    return [[event.kind for event in batch.events] for batch in batches]


def made(count, **values):
    return Article.objects.bulk_create(Article(words=words, **values) for words in range(count))


# --- each write ---------------------------------------------------------------------------------------------------


def test_a_save_is_one_call_with_one_event(batches):
    received = batches(post_save, sender=Article)
    article = Article.objects.create()
    article.save()
    assert kinds(received) == [["created"], ["updated"]]
    assert received[0].instances == [article]
    assert received[0].pks == [article.pk]


def test_a_bulk_create_is_one_call_with_all_rows(batches):
    received = batches(post_save, sender=Article, bulk=True, when=created)
    articles = made(3)
    assert [batch.pks for batch in received] == [[article.pk for article in articles]]
    assert received[0].created == articles


def test_what_a_receiver_creates_is_there_when_the_write_returns(receive):
    @receive(post_save, sender=Writer, when=created, bulk=True, delivery=Inline(batch=True))
    def write_a_novel(sender, batch, using, **kwargs):
        Novel.objects.using(using).bulk_create([Novel(name=str(one.pk), writer=one) for one in batch.instances])

    with transaction.atomic():
        writers = Writer.objects.bulk_create([Writer(), Writer()])
        assert Novel.objects.count() == 2
        writers.append(Writer.objects.create())
        assert {novel.writer_id for novel in Novel.objects.all()} == {writer.pk for writer in writers}


def test_an_update_is_one_call_with_its_changes(batches):
    articles = made(3)
    received = batches(post_save, sender=Article, bulk=True, when=changed("words"))
    Article.objects.update(words=1)
    assert [sorted(batch.changes("words")) for batch in received] == [[(articles[0].pk, 0, 1), (articles[2].pk, 2, 1)]]


def test_a_bulk_update_is_one_call(batches):
    articles = made(2)
    received = batches(post_save, sender=Article, bulk=True, when=changed("words"))
    for article in articles:
        article.words += 10
    Article.objects.bulk_update(articles, ["words"])
    assert [dict(event.changes) for event in received[0].events] == [{"words": (0, 10)}, {"words": (1, 11)}]
    assert len(received) == 1


def test_the_changes_of_a_save_are_in_its_event(batches):
    received = batches(post_save, sender=Article, when=created | changed("words"))
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()
    article.save()
    assert [[dict(event.changes) for event in batch.events] for batch in received] == [[{}], [{"words": (1, 2)}]]


def test_an_upsert_is_one_call_with_new_rows_and_others(batches):
    there = Genre.objects.create(name="there")
    received = batches(post_save, sender=Genre, bulk=True, when=created | changed("name"))
    options = {"update_conflicts": True, "update_fields": ["name"]}
    unique = {} if connection.vendor == "mysql" else {"unique_fields": ["id"]}
    Genre.objects.bulk_create([Genre(pk=there.pk, name="changed"), Genre(pk=there.pk + 1)], **options, **unique)
    assert [sorted(kind for kind in batch) for batch in kinds(received)] == [["created", "updated"]]


def test_a_delete_of_a_query_is_one_call(batches):
    articles = made(3)
    received = batches(post_delete, sender=Article, bulk=True)
    Article.objects.all().delete()
    assert [sorted(batch.pks) for batch in received] == [[article.pk for article in articles]]
    assert kinds(received) == [["deleted"] * 3]


def test_a_delete_of_a_query_is_one_call_where_django_loads_its_rows_for_another_receiver(batches, listen):
    articles = made(3)
    pks = [article.pk for article in articles]
    received, others = batches(post_delete, sender=Article, bulk=True), listen(post_delete, sender=Article)
    Article.objects.all().delete()
    assert [sorted(batch.pks) for batch in received] == [pks]
    assert len(others) == 3


@pytest.mark.parametrize("bulk", [False, True])
def test_a_cascade_is_one_call_for_each_model(batches, bulk):
    writer = Writer.objects.create()
    for _ in range(2):
        Novel.objects.create(writer=writer)
    novels, writers = (batches(post_delete, sender=model, bulk=bulk) for model in (Novel, Writer))
    writer.delete()
    assert (kinds(novels), kinds(writers)) == ([["deleted"] * 2], [["deleted"]])


def test_a_delete_of_an_instance_is_one_call_with_its_key(batches):
    article = Article.objects.create()
    pk = article.pk
    received = batches(post_delete, sender=Article)
    article.delete()
    assert [batch.pks for batch in received] == [[pk]]
    assert received[0].deleted[0].pk == pk


def test_a_save_that_a_receiver_of_a_delete_makes_is_a_call_of_its_own(batches, receive):
    order = []

    @receive(post_delete, sender=Article)
    def save(sender, **kwargs):
        Genre.objects.create()
        order.append("deleted")

    @receive(post_save, sender=Genre, bulk=True, delivery=Inline(batch=True))
    def record(sender, batch, **kwargs):
        order.append("saved")

    received = batches(post_delete, sender=Article, bulk=True)
    made(1)
    Article.objects.all().delete()
    assert order == ["saved", "deleted"]
    assert len(received) == 1


def test_a_change_of_a_relation_is_one_call(batches):
    novel, genres = Novel.objects.create(), [Genre.objects.create(), Genre.objects.create()]
    received = batches(m2m_changes, sender=Novel.genres.through)
    novel.genres.set(genres)
    (batch,) = received
    assert batch.events[0].kwargs["added"] == {(novel.pk, genre.pk) for genre in genres}


def test_a_write_that_does_not_meet_the_condition_is_no_call(batches):
    received = batches(post_save, sender=Article, bulk=True, when=changed("words"))
    article = Article.objects.create(words=1)
    Article.objects.update(words=1)
    article.save()
    made(2)
    assert received == []


def test_the_rows_of_a_write_that_meet_the_condition_are_in_its_batch(batches):
    def is_long(instance, **kwargs):
        return instance.words > 0

    received = batches(post_save, sender=Article, bulk=True, when=is_long)
    made(3)
    assert [[one.words for one in batch.instances] for batch in received] == [[1, 2]]


def test_a_receiver_of_saves_and_deletes_has_a_call_for_each(batches):
    received = batches([post_save, post_delete], sender=Article)
    Article.objects.create().delete()
    assert kinds(received) == [["created"], ["deleted"]]


def test_a_row_of_a_multi_table_child_is_one_call_for_its_model(batches):
    received = batches(post_save, sender=Audiobook)
    Audiobook.objects.create()
    assert kinds(received) == [["created"]]


def test_rows_of_a_proxy_are_a_call_of_its_own(batches):
    received = batches(post_save, sender=Reprint, bulk=True)
    Reprint.objects.bulk_create([Reprint(), Reprint()])
    Novel.objects.create()
    assert kinds(received) == [["created"] * 2]


# --- what is around a call ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_error_undoes_a_bulk_write_and_reaches_the_caller(receive):
    @receive(post_save, sender=Article, bulk=True, delivery=Inline(batch=True))
    def refuse(sender, batch, **kwargs):
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        made(2)
    assert not Article.objects.exists()


@pytest.mark.parametrize("is_in_test", [True, False])
def test_an_error_undoes_a_save_in_autocommit_and_reaches_the_caller(receive, request, is_in_test):
    request.getfixturevalue("db" if is_in_test else "transactional_db")
    article = Article()

    @receive(post_save, sender=Article, delivery=Inline(batch=True))
    def refuse(sender, batch, **kwargs):
        Genre.objects.create()
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        article.save()
    assert (Article.objects.count(), Genre.objects.count(), article.pk, article._state.adding) == (0, 0, None, True)


@pytest.mark.django_db(transaction=True)
def test_a_save_in_autocommit_and_its_call_are_one_transaction(receive):
    """Another connection sees neither until both are committed; receivers that have no batch come after that."""
    seen = []

    @receive(post_save, sender=Article)
    def after_the_commit(sender, **kwargs):
        seen.append(connection.in_atomic_block)

    @receive(post_save, sender=Article, order=1, delivery=Inline(batch=True))
    def in_the_transaction(sender, batch, **kwargs):
        seen.append((connection.in_atomic_block, batch.pks == [batch.instances[0].pk]))

    Article.objects.create()
    assert seen == [(True, True), False]


def test_the_row_of_a_multi_table_child_is_undone_in_all_its_tables(receive, transactional_db):
    @receive(post_save, sender=Audiobook, delivery=Inline(batch=True))
    def refuse(sender, batch, **kwargs):
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        Audiobook.objects.create()
    assert (Audiobook.objects.count(), Novel.objects.count()) == (0, 0)


def test_a_save_in_autocommit_is_one_call_in_each_way_to_save(batches, transactional_db):
    received = batches(post_save, sender=Article)
    article, made = Article.objects.create(), Article.objects.get_or_create(title="x")[0]
    article.save(update_fields=["title"])
    article.save(force_update=True)
    Article.objects.update_or_create(pk=made.pk, defaults={"words": 3})
    article.save_base(raw=True)
    assert kinds(received) == [["created"], ["created"], ["updated"], ["updated"], ["updated"], ["updated"]]


def test_receivers_of_batches_are_called_in_their_order_before_calls_that_wait_for_a_commit(receive, transactional_db):
    called = []
    for order, policy in ((2, Inline(batch=True)), (1, Inline(batch=True)), (0, BeforeCommit(batch=True))):

        @receive(post_save, sender=Article, order=order, delivery=policy)
        def record(sender, batch, order=order, **kwargs):
            called.append(order)

    Article.objects.create()
    assert called == [1, 2, 0]


def test_a_receiver_that_saves_the_row_again_is_in_its_transaction(receive, transactional_db):
    @receive(post_save, sender=Article, when=created, delivery=Inline(batch=True))
    def save_again(sender, batch, **kwargs):
        for article in batch.instances:
            article.words = 7
            article.save()
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        Article.objects.create()
    assert not Article.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_an_error_undoes_a_save_from_async_code(receive, async_database):
    @receive(post_save, sender=Article, delivery=Inline(batch=True))
    async def refuse(sender, batch, **kwargs):
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        await Article.objects.acreate()
    assert not await Article.objects.aexists()


def test_a_model_whose_receivers_of_batches_have_left_is_saved_by_djangos_methods(no_kept_error):
    before = patched_methods()

    def record(sender, batch, **kwargs): ...

    receiver(post_save, sender=Article, delivery=Inline(batch=True))(record)
    assert patched_methods() != before
    post_save.disconnect(record, sender=Article)
    assert patched_methods() == before


def test_a_receiver_is_not_called_again_for_rows_that_it_is_handling(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True, delivery=Inline(batch=True))
    def save_again(sender, batch, **kwargs):
        received.append(len(batch.events))
        for article in batch.instances:
            article.save()
        Article.objects.filter(pk__in=batch.pks).update(words=7)

    Article.objects.create()
    made(2)
    assert received == [1, 2]


def test_a_receiver_that_says_so_is_an_error_where_it_is_called_again(receive):
    @receive(post_save, sender=Article, reentrant="raise", delivery=Inline(batch=True))
    def save_again(sender, batch, **kwargs):
        batch.instances[0].save()

    with pytest.raises(ReentrancyError):
        Article.objects.create()


def test_a_muted_receiver_is_not_called(batches):
    received = batches(post_save, sender=Article, bulk=True)
    with mute(post_save):
        Article.objects.create()
        made(2)
    assert received == []


def test_a_call_is_traced_once_below_its_send(batches):
    batches(post_save, sender=Article, bulk=True)
    with trace() as traced:
        Article.objects.create()
        made(2)
    calls = [event for event in traced.events if isinstance(event, Called) and event.signal is post_save]
    assert len(calls) == 2


def test_a_send_lists_the_response_of_the_receiver(receive):
    @receive(post_save, sender=Article, delivery=Inline(batch=True))
    def count(sender, batch, **kwargs):
        return len(batch.events)

    article = Article.objects.create()
    sent = post_save.send(Article, instance=article, created=False, raw=False, using="default", update_fields=None)
    assert sent == [(count, 1)]


def test_an_async_receiver_has_run_when_the_write_returns(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True, delivery=Inline(batch=True))
    async def record(sender, batch, **kwargs):
        received.append(len(batch.events))

    Article.objects.create()
    made(2)
    assert received == [1, 2]


@pytest.mark.django_db(transaction=True)
async def test_a_save_from_async_code_is_one_call(receive, async_database):
    received = []

    @receive(post_save, sender=Article, delivery=Inline(batch=True))
    async def record(sender, batch, **kwargs):
        received.append(len(batch.events))

    await Article.objects.acreate()
    assert received == [1]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_receiver_is_given_the_database_of_the_write(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True, delivery=Inline(batch=True))
    def record(sender, batch, using, **kwargs):
        received.append(using)

    Article.objects.using("other").bulk_create([Article()])
    Article.objects.create()
    assert received == ["other", "default"]


def test_a_model_without_bulk_keeps_the_statements_of_django(batches, django_assert_num_queries):
    received = batches(post_save, sender=Article)
    with django_assert_num_queries(1):
        Article.objects.bulk_create([Article()])
    assert received == []


def test_the_policy_of_one_call_for_each_send_is_as_it_was():
    assert (repr(Inline()), repr(Inline(batch=True))) == ("Inline()", "Inline(batch=True)")
    assert Inline() == Inline(batch=False) != Inline(batch=True)


# --- mistakes -----------------------------------------------------------------------------------------------------


def of_a_batch(sender, batch, **kwargs): ...


def of_a_row(sender, instance, **kwargs): ...


def of_both(sender, batch, instance, **kwargs): ...


def of_changes(sender, batch, changes, **kwargs): ...


OTHERS = "It works on post_save, post_delete, m2m_changes. Leave batch=True out, or take OnCommit(batch=True)."


@pytest.mark.parametrize(
    ("signal", "function", "text"),
    [
        (pre_save, of_a_batch, f"one call for each write, and pre_save is not sent after one. {OTHERS}"),
        (m2m_changed, of_a_batch, f"one call for each write, and m2m_changed is not sent after one. {OTHERS}"),
        (post_init, of_a_batch, f"one call for each write, and post_init is not sent after one. {OTHERS}"),
        (request_finished, of_a_batch, "one call for each write, and request_finished is not sent after one."),
        (Signal(name="paid"), of_a_batch, "one call for each write"),
        (post_update, of_a_batch, "post_update sends a batch of its own, of one write. Leave batch=True out."),
        (post_save, of_a_row, "has no parameter named batch, which delivery=Inline(batch=True) gives it: add the"),
        (post_save, of_both, "asks for 'instance', which a batch has once for each event: take it from batch.events."),
        (post_save, of_changes, "asks for 'changes', which a batch has once for each event: take it from batch.events"),
    ],
)
def test_an_inline_batch_that_makes_no_sense_is_refused_where_it_is_written(signal, function, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        receiver(signal, sender=Article, delivery=Inline(batch=True))(function)
    assert function not in [row.receiver() for row in signal._table.connections()]


def test_a_plain_signal_refuses_it_too():
    sent = Signal(name="sent")
    with pytest.raises(TypeError, match=r"delivery=Inline\(batch=True\) is one call for each write, and .* after none"):
        sent.connect(of_a_batch, delivery=Inline(batch=True))


def test_a_batch_that_is_no_truth_value_is_refused():
    with pytest.raises(TypeError, match=re.escape("Inline(batch=...) takes True or False, not 'yes'.")):
        Inline(batch="yes")
