"""Receivers at the end of a transaction: their statements, async code, other signals, mistakes, and who observes."""

import asyncio
from contextlib import nullcontext

import pytest
from asgiref.sync import sync_to_async
from django.core.checks import run_checks
from django.core.signals import request_finished
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from heliograph import BeforeCommit, BeforeWrite, OnCommit, Signal, changed, changes_of, created, mute, receiver, trace
from heliograph.dispatch import Called, PutOff
from heliograph.flow.listing import lines
from heliograph.flow.observed_database import Saving
from heliograph.flow.receiver_filters import Filters
from tests.app.models import Article, Audiobook, Genre, Novel
from tests.helpers.errors import MishapError, mishap
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- statements ---------------------------------------------------------------------------------------------------


def test_a_model_without_such_receivers_sends_the_statements_that_it_sends_today(listen):
    before = verbs(save_delete_and_relate)
    listen(post_save, sender=Article, delivery=BeforeCommit())
    listen(post_save, sender=Article, delivery=OnCommit())
    listen(post_save, sender=Novel)
    assert verbs(save_delete_and_relate) == before
    assert "BEGIN" not in verbs(Novel.objects.create)


def save_delete_and_relate():
    novel = Novel.objects.create(name="a")
    novel.save()
    novel.genres.add(Genre.objects.create())
    with transaction.atomic():
        Audiobook.objects.create()
    novel.delete()


def test_a_save_in_autocommit_begins_a_transaction_for_those_who_need_one(listen):
    listen(post_save, sender=Article, delivery=OnCommit())
    assert verbs(Article.objects.create) == ["INSERT"]
    listen(post_save, sender=Article, delivery=BeforeCommit())
    assert verbs(Article.objects.create) == ["BEGIN", "INSERT", "COMMIT"]


def test_a_save_in_autocommit_begins_no_transaction_for_receivers_of_other_databases(listen, receive):
    listen(post_save, sender=Article, delivery=BeforeCommit(), using="other")

    @receive(pre_save, sender=Article, delivery=BeforeWrite(), using="other")
    def look(sender, batch, **kwargs):
        pass

    assert verbs(Article.objects.create) == ["INSERT"]
    assert verbs(lambda: Article.objects.using("other").create(), using="other") == ["BEGIN", "INSERT", "COMMIT"]


def test_a_save_in_a_transaction_sends_no_more(listen):
    listen(post_save, sender=Article, delivery=BeforeCommit())

    def save():
        with transaction.atomic():
            Article.objects.create()

    assert verbs(save) == ["BEGIN", "INSERT", "COMMIT"]


# --- async --------------------------------------------------------------------------------------------------------


@pytest.fixture
def loops(receive):
    """Two async receivers that wait for each other: the list has the event loop of each."""
    found, meeting = [], {}

    async def meet():
        loop = asyncio.get_running_loop()
        found.append(loop)
        both = meeting.setdefault(loop, asyncio.Event())
        if found.count(loop) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), timeout=20)

    @receive(post_save, sender=Article, delivery=OnCommit())
    async def first(sender, **kwargs):
        await meet()

    @receive(post_save, sender=Article, delivery=OnCommit())
    async def second(sender, **kwargs):
        await meet()

    return found


def test_async_receivers_run_concurrently_after_the_commit_in_one_loop(loops):
    with transaction.atomic():
        Article.objects.create()
        assert loops == []
    assert len(loops) == 2
    assert len(set(loops)) == 1


def test_so_they_do_in_autocommit(loops):
    Article.objects.create()
    assert len(loops) == 2
    assert len(set(loops)) == 1


async def test_so_they_do_from_async_code_in_its_own_loop(loops, async_database):
    await Article.objects.acreate()
    assert loops == [asyncio.get_running_loop()] * 2


async def test_and_from_a_transaction_that_async_code_has_a_thread_for(loops, async_database):
    @sync_to_async
    def create():
        with transaction.atomic():
            Article.objects.create()
            assert loops == []

    await create()
    assert loops == [asyncio.get_running_loop()] * 2


