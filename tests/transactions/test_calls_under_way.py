"""Receivers at the end of a transaction that fail, save, cause each other, come or go while it is under way."""

import asyncio
import copy
import pickle
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import wraps
from types import SimpleNamespace
from typing import ClassVar

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.test import TestCase

from heliograph import BeforeCommit, OnCommit, ReentrancyError, UnsettledError, changed, changes_of, created
from heliograph.dispatch.sends import guarded_for
from heliograph.flow.listing import lines
from heliograph.flow.receiver_filters import Filters
from heliograph.transactions import flush
from heliograph.transactions.end_policies import AtTheEnd
from heliograph.transactions.pending import Stage
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Reprint, Token
from tests.helpers.bare import run
from tests.helpers.batches import batches_of
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- errors that a receiver catches -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Article, Audiobook])
@pytest.mark.parametrize("is_atomic", [True, False])
def test_an_error_of_the_database_that_a_receiver_catches_is_no_success(listen, receive, model, is_atomic):
    Country.objects.create(code="de")
    after = listen(post_save, sender=model, delivery=OnCommit())

    @receive(post_save, sender=model, delivery=BeforeCommit())
    def collide(sender, **kwargs):
        with suppress(IntegrityError):
            Country(code="de").save(force_insert=True)

    with (
        pytest.raises(transaction.TransactionManagementError, match=r"collide, which runs before its commit"),
        transaction.atomic() if is_atomic else nullcontext(),
    ):
        model.objects.create()
    assert (after, model.objects.count()) == ([], 0)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL takes no more statements after an error")
def test_nor_is_one_of_which_django_does_not_know(listen, receive):
    after = listen(post_save, sender=Article, delivery=OnCommit())

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def ask_nonsense(sender, **kwargs):
        with suppress(DatabaseError):
            Genre.objects.extra(where=["nonsense = 3"]).count()

    with pytest.raises(transaction.TransactionManagementError, match="ask_nonsense"):
        Article.objects.create()
    assert (after, Article.objects.count()) == ([], 0)


def test_what_is_caught_behind_a_savepoint_is_a_success(receive):
    Country.objects.create(code="de")

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def collide(sender, **kwargs):
        with pytest.raises(IntegrityError), transaction.atomic():
            Country(code="de").save(force_insert=True)

    Article.objects.create()
    assert Article.objects.count() == 1


# --- receivers that cause each other ------------------------------------------------------------------------------


def saving_receivers(receive, policy):
    calls = []
    for name in ("one", "two"):
        _saving_receiver(receive, calls, name, policy)
    return calls


def _saving_receiver(receive, calls, name, policy):
    @receive(post_save, sender=Article, delivery=policy, dispatch_uid=name, weak=False)
    def save(sender, instance, **kwargs):
        calls.append(name)
        instance.save()

    save.__qualname__ = name


def test_two_receivers_that_save_the_instance_come_to_an_end_as_they_do_inline(receive):
    calls = saving_receivers(receive, BeforeCommit())
    with transaction.atomic():
        Article.objects.create()
    assert sorted(calls) == ["one", "one", "two", "two"]


def test_a_receiver_that_asks_for_the_chain_is_given_it(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit(), reentrant="raise")
    def one(sender, instance, **kwargs):
        Genre.objects.create(name=str(instance.pk))

    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def two(sender, instance, **kwargs):
        Article.objects.get(pk=instance.name).save()

    with pytest.raises(ReentrancyError, match=r"one \(Article .* -> .*two \(Genre .* -> .*one \(Article"):
        Article.objects.create()


def test_a_batch_guards_the_rows_that_it_has_and_no_others(receive):
    received = []

    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit(batch=True))
    def count(sender, batch, **kwargs):
        received.append(sorted(one.title for one in batch.instances))
        other = Article.objects.exclude(pk__in=[one.pk for one in batch.instances]).get()
        if not other.words:
            other.words = 1
            other.save()

    with transaction.atomic():
        first, second = Article.objects.create(title="first"), Article.objects.create(title="second")
    with transaction.atomic():
        first.slug = "first"
        first.save()
        second.words = 1
        second.save()
    assert received == [["second"], ["first"]]


# --- saves in autocommit ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_model_that_writes_its_row_in_its_own_way_is_delivered(listen, monkeypatch, policy):
    received = listen([pre_save, post_save][1], sender=Genre, delivery=policy())

    def _save_table(self, raw, cls, force_insert, force_update, using, update_fields):
        Genre._base_manager.bulk_create([self])
        return False

    monkeypatch.setattr(Genre, "_save_table", _save_table, raising=False)
    Genre.objects.create()
    assert len(received) == 1


