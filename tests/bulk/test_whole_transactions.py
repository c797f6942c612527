"""Bulk writes as parts of a transaction, and what receivers and instances make of them."""

from contextlib import nullcontext

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from heliograph import BeforeCommit, OnCommit, changed, changes_of, created
from heliograph.signals import (
    post_bulk_create,
    post_bulk_update,
    post_delete,
    post_save,
    post_update,
)
from tests.app.models import Article, Ware
from tests.helpers.errors import MishapError, mishap
from tests.helpers.writes import WRITES, articles, refuse, rows_of, set_words, wares

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])

on_both_ends = pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])

in_a_transaction_and_not = pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "autocommit"])

# --- whole transactions -------------------------------------------------------------------------------------------


@in_a_test_case
@on_both_ends
def test_all_writes_of_a_transaction_are_one_batch(net, policy):
    old, changing = articles(1, 2)
    received = net(policy=policy)
    with transaction.atomic():
        (new,) = Article.objects.bulk_create([Article(words=3)])
        Article.objects.filter(pk=old.pk).update(words=9)
        changing.words = 8
        Article.objects.bulk_update([changing], ["words"])
        saved = Article.objects.create(words=4)
        assert received == []
    (batch,) = received
    assert batch.created == [new, saved]
    assert batch.updated == [old, changing]
    assert batch.pks == [new.pk, old.pk, changing.pk, saved.pk]


@in_a_test_case
@on_both_ends
def test_what_is_created_in_bulk_and_then_updated_is_created_with_the_final_values(net, policy):
    received = net(policy=policy)
    with transaction.atomic():
        Article.objects.bulk_create([Article(words=1), Article(words=2)])
        Article.objects.update(words=F("words") + 10)
    (batch,) = received
    assert sorted(one.words for one in batch.created) == [11, 12]
    assert (batch.updated, {event.kind for event in batch.events}) == ([], {"created"})


@in_a_test_case
@on_both_ends
def test_what_is_updated_there_and_back_is_nothing(net, policy):
    articles(1)
    received = net(policy=policy, when=changed("words"))
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(words=F("words") - 1)
    assert received == []


@in_a_test_case
@on_both_ends
@pytest.mark.parametrize("is_bulk", [True, False], ids=["by a queryset", "one by one"])
def test_what_is_created_in_bulk_and_deleted_is_nothing(net, policy, is_bulk):
    received = net(policy=policy, signal=[post_save, post_delete])
    with transaction.atomic():
        objects = Article.objects.bulk_create([Article(words=1), Article(words=2)])
        if is_bulk:
            Article.objects.all().delete()
        else:
            for one in objects:
                one.delete()
    assert received == []


def test_what_is_updated_and_deleted_is_deleted(net):
    (article,) = articles(1)
    received = net(signal=[post_save, post_delete])
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.all().delete()
    (batch,) = received
    assert ([one.pk for one in batch.deleted], batch.updated) == ([article.pk], [])


@in_a_test_case
@on_both_ends
def test_an_update_and_a_save_are_one_net_change(net, policy):
    received = net(policy=policy, when=changed("words"))
    articles(1, 1)
    first, second = Article.objects.order_by("pk")
    with transaction.atomic():
        first.words = 2
        first.save()
        Article.objects.update(words=F("words") + 10)
        second.refresh_from_db()
        second.words = 20
        second.save()
    (batch,) = received
    assert batch.changes("words") == [(first.pk, 1, 12), (second.pk, 1, 20)]
    assert {event.pk: event.changes for event in batch.events} == {
        first.pk: {"words": (1, 12)},
        second.pk: {"words": (1, 20)},
    }


@in_a_test_case
def test_fields_that_different_updates_have_written_come_together(net):
    (article,) = articles(1)
    received = net(when=changed("words", "title"))
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(title="new")
    ((event,),) = (batch.events for batch in received)
    assert event.changes == {"words": (1, 2), "title": ("1", "new")}
    assert event.kwargs["update_fields"] == frozenset({"words", "title"})
    assert (event.pk, event.sender) == (article.pk, Article)


@in_a_test_case
@on_both_ends
def test_a_batch_needs_no_query_for_its_keys_and_changes(net, policy, django_assert_num_queries):
    (article,) = articles(1)
    received = net(policy=policy, when=changed("words"))
    Article.objects.update(words=2)
    with django_assert_num_queries(0):
        assert received[0].pks == [article.pk]
        assert received[0].changes("words") == [(article.pk, 1, 2)]


@in_a_test_case
@on_both_ends
def test_calls_for_each_row_come_at_the_end_of_the_transaction(listen, policy):
    articles(1, 2)
    received = listen(post_save, sender=Article, bulk=True, delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=F("words") + 1)
        assert received == []
    assert sorted(one.words for one in rows_of(received)) == [2, 3]