def test_an_async_receiver_before_the_commit_is_in_the_transaction(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    async def create(sender, **kwargs):
        await Genre.objects.acreate()
        raise MishapError

    with mishap():
        Article.objects.create()
    assert (Article.objects.count(), Genre.objects.count()) == (0, 0)


def test_what_an_async_receiver_raises_is_logged(receive, caplog):
    @receive(post_save, sender=Article, delivery=OnCommit())
    async def break_down(sender, **kwargs):
        raise MishapError("no way")

    Article.objects.create()
    assert "break_down after the commit (no way)" in caplog.text


# --- other signals ------------------------------------------------------------------------------------------------


def test_a_signal_of_ones_own_goes_by_the_database_that_it_names(listen):
    shipped = Signal(name="shop.shipped")
    received = listen(shipped, delivery=OnCommit())
    with transaction.atomic():
        article = Article.objects.create()
        with transaction.atomic(using="other"):
            shipped.send(sender=None, using="other")
        assert len(received) == 1
        shipped.send(sender=None, article=article)
        shipped.send(sender=Article)
        shipped.send(sender=None)
        assert len(received) == 1
    assert len(received) == 4


def test_before_a_commit_a_signal_has_to_name_its_database(receive):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def record(sender, **kwargs): ...

    with pytest.raises(TypeError, match=r"record \(.*shop.shipped was sent without anything that says"):
        shipped.send(sender=None)


def test_in_autocommit_a_signal_of_ones_own_is_a_transaction(receive):
    shipped = Signal(name="shop.shipped")

    @receive(shipped, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        Genre.objects.create()
        raise MishapError

    with mishap():
        shipped.send(sender=Article)
    assert Genre.objects.count() == 0


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_declared_signal_has_batches_too(receive, policy):
    @Signal.define
    def shipped(sender, *, article, carrier="post"):
        """An article has left."""

    received = []

    @receive(shipped, delivery=policy(batch=True))
    def record(sender, batch, **kwargs):
        received.append([event.kwargs["carrier"] for event in batch.events])

    article = Article.objects.create()
    with transaction.atomic():
        shipped.send(sender=Article, article=article)
        shipped.send(sender=Article, article=article, carrier="train")
    assert received == [["post", "train"]]


def test_many_to_many_changes_come_as_they_were_sent(receive):
    received = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        received.append(([event.kwargs["action"] for event in batch.events], batch.instances))

    novel, genre = Novel.objects.create(), Genre.objects.create()
    with transaction.atomic():
        novel.genres.add(genre)
        novel.genres.remove(genre)
    assert received == [(["pre_add", "post_add", "pre_remove", "post_remove"], [novel])]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_an_instance_that_was_deleted_keeps_its_key_until_it_is_delivered(receive, signal, policy):
    keys = []

    @receive(signal, sender=Article, delivery=policy())
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    article = Article.objects.create()
    key = article.pk
    with transaction.atomic():
        article.delete()
        assert article.pk is None
    assert keys == [key]


# --- receivers that save ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_receiver_is_not_called_again_for_what_it_is_handling(receive, policy, is_atomic):
    calls = []

    @receive(post_save, sender=Article, delivery=policy())
    def count(sender, instance, **kwargs):
        calls.append(instance)
        instance.words += 1
        instance.save()

    with transaction.atomic() if is_atomic else nullcontext():
        article = Article.objects.create()
    article.refresh_from_db()
    assert (len(calls), article.words) == (1, 1)


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_nor_for_the_instances_of_its_batch(receive, policy):
    calls = []

    @receive(post_save, sender=Article, delivery=policy(batch=True))
    def count(sender, batch, **kwargs):
        calls.append(len(batch.instances))
        for article in batch.instances:
            article.save()
        Article.objects.get_or_create(title="another")

    with transaction.atomic():
        Article.objects.create()
        Article.objects.create()
    assert calls == [2, 1]


def test_a_save_before_the_commit_has_no_change_to_report(listen, receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def save_again(sender, instance, **kwargs):
        assert not instance._state.adding
        instance.save()

    received = listen(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()
    assert len(received) == 1


def test_after_a_save_in_autocommit_that_was_refused_the_change_is_still_to_be_saved(receive):
    article = Article.objects.create(words=1)

    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit())
    def refuse(sender, instance, **kwargs):
        if instance.words == 2:
            raise MishapError

    article = Article.objects.get()
    article.words = 2
    with mishap():
        article.save()
    assert changes_of(article)["words"] == (1, 2)


# --- bad input ----------------------------------------------------------------------------------------------------


def wants_nothing(sender, **kwargs): ...


def wants_a_batch(sender, batch, **kwargs): ...


def wants_both(sender, instance, batch, **kwargs): ...


@pytest.mark.parametrize(
    ("signal", "function", "policy", "text"),
    [
        (post_save, wants_nothing, BeforeCommit(batch=True), r"wants_nothing .* has no parameter named batch"),
        (
            post_save,
            wants_a_batch,
            OnCommit(),
            r"wants_a_batch .* for a batch, which delivery=OnCommit\(\) does not",
        ),
        (post_save, wants_both, OnCommit(batch=True), r"wants_both .* asks for 'instance', which a batch has once"),
        (request_finished, wants_nothing, BeforeCommit(), r"request_finished is not about a database"),
        (post_save, wants_nothing, BeforeCommit, r"delivery= takes a delivery policy .* or Durable\(\), not <class"),
        (post_save, wants_nothing, "later", r"delivery= takes a delivery policy .* or Durable\(\), not 'later'"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_written(signal, function, policy, text):
    with pytest.raises(TypeError, match=text):
        receiver(signal, sender=Article, delivery=policy)(function)


def test_a_check_finds_receivers_that_wait_for_a_batch_in_vain(receive):
    receive(post_save, sender=Article)(wants_a_batch)
    (problem,) = problems()
    assert (problem.id, problem.msg.split(" asks ")[1]) == (
        "heliograph.E003",
        "for a batch, and is called for each send.",
    )
    assert "wants_a_batch" in problem.obj


def test_a_check_finds_nothing_wrong_with_those_that_get_one(receive):
    receive(post_save, sender=Article, delivery=OnCommit(batch=True))(wants_a_batch)
    assert problems() == []


def problems():
    return [one for one in run_checks() if one.id.startswith("heliograph.")]


def test_the_registry_lists_the_policy_and_the_condition(receive):
    receive(post_save, sender=Article, when=created, delivery=OnCommit(batch=True))(wants_a_batch)
    (line,) = [line for line in lines(Filters(["post_save"])) if "wants_a_batch" in line]
    assert "when=created" in line
    assert "delivery=OnCommit(batch=True)" in line


# --- watching -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BeforeCommit(), OnCommit(), BeforeCommit(batch=True)])
def test_a_call_is_observed_when_it_is_made_as_part_of_its_send(receive, policy):
    @receive(post_save, sender=Article, delivery=policy)
    def record(sender, batch=None, **kwargs):
        Genre.objects.create()

    with trace() as traced, transaction.atomic():
        Article.objects.create()
        assert not [event for event in traced.events if isinstance(event, Called)]
    (post_saved,) = [one for one in traced.tree.nodes() if isinstance(one.event, PutOff)]
    (called,) = post_saved.children
    assert (called.event.receiver, post_saved.event.policy) == (record, policy)
    assert [str(child.event.model._meta) for child in called.children if isinstance(child.event, Saving)] == [
        "app.genre"
    ]


def test_a_call_is_observed_in_autocommit_too(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def record(sender, **kwargs): ...

    with trace() as traced:
        Article.objects.create()
    assert [event.receiver for event in traced.events if isinstance(event, Called)] == [record]


async def test_and_of_a_call_of_an_async_receiver(receive, async_database):
    @receive(post_save, sender=Article, delivery=OnCommit())
    async def record(sender, **kwargs):
        await asyncio.sleep(0)

    with trace() as traced:
        await Article.objects.acreate()
    (called,) = [event for event in traced.events if isinstance(event, Called)]
    assert (called.receiver, called.outcome) == (record, None)


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
@pytest.mark.parametrize("is_atomic", [True, False])
def test_a_muted_receiver_has_nothing_to_wait_for(listen, policy, is_atomic):
    received = listen(post_save, sender=Article, delivery=policy())
    with transaction.atomic() if is_atomic else nullcontext(), mute(post_save):
        Article.objects.create()
    assert received == []


def test_an_object_that_is_saved_as_two_rows_comes_as_two_instances(receive, batches):
    keys = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, **kwargs):
        keys.append(instance.pk)

    received = batches(post_save, sender=Article)
    with transaction.atomic():
        article = Article.objects.create()
        first, article.pk, article._state.adding = article.pk, None, True
        article.save()
    assert keys == [first, article.pk]
    assert [one.pk for one in received[0].created] == keys