def test_a_save_that_is_sent_to_receivers_of_another_model_is_delivered(listen, receive):
    received = listen(post_save, sender=Novel, delivery=BeforeCommit())
    listen(post_save, sender=Reprint, delivery=BeforeCommit())

    @receive(post_save, sender=Reprint)
    def send_novel(sender, instance, signal, **kwargs):
        signal.send(sender=Novel, instance=instance, **kwargs)

    Reprint.objects.create()
    assert len(received) == 1


def test_a_copy_that_pre_save_makes_in_another_database_is_a_save_of_its_own(receive):
    found = []

    @receive(pre_save, sender=Article, using="default")
    def replicate(sender, instance, **kwargs):
        with transaction.atomic(using="other"):
            instance.save(using="other", force_insert=True)

    @receive(post_save, sender=Article, using="default", delivery=BeforeCommit())
    def look(sender, instance, **kwargs):
        found.append(Article.objects.filter(pk=instance.pk).exists())

    Article(pk=7).save(using="default", force_insert=True)
    assert found == [True]


def test_an_instance_that_pre_save_has_saved_keeps_its_row_when_the_next_save_is_refused(receive):
    @receive(pre_save, sender=Article)
    def save_before(sender, instance, **kwargs):
        if instance._state.adding:
            instance.save()

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def refuse(sender, created, **kwargs):
        if not created:
            raise MishapError

    article = Article()
    with pytest.raises(MishapError):
        article.save()
    assert article.pk == Article.objects.get().pk
    assert not article._state.adding


def test_a_condition_is_asked_once(receive):
    asked = []

    @receive(post_save, sender=Article, when=lambda **kwargs: asked.append(1) or True, delivery=BeforeCommit())
    def record(sender, **kwargs): ...

    Article.objects.create()
    assert asked == [1]


def test_copies_that_receivers_make_are_no_longer_being_saved(receive):
    copies = []

    @receive(post_save, sender=Article)
    def copy_it(sender, instance, **kwargs):
        copies.append(copy.copy(instance))
        copies.append(pickle.loads(pickle.dumps(instance)))

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def record(sender, instance, **kwargs): ...

    article = Article.objects.create()
    copies[0].save()
    copies[1].save()
    assert all(one.pk == article.pk for one in copies)
    assert copies[0]._state.__dict__.get("_heliograph_turn", SimpleNamespace(instance=None)).instance is None


def test_an_instance_that_is_sent_by_hand_needs_no_more_than_its_receivers_ask_for(listen):
    received = listen(post_save, sender=Article, delivery=OnCommit())
    post_save.send(sender=Article)
    post_save.send(sender=Article, instance=Article())
    assert len(received) == 2


# --- a transaction that is under way ------------------------------------------------------------------------------


def test_a_receiver_that_is_connected_in_a_transaction_is_called_before_its_commit(receive):
    def refuse(sender, **kwargs):
        raise MishapError

    def connect_and_save():
        receive(post_save, sender=Article, delivery=BeforeCommit())(refuse)
        Article.objects.create()

    with pytest.raises(MishapError), transaction.atomic():
        connect_and_save()
    assert Article.objects.count() == 0


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_receiver_that_is_disconnected_in_a_transaction_is_called_for_what_it_has_received(policy):
    received = []

    def record(sender, **kwargs):
        received.append(connection.in_atomic_block)

    post_save.connect(record, sender=Article, delivery=policy())
    with transaction.atomic():
        Article.objects.create()
        post_save.disconnect(record, sender=Article)
        Article.objects.create()
    assert received == [policy is BeforeCommit]


def test_the_patches_are_there_for_as_long_as_somebody_waits():
    delivered = run(
        """
        from django.contrib.auth.models import Group
        from django.db.models import Model
        from django.db.models.signals import post_save
        from django.db.transaction import Atomic
        from heliograph import OnCommit

        def here():
            return Atomic.__exit__.__code__, Model.save_base, Model._save_table

        def record(sender, **kwargs): ...

        before, end = here(), Atomic.__exit__
        post_save.connect(record, sender=Group, delivery=OnCommit())
        post_save.connect(record, delivery=OnCommit())
        report([now is not then for now, then in zip(here(), before)], Atomic.__exit__ is end)
        post_save.disconnect(record, sender=Group)
        report(here() != before)
        post_save.disconnect(record)
        report(here() == before)
        """,
        INSTALLED_APPS=["heliograph", "django.contrib.auth", "django.contrib.contenttypes"],
    )
    assert delivered == [[True, True, True], True, True, True]