@in_a_test_case
@on_both_ends
def test_and_they_are_given_the_changes_of_their_row(row_changes, policy):
    (article,) = articles(1)
    received = row_changes(Article, "words", delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(words=3)
    assert received == [(article.pk, {"words": (1, 2)}), (article.pk, {"words": (2, 3)})]


@in_a_test_case
@on_both_ends
def test_so_do_calls_for_a_write(batches, policy):
    (article,) = articles(1)
    received = batches(post_update, delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=2)
        assert received == []
    assert [batch.changes("words") for batch in received] == [[(article.pk, 1, 2)]]


def test_a_savepoint_that_is_rolled_back_takes_its_writes_with_it(listen, net):
    (article,) = articles(1)
    rows = listen(post_save, sender=Article, bulk=True, delivery=OnCommit())
    whole = net(policy=OnCommit, when=created | changed("words"))
    with transaction.atomic():
        Article.objects.update(words=2)
        with mishap(), transaction.atomic():
            Article.objects.update(words=3)
            Article.objects.bulk_create([Article()])
            raise MishapError
    assert rows_of(rows) == [article]
    assert [batch.changes("words") for batch in whole] == [[(article.pk, 1, 2)]]


def test_after_a_rollback_nobody_is_called(listen, net):
    articles(1)
    received = [listen(post_save, sender=Article, bulk=True, delivery=OnCommit()), net(), net(policy=OnCommit)]
    with mishap(), transaction.atomic():
        Article.objects.update(words=2)
        raise MishapError
    assert received == [[], [], []]


WRITTEN = {
    "bulk_create": lambda there: Article.objects.bulk_create([Article(words=5)]),
    "bulk_update": lambda there: Article.objects.bulk_update(set_words(there, 5), ["words"]),
    "update": lambda there: Article.objects.update(words=5),
}


@in_a_transaction_and_not
@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("write", WRITTEN)
def test_what_a_receiver_of_the_write_raises_undoes_it(connect, when, write, is_atomic):
    there = articles(1)
    name = "update" if write == "update" else write
    signal = {f"{one.name.rpartition('.')[2]}": one for one in WRITES}[f"{when}_{name}"]
    connect(signal, refuse, sender=Article)
    with mishap(), transaction.atomic() if is_atomic else nullcontext():
        WRITTEN[write](there)
    assert [*Article.objects.values_list("words", flat=True)] == [1]
    assert not connection.in_atomic_block


@pytest.mark.parametrize("options", [{}, {"batch": True}], ids=["each", "batch"])
@pytest.mark.parametrize("write", WRITTEN)
def test_what_a_receiver_before_the_commit_raises_undoes_the_write_in_autocommit(connect, write, options):
    there = articles(1)

    def refuse(sender, batch=None, **kwargs):
        raise MishapError

    connect(post_save, refuse, sender=Article, bulk=True, delivery=BeforeCommit(**options))
    with mishap():
        WRITTEN[write](there)
    assert [*Article.objects.values_list("words", flat=True)] == [1]


def test_an_update_that_the_database_refuses_sends_nothing(listen, batches):
    wares("tea", "salt")
    rows, received = listen(post_save, sender=Ware, bulk=True), batches(post_update, sender=Ware)
    with pytest.raises(IntegrityError):
        Ware.objects.update(name="tea")
    assert (rows, received, connection.in_atomic_block) == ([], [], False)
    assert sorted(Ware.objects.values_list("name", flat=True)) == ["salt", "tea"]


@in_a_test_case
class TestInsideATestCase:
    """Inside a TestCase of Django, which rolls everything back."""

    @on_both_ends
    def test_an_update_without_a_block_is_its_own_commit(self, net, listen, policy):
        (article,) = articles(1)
        whole, rows = net(policy=policy), listen(post_save, sender=Article, bulk=True, delivery=policy())
        Article.objects.update(words=2)
        assert ([batch.updated for batch in whole], rows_of(rows)) == ([[article]], [article])

    @on_both_ends
    def test_the_end_of_the_outermost_block_is_the_commit(self, net, policy):
        received = net(policy=policy)
        with transaction.atomic():
            Article.objects.bulk_create([Article(words=1)])
            Article.objects.update(words=2)
            assert received == []
        assert [len(batch.created) for batch in received] == [1]

    @pytest.mark.parametrize("write", WRITTEN)
    def test_what_a_receiver_raises_undoes_the_write_and_not_the_test(self, connect, write):
        there = articles(1)
        for signal in (post_bulk_create, post_bulk_update, post_update):
            connect(signal, refuse, sender=Article)
        with mishap():
            WRITTEN[write](there)
        assert [*Article.objects.values_list("words", flat=True)] == [1]

    def test_the_connection_does_not_keep_what_a_receiver_raises(self, connect):
        articles(1)
        connect(post_update, refuse, sender=Article)
        with mishap():
            Article.objects.update(words=2)
        assert transaction.get_connection().rollback_exc is None


# --- what instances remember --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bulk": True}], ids=["received by save only", "received in bulk"])
def test_objects_that_were_created_in_bulk_know_what_they_change_next(receive, options):
    received = []

    @receive(post_save, sender=Article, when=changed("words"), **options)
    def record(changes, **kwargs):
        received.append(changes)

    (article,) = Article.objects.bulk_create([Article(words=1)])
    assert changes_of(article) == {}
    article.words = 2
    assert changes_of(article) == {"words": (1, 2)}
    article.save()
    assert received == [{"words": (1, 2)}]


def test_objects_whose_creation_was_refused_in_autocommit_are_as_they_were(connect, listen):
    listen(post_save, sender=Article, when=changed("words"))
    connect(post_bulk_create, refuse, sender=Article)
    article = Article(words=1)
    with mishap():
        Article.objects.bulk_create([article])
    assert (article.pk, article._state.adding) == (None, True)


@in_a_transaction_and_not
def test_after_a_rollback_an_object_that_was_updated_in_bulk_is_changed_again(receive, listen, is_atomic):
    listen(post_save, sender=Article, when=changed("words", "title"))
    articles(1)
    article = Article.objects.get()
    article.words, article.title = 2, "another"
    if not is_atomic:
        receive(post_bulk_update, sender=Article)(refuse)
    with mishap(), transaction.atomic() if is_atomic else nullcontext():
        Article.objects.bulk_update([article], ["words"])
        raise MishapError
    assert changes_of(article) == {"words": (1, 2), "title": ("1", "another")}


def test_after_a_savepoint_is_rolled_back_what_was_written_before_it_counts(listen):
    listen(post_save, sender=Article, when=changed("words"), bulk=True)
    articles(1)
    article = Article.objects.get()
    with transaction.atomic():
        Article.objects.bulk_update(set_words([article], 2), ["words"])
        with mishap(), transaction.atomic():
            Article.objects.bulk_update(set_words([article], 3), ["words"])
            raise MishapError
    assert changes_of(article) == {"words": (2, 3)}


def test_an_instance_that_was_loaded_for_a_receiver_knows_what_it_changes_next(listen):
    received = listen(post_save, sender=Article, when=changed("words"), bulk=True)
    articles(1)
    Article.objects.update(words=2)
    (article,) = rows_of(received)
    article.words = 3
    assert changes_of(article) == {"words": (2, 3)}


# --- receivers that write -----------------------------------------------------------------------------------------


REPEATS = {
    "by an update": lambda pks: Article.objects.filter(pk__in=pks).update(words=F("words") + 1),
    "by a save": lambda pks: [set_words([one], one.words + 1)[0].save() for one in Article.objects.filter(pk__in=pks)],
    "by a bulk update": lambda pks: Article.objects.bulk_update(
        [set_words([one], one.words + 1)[0] for one in Article.objects.filter(pk__in=pks)], ["words"]
    ),
}


@in_a_test_case
@pytest.mark.parametrize("again", REPEATS.values(), ids=REPEATS)
@pytest.mark.parametrize("policy", [None, BeforeCommit, OnCommit])
def test_a_receiver_that_writes_its_row_again_is_not_called_again_for_it(receive, policy, again):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, **({"delivery": policy()} if policy else {}))
    def write_again(sender, instance, **kwargs):
        calls.append(instance.pk)
        again([instance.pk])

    Article.objects.update(title="new")
    assert sorted(calls) == [first.pk, second.pk]
    assert sorted(Article.objects.values_list("words", flat=True)) == [2, 3]


