"""Calls with BeforeCommit(last=True), which are made when no other call before the commit is left."""

import copy
import pickle

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save

from heliograph import BeforeCommit, Durable, Inline, OnCommit, OnRollback, Signal, UnsettledError
from heliograph.transactions import flush
from tests.app.models import Article, Country, Genre
from tests.helpers.errors import MishapError, mishap

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def made(receive):
    """The names of the calls that are made: `made.by("last", post_save, sender=Article, delivery=...)` connects one."""

    class Made(list):
        def by(self, name, signal, effect=lambda: None, **options):
            def record(sender, batch=None, **kwargs):
                self.append(name)
                effect()

            receive(signal, weak=False, dispatch_uid=name, **options)(record)

    return Made()


def test_a_last_call_is_made_when_no_other_call_before_the_commit_is_left(made):
    made.by("last", post_save, sender=Article, delivery=BeforeCommit(last=True))
    made.by("after", post_save, sender=Article, delivery=OnCommit())
    made.by("of a batch", post_save, sender=Article, delivery=BeforeCommit(batch=True))
    made.by("single", post_save, sender=Article, delivery=BeforeCommit())
    with transaction.atomic():
        Article.objects.create()
        assert made == []
    assert made == ["single", "of a batch", "last", "after"]


def test_calls_that_others_cause_come_before_it(made):
    made.by("last", post_save, sender=Article, delivery=BeforeCommit(last=True))
    made.by("first", post_save, Genre.objects.create, sender=Article, delivery=BeforeCommit(batch=True))
    made.by("caused", post_save, sender=Genre, delivery=BeforeCommit(batch=True))
    with transaction.atomic():
        Article.objects.create()
    assert made == ["first", "caused", "last"]


def test_calls_that_a_last_call_causes_are_made_before_the_next_last_call(made):
    made.by("last", post_save, Genre.objects.create, sender=Article, delivery=BeforeCommit(last=True))
    made.by("next", post_save, sender=Article, delivery=BeforeCommit(last=True))
    made.by("caused", post_save, sender=Genre, delivery=BeforeCommit())
    with transaction.atomic():
        Article.objects.create()
    assert made == ["last", "caused", "next"]


def test_a_last_call_that_causes_itself_is_made_again_after_what_else_it_causes(made):
    def cause():
        if Article.objects.count() < 3:
            Genre.objects.create()
            Article.objects.create()

    made.by("last", post_save, cause, sender=Article, delivery=BeforeCommit(batch=True, last=True))
    made.by("caused", post_save, sender=Genre, delivery=BeforeCommit(batch=True))
    made.by("after", post_save, sender=Article, delivery=OnCommit())
    with transaction.atomic():
        Article.objects.create()
    assert made == ["last", "caused", "last", "caused", "last", "after", "after", "after"]


def test_one_flush_serves_several_senders(receive):
    totals_changed = Signal(name="tests.totals_changed")
    flushed = []

    @receive([post_save, post_delete], sender=[Article, Genre], delivery=BeforeCommit(batch=True))
    def collect(sender, batch, using, **kwargs):
        totals_changed.send(sender=None, using=using, table=sender.__name__, rows=len(batch.events))

    @receive(totals_changed, delivery=BeforeCommit(batch=True, last=True))
    def total(sender, batch, **kwargs):
        flushed.append([(event.kwargs["table"], event.kwargs["rows"]) for event in batch.events])

    with transaction.atomic():
        Article.objects.create()
        Genre.objects.create()
        Article.objects.create()
    assert flushed == [[("Article", 2), ("Genre", 1)]]


def test_a_last_call_that_raises_rolls_the_transaction_back(made, listen):
    made.by("last", post_save, mishap_now, sender=Article, delivery=BeforeCommit(last=True))
    made.by("undone", post_save, sender=Article, delivery=OnRollback())
    made.by("after", post_save, sender=Article, delivery=OnCommit())
    with mishap(), transaction.atomic():
        Article.objects.create()
    assert made == ["last", "undone"]
    assert Article.objects.count() == 0


def mishap_now():
    raise MishapError


def test_a_savepoint_that_is_rolled_back_takes_its_last_calls_with_it(batches_at_the_end):
    received = batches_at_the_end(post_save, lambda batch: BeforeCommit(batch=batch, last=True), sender=Article)
    with transaction.atomic():
        Article.objects.create(title="kept")
        with mishap(), transaction.atomic():
            Article.objects.create(title="lost")
            raise MishapError
    assert [[one.title for one in batch.instances] for batch in received] == [["kept"]]


def test_in_autocommit_the_row_and_its_last_call_are_one_transaction(made):
    def fail_in_transaction():
        assert connection.in_atomic_block
        raise MishapError

    made.by("before", post_save, sender=Country, delivery=BeforeCommit())
    made.by("last", post_save, fail_in_transaction, sender=Country, delivery=BeforeCommit(last=True))
    with mishap():
        Country.objects.create(code="de")
    assert (made, Country.objects.count()) == (["before", "last"], 0)


def test_each_database_has_its_own_last_calls(made):
    made.by("last", post_save, sender=Article, delivery=BeforeCommit(last=True))
    with transaction.atomic():
        Article.objects.create()
        with transaction.atomic(using="other"):
            Article.objects.using("other").create()
        assert made == ["last"]
    assert made == ["last", "last"]


async def test_an_async_receiver_is_awaited_before_the_commit(receive, async_database):
    order = []

    @receive(post_save, sender=Article, delivery=BeforeCommit(last=True))
    async def record(sender, **kwargs):
        order.append("last")

    def create():
        with transaction.atomic():
            Article.objects.create()
            transaction.on_commit(lambda: order.append("committed"))

    await sync_to_async(create)()
    assert order == ["last", "committed"]


def test_last_receivers_that_go_on_for_ever_are_named_and_rolled_back(receive, monkeypatch):
    monkeypatch.setattr(flush, "DEPTH", 20)

    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True, last=True))
    def go_on(sender, batch, **kwargs):
        Article.objects.create()

    with pytest.raises(UnsettledError, match=r" 20 times, .* \S+go_on -> \S+go_on\."):
        Article.objects.create()
    assert Article.objects.count() == 0


@pytest.mark.django_db
def test_inside_a_test_case_they_are_made_at_the_end_of_the_outermost_block(made):
    made.by("last", post_save, sender=Article, delivery=BeforeCommit(last=True))
    made.by("before", post_save, sender=Article, delivery=BeforeCommit())
    with transaction.atomic():
        Article.objects.create()
        assert made == []
    assert made == ["before", "last"]


# --- the option ---------------------------------------------------------------------------------------------------


def test_the_option_is_part_of_the_policy():
    last = BeforeCommit(batch=True, last=True)
    assert repr(last) == "BeforeCommit(batch=True, last=True)"
    assert repr(BeforeCommit(last=True)) == "BeforeCommit(last=True)"
    assert last != BeforeCommit(batch=True)
    assert {last, copy.copy(last), pickle.loads(pickle.dumps(last))} == {last}


def test_a_value_that_is_no_bool_is_refused():
    with pytest.raises(TypeError, match=r"BeforeCommit\(last=...\) takes True or False, not 1\."):
        BeforeCommit(last=1)


@pytest.mark.parametrize("policy", [Inline, OnCommit, OnRollback, Durable])
def test_other_policies_have_no_last_calls(policy):
    expected = rf"{policy.__name__}\(\) has no option 'last'\. Write delivery=BeforeCommit\(last=True\) instead\."
    with pytest.raises(TypeError, match=expected):
        policy(last=True)