# --- inside a test ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
class TestInsideATestCase:
    def test_a_callback_that_was_captured_is_not_called_again(self, listen):
        received = listen(post_save, sender=Article, delivery=OnCommit())
        with transaction.atomic(), TestCase.captureOnCommitCallbacks(execute=True):
            Article.objects.create()
        assert len(received) == 1

    @pytest.mark.parametrize("is_refused", [True, False])
    def test_a_child_can_be_refused(self, receive, is_refused):
        @receive(post_save, sender=Audiobook, delivery=BeforeCommit())
        def refuse(sender, **kwargs):
            if is_refused:
                raise MishapError

        with pytest.raises(MishapError) if is_refused else nullcontext():
            Audiobook.objects.create()
        assert Novel.objects.count() == int(not is_refused)

    def test_what_is_refused_leaves_nothing_for_later(self, listen, receive):
        received = listen(post_delete, sender=Article, delivery=OnCommit())
        is_refused = True

        @receive(post_delete, sender=Article, delivery=BeforeCommit())
        def refuse(sender, **kwargs):
            if is_refused:
                raise MishapError

        article = Article.objects.create()
        with pytest.raises(MishapError), transaction.atomic():
            article.delete()
        is_refused = False
        Article.objects.create().delete()
        assert len(received) == 1


# --- other receivers and dispatchers ------------------------------------------------------------------------------


def test_what_a_wrapper_around_an_async_function_returns_is_awaited(receive):
    received = []

    async def inner(**kwargs):
        await asyncio.sleep(0)
        received.append(kwargs["instance"])

    @receive(post_save, sender=Article, delivery=OnCommit())
    @wraps(inner)
    def outer(**kwargs):
        return inner(**kwargs)

    article = Article.objects.create()
    assert received == [article]


def test_policies_work_where_django_runs_its_own_signals():
    delivered = run(
        """
        from django.db import connection, transaction
        from django.db.models.signals import post_save
        from django.contrib.auth.models import Group
        from heliograph import BeforeCommit, OnCommit, receiver

        received = []

        @receiver(post_save, sender=Group, delivery=BeforeCommit())
        def before(sender, **kwargs):
            received.append(("before", connection.in_atomic_block))

        @receiver(post_save, sender=Group, delivery=OnCommit())
        async def after(sender, **kwargs):
            received.append("after")

        from django.core.management import call_command
        call_command("migrate", verbosity=0)
        received.clear()
        Group.objects.create(name="autocommit")
        with transaction.atomic():
            Group.objects.create(name="atomic")
            received.append("end")
        report(received)
        """,
        INSTALLED_APPS=["heliograph", "django.contrib.auth", "django.contrib.contenttypes"],
        HELIOGRAPH={"ADOPT_DJANGO_SIGNALS": False},
    )
    assert delivered == [[("before", True), "after", "end", ("before", True), "after"]]


# --- a policy of another package ----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Written(AtTheEnd):
    """A policy that writes its calls down in one go, as the last step of the transaction."""

    queue: str = "default"
    stage: ClassVar[Stage] = Stage.STORED
    written: ClassVar[list] = []

    @staticmethod
    def make(due):
        rows = [(one.policy.queue, one.using, one.call.receiver.__name__, one.call.sender.__name__) for one in due]
        Written.written.append((connection.in_atomic_block, rows))


def test_a_policy_may_write_all_its_calls_down_in_one_go_when_nothing_else_is_left(receive, monkeypatch):
    monkeypatch.setattr(Written, "written", [])

    @receive(post_save, sender=Article, delivery=Written())
    def first(sender, **kwargs): ...

    @receive(post_save, sender=Genre, delivery=Written(queue="mail"))
    def second(sender, **kwargs): ...

    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True))
    def cause(sender, batch, **kwargs):
        Genre.objects.create()

    with transaction.atomic():
        Article.objects.create()
        assert Written.written == []
    Genre.objects.create()
    assert Written.written == [
        (True, [("default", "default", "first", "Article"), ("mail", "default", "second", "Genre")]),
        (True, [("mail", "default", "second", "Genre")]),
    ]


def test_the_registry_lists_a_policy_without_a_condition(receive):
    @receive(post_save, sender=Article, delivery=OnCommit())
    async def record(sender, **kwargs): ...

    (line,) = [line for line in lines(Filters(["post_save"])) if "<locals>.record" in line]
    assert line.endswith("async, delivery=OnCommit(), reentrant=skip")


def test_a_policy_that_is_given_nonsense_says_so():
    with pytest.raises(TypeError, match=r"OnCommit\(batch=...\) takes True or False, not 'yes'\."):
        OnCommit(batch="yes")


def test_changes_are_those_of_the_time_of_the_send(receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, created, changes, **kwargs):
        if not created:
            received.append((changes["words"], changes_of(instance, "title")))

    Article.objects.create(words=1)
    received.clear()
    article = Article.objects.get()
    with transaction.atomic():
        article.words = 2
        article.save()
        article.title = "a"
    assert received == [((1, 2), {"title": ("", "a")})]


# --- keys that the database computes, connections that are not open, and policies that cause themselves --------------