@in_a_test_case
@pytest.mark.parametrize("again", REPEATS.values(), ids=REPEATS)
@on_both_ends
def test_nor_is_one_of_batches_for_the_rows_of_its_batch(receive, policy, again):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=policy(batch=True))
    def write_again(sender, batch, **kwargs):
        calls.append(sorted(batch.pks))
        again(batch.pks)

    Article.objects.update(title="new")
    assert calls == [[first.pk, second.pk]]
    assert sorted(Article.objects.values_list("words", flat=True)) == [2, 3]


@in_a_test_case
@on_both_ends
def test_for_the_other_rows_of_what_it_writes_it_is_called(receive, policy):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=policy(batch=True))
    def write_all(sender, batch, **kwargs):
        calls.append(batch.pks)
        Article.objects.update(words=F("words") + 1)

    Article.objects.filter(pk=first.pk).update(title="new")
    assert calls == [[first.pk], [second.pk]]


def test_a_receiver_that_allows_it_is_called_again(receive):
    articles(1)
    calls = []

    @receive(post_save, sender=Article, bulk=True, reentrant="allow")
    def write_again(sender, instance, **kwargs):
        calls.append(instance.words)
        if instance.words < 4:
            Article.objects.update(words=F("words") + 1)

    Article.objects.update(title="new")
    assert calls == [1, 2, 3, 4]


def test_a_receiver_of_a_write_may_write_something_else(batches, receive):
    wares("tea")

    @receive(post_update, sender=Article)
    def count(sender, batch, **kwargs):
        Ware.objects.update(stock=F("stock") + len(batch.pks))

    received = batches(post_update, sender=Ware)
    articles(1, 2)
    Article.objects.update(words=5)
    assert [change[1:] for change in received[0].changes("stock")] == [(0, 2)]