def test_instances_whose_key_the_database_will_compute_are_rows_of_their_own(receive):
    kinds = []

    @receive([pre_save, post_save], sender=Token, delivery=OnCommit(batch=True))
    def record(sender, batch, **kwargs):
        kinds.append([(event.kind, event.instance.name) for event in batch.events])

    keys = []

    @receive(pre_save, sender=Token, delivery=BeforeCommit())
    def record_key(sender, instance, **kwargs):
        keys.append(instance.pk)

    with transaction.atomic():
        tokens = [Token.objects.create(name=name) for name in ("a", "b")]
    assert kinds == [[("created", "a"), ("created", "b")]]
    assert keys == [one.pk for one in tokens]


def test_a_connection_that_is_not_open_yet_is_known_to_be_committed_by_hand(listen, monkeypatch):
    listen(pre_save, sender=Article, delivery=OnCommit())
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    with pytest.raises(transaction.TransactionManagementError, match="is committed by hand"):
        Article().save()


def test_a_policy_that_comes_last_and_causes_itself_is_named(receive, monkeypatch):
    monkeypatch.setattr(flush, "DEPTH", 20)
    monkeypatch.setattr(Written, "make", staticmethod(lambda due: Genre.objects.create()))

    @receive(post_save, sender=Genre, delivery=Written())
    def record(sender, **kwargs): ...

    with pytest.raises(UnsettledError, match="record"):
        Genre.objects.create()


def test_an_event_that_is_sent_again_by_hand_is_another_one(listen, receive):
    received = listen(post_save, sender=Article, delivery=BeforeCommit())

    @receive(post_save, sender=Article)
    def send_again(sender, instance, signal, **kwargs):
        signal.send(sender=sender, instance=instance, **kwargs)

    Article.objects.create()
    assert len(received) == 2


def test_what_pre_save_takes_for_new_may_be_there(receive):
    Country.objects.create(code="de")
    received = batches_of(receive, [pre_save, post_save], sender=Country)
    Country(code="de", name="Germany").save()
    assert [event.kind for event in received[0].events] == ["updated"]


@pytest.mark.django_db
class TestOfATestCaseThatGoesOn:
    def test_what_pre_save_has_written_stays_when_a_child_is_refused(self, receive):
        @receive(pre_save, sender=Audiobook)
        def log(sender, **kwargs):
            Genre.objects.create(name="log")

        @receive(post_save, sender=Audiobook, delivery=BeforeCommit())
        def refuse(sender, **kwargs):
            transaction.on_commit(print)
            raise MishapError

        with pytest.raises(MishapError):
            Audiobook.objects.create()
        assert Genre.objects.count() == 1
        assert connection.run_on_commit == []

    def test_an_error_of_the_database_is_that_of_django_where_nothing_is_undone(self, listen):
        listen(post_save, sender=Country, delivery=OnCommit())
        Country.objects.create(code="de")
        with pytest.raises(IntegrityError):
            Country(code="de").save(force_insert=True)
        with pytest.raises(transaction.TransactionManagementError):
            Country.objects.count()


def test_patches_that_are_there_still_are_not_put_around_themselves():
    delivered = run(
        """
        import gc
        from django.db import transaction
        from django.db.models.signals import post_save
        from heliograph import OnCommit
        from heliograph.dispatch.routes import registering
        from heliograph.transactions.late_calls import Awaiting
        from threading import Event, Thread

        def record(sender, **kwargs): ...

        held, done = Event(), Event()

        def hold():
            with registering:
                held.set()
                done.wait(20)

        post_save.connect(record, delivery=OnCommit())
        [connection] = [one for one in post_save._table.connections() if one.receiver() is record]
        connection.options.find(Awaiting).holds  # what keeps the patches
        thread = Thread(target=hold)
        thread.start()
        held.wait(20)
        connection.guarded = None  # as garbage collection would, while another thread has the lock
        gc.collect()
        done.set()
        thread.join()
        post_save.connect(record, delivery=OnCommit(), dispatch_uid="again")
        with transaction.atomic():
            transaction.on_commit(lambda: report("committed"))
        """,
    )
    assert delivered == ["committed"]


@pytest.mark.django_db(transaction=True)
def test_a_condition_answers_the_same_however_often_it_is_asked(receive):
    answers = []

    def ask(sender, instance, **kwargs):
        (asked,) = (one for one in guarded_for(post_save, Genre) if one.receiver is record)
        payload = {"signal": post_save, "sender": sender, "instance": instance, **kwargs}
        answers.append([asked.options.when.holds(payload) for _ in range(2)])

    receive(post_save, sender=Genre, order=-1)(ask)

    @receive(post_save, sender=Genre, when=created, delivery=BeforeCommit())
    def record(sender, **kwargs):
        """A receiver that is called when the row is written, and passed over when Django sends post_save."""

    Genre.objects.create()
    assert answers == [[True, True]]
