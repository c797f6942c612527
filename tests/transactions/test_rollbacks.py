"""OnRollback: calls that are made when what was sent is undone."""

import re
import threading
from contextlib import contextmanager

import pytest
from django.core.handlers.base import BaseHandler
from django.core.signals import request_finished
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.test import RequestFactory, TestCase

from heliograph import BeforeCommit, Durable, OnCommit, OnRollback, Signal, changed, created, mute, receiver, trace
from heliograph.dispatch import Called
from heliograph.signals import m2m_changes
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Writer
from tests.helpers.errors import MishapError, mishap
from tests.helpers.savepoints import make_savepoint
from tests.helpers.sessions import end_own, has_sessions

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@contextmanager
def undone(**options):
    """A block of a transaction that is rolled back."""
    with mishap(), transaction.atomic(**options):
        yield
        raise MishapError


@pytest.fixture
def titles(receive):
    """The titles of the articles of which a save was undone."""
    received = []

    @receive(post_save, sender=Article, delivery=OnRollback())
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    return received


def save(title="undone"):
    return Article.objects.create(title=title)


# --- what is undone -----------------------------------------------------------------------------------------------


def test_a_call_is_made_once_when_its_transaction_was_rolled_back(titles):
    with undone():
        save()
        assert titles == []
    assert titles == ["undone"]


def test_no_call_is_made_where_the_transaction_is_committed(titles):
    with transaction.atomic():
        save("kept")
    save("kept in autocommit")
    assert titles == []
    with undone():
        save()
    assert titles == ["undone"]


def test_a_savepoint_that_is_rolled_back_undoes_what_was_sent_in_it_and_no_more(titles):
    with transaction.atomic():
        save("before")
        with undone():
            save()
        assert titles == ["undone"]
        save("after")
    assert titles == ["undone"]


def test_what_a_savepoint_has_undone_is_not_undone_again_by_its_transaction(titles):
    with undone():
        save("outer")
        with undone():
            save("inner")
    assert titles == ["inner", "outer"]


def test_a_block_within_that_ends_well_is_undone_with_the_one_around_it(titles):
    with undone(), transaction.atomic():
        save()
    assert titles == ["undone"]


def test_a_block_without_a_savepoint_is_undone_with_the_one_around_it(titles):
    with transaction.atomic():
        with undone(), mishap(), transaction.atomic(savepoint=False):
            save()
            raise MishapError
        assert titles == ["undone"]
    assert titles == ["undone"]


def test_a_transaction_that_is_marked_for_rollback_is_undone(titles):
    with transaction.atomic():
        save()
        transaction.set_rollback(True)
    assert titles == ["undone"]


def test_a_savepoint_that_is_rolled_back_by_hand_undoes_what_came_since(titles):
    with transaction.atomic():
        save("before")
        savepoint = make_savepoint()
        save()
        transaction.savepoint_rollback(savepoint)
        assert titles == ["undone"]
    assert titles == ["undone"]


def test_a_savepoint_that_is_committed_by_hand_is_undone_with_its_transaction(titles):
    with undone():
        savepoint = make_savepoint()
        save()
        transaction.savepoint_commit(savepoint)
        assert titles == []
    assert titles == ["undone"]


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB checks at once what it refers to")
def test_a_commit_that_fails_undoes_all(titles):
    def commit():
        with transaction.atomic():
            save()
            Novel.objects.create(writer_id=123456)  # which the database finds at the commit

    with pytest.raises(IntegrityError):
        commit()
    assert titles == ["undone"]


def test_a_receiver_before_the_commit_that_raises_undoes_all(titles, receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        raise MishapError

    with mishap(), transaction.atomic():
        save()
    assert titles == ["undone"]


def test_a_callback_after_the_commit_that_raises_undoes_nothing(titles):
    with mishap(), transaction.atomic():
        save("kept")
        transaction.on_commit(fail)
    assert titles == []


def fail():
    raise MishapError


def test_a_connection_that_is_closed_undoes_all(titles):
    with mishap(), transaction.atomic():
        save()
        connection.close()
        raise MishapError
    assert titles == ["undone"]


def test_a_connection_that_is_closed_in_a_block_that_ends_well_undoes_all(titles):
    with transaction.atomic():
        save()
        connection.close()
    assert titles == ["undone"]


@has_sessions
def test_a_connection_that_is_lost_undoes_all_and_the_receiver_has_a_new_one(receive):
    found = []

    @receive(post_save, sender=Article, delivery=OnRollback())
    def count(sender, **kwargs):
        found.append(Article.objects.count())

    def lose():
        with transaction.atomic():
            save()
            end_own()
            Article.objects.count()

    with pytest.raises(DatabaseError):
        lose()
    assert found == [0]


def test_a_request_that_ends_in_an_error_undoes_all(titles, monkeypatch):
    def respond(request):
        save()
        raise MishapError

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with mishap():
        BaseHandler().make_view_atomic(respond)(RequestFactory().get("/"))
    assert titles == ["undone"]


def test_each_database_undoes_its_own(receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnRollback())
    def record(sender, using, **kwargs):
        received.append(using)

    with transaction.atomic():
        save()
        with undone(using="other"):
            Article.objects.using("other").create()
    assert received == ["other"]


def test_each_thread_undoes_its_own(titles):
    begun, done = threading.Event(), threading.Event()

    def keep():
        Genre.objects.create()
        with transaction.atomic():
            begun.set()
            done.wait(20)
        connection.close()

    thread = threading.Thread(target=keep)
    thread.start()
    begun.wait(20)
    with undone():
        save()
    done.set()
    thread.join()
    assert titles == ["undone"]


# --- saves in autocommit ------------------------------------------------------------------------------------------


def test_a_save_in_autocommit_that_fails_undoes_what_was_sent_before_it(receive):
    received = []

    @receive(pre_save, sender=Country, delivery=OnRollback())
    def record(sender, instance, **kwargs):
        received.append((instance.code, transaction.get_connection().in_atomic_block))

    Country.objects.create(code="de")
    with pytest.raises(IntegrityError):
        Country(code="de").save(force_insert=True)
    assert received == [("de", False)]


def test_a_save_in_autocommit_that_a_receiver_before_it_refuses_undoes_what_was_sent_before(receive):
    received = []

    @receive(pre_save, sender=Article, delivery=OnRollback())
    def record(sender, **kwargs):
        received.append("undone")

    @receive(pre_save, sender=Article)
    def refuse(sender, **kwargs):
        raise MishapError

    with mishap():
        save()
    assert received == ["undone"]


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_a_save_in_autocommit_that_a_receiver_before_its_commit_refuses_is_undone(receive, signal):
    received = []

    @receive(signal, sender=Article, delivery=OnRollback())
    def record(sender, **kwargs):
        received.append(Article.objects.count())

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        raise MishapError

    with mishap():
        save()
    assert received == [0]


def test_a_save_in_autocommit_of_a_row_with_parents_is_undone(receive):
    received = []

    @receive(pre_save, sender=Audiobook, delivery=OnRollback())
    def record(sender, **kwargs):
        received.append(Novel.objects.count())

    with pytest.raises((IntegrityError, ValueError)):
        Audiobook.objects.create(minutes="none")
    assert received == [0]


def test_a_save_in_autocommit_that_a_receiver_after_it_refuses_is_kept(titles, receive):
    @receive(post_save, sender=Article)
    def refuse(sender, **kwargs):
        raise MishapError

    with mishap():
        save("kept")
    assert titles == []


def test_a_save_in_autocommit_has_the_statements_of_django(titles, django_assert_num_queries):
    with django_assert_num_queries(1):
        save()


def test_a_delete_that_a_receiver_refuses_is_undone(receive):
    article, received = save(), []
    pk = article.pk

    @receive(post_delete, sender=Article, delivery=OnRollback())
    def record(sender, instance, **kwargs):
        received.append(instance.pk)

    @receive(post_delete, sender=Article)
    def refuse(sender, **kwargs):
        raise MishapError

    with mishap():
        article.delete()
    assert received == [pk]


# --- the call -----------------------------------------------------------------------------------------------------


def test_a_receiver_may_use_the_database_after_the_rollback(receive):
    @receive(post_save, sender=Article, delivery=OnRollback())
    def write(sender, instance, **kwargs):
        Genre.objects.create(name=instance.title)

    with undone():
        save("in autocommit")
    with transaction.atomic(), undone():
        save("in a transaction")
    assert [genre.name for genre in Genre.objects.order_by("pk")] == ["in autocommit", "in a transaction"]


def test_an_error_is_logged_and_the_others_are_called(receive, titles, caplog):
    @receive(post_save, sender=Article, delivery=OnRollback(), order=-1)
    def break_down(sender, **kwargs):
        raise ValueError("broken")

    with undone():
        save()
    assert titles == ["undone"]
    assert re.fullmatch(r"Error calling .*break_down after the rollback \(broken\)", caplog.messages[0])


def test_an_error_of_the_database_does_no_harm_to_the_transaction_that_goes_on(receive, caplog):
    Country.objects.create(code="de")

    @receive(post_save, sender=Article, delivery=OnRollback())
    def break_down(sender, **kwargs):
        Country(code="de").save(force_insert=True)

    with transaction.atomic():
        with undone():
            save()
        Genre.objects.create()
    assert Genre.objects.count() == 1
    assert "after the rollback" in caplog.text


def test_an_async_receiver_is_called(receive, caplog):
    received = []

    @receive(post_save, sender=Article, delivery=OnRollback())
    async def record(sender, instance, **kwargs):
        received.append(instance.title)
        raise ValueError("broken")

    with undone():
        save()
    assert received == ["undone"]
    assert "broken" in caplog.text


def test_a_batch_has_all_that_one_rollback_undoes(receive):
    received = []

    @receive(post_save, sender=Article, when=created | changed("words"), bulk=True, delivery=OnRollback(batch=True))
    def record(sender, batch, **kwargs):
        received.append([(event.kind, event.instance.title, dict(event.changes)) for event in batch.events])

    there = Article.objects.create(title="there", words=1)
    with transaction.atomic():
        save("kept")
        with undone():
            save("first")
            Article.objects.bulk_create([Article(title="second")])
            there.words = 2
            there.save()
    assert received == [
        [("created", "first", {}), ("created", "second", {}), ("updated", "there", {"words": (1, 2)})],
    ]


def test_the_changes_are_those_of_the_send(receive):
    received = []

    @receive(post_save, sender=Article, when=changed("title"), delivery=OnRollback())
    def record(sender, changes, **kwargs):
        received.append(changes)

    article = save("old")
    with undone():
        article.title = "new"
        article.save()
    assert received == [{"title": ("old", "new")}]


def test_signals_about_no_row_and_of_relations_are_undone_too(receive):
    paid, received = Signal(), []
    novel, genre = Novel.objects.create(), Genre.objects.create()

    @receive([paid, m2m_changes], delivery=OnRollback())
    def record(sender, signal, **kwargs):
        received.append(signal)

    with undone():
        paid.send(sender=None)
        novel.genres.add(genre)
    paid.send(sender=None)
    assert received == [paid, m2m_changes]


def test_other_policies_go_their_way_beside_it(titles, receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    @receive(post_save, sender=Article, delivery=Durable())
    def store(sender, **kwargs): ...

    with transaction.atomic():
        save("kept")
        with undone():
            save()
    assert (titles, received) == (["undone"], ["kept"])


def test_what_is_sent_before_the_commit_is_undone_by_what_follows(receive, titles):
    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def save_article(sender, **kwargs):
        save()

    @receive(post_save, sender=Writer, delivery=BeforeCommit(batch=True))
    def refuse(sender, batch, **kwargs):
        raise MishapError

    with mishap(), transaction.atomic():
        Genre.objects.create()
        Writer.objects.create()
    assert titles == ["undone"]


def test_a_muted_receiver_is_not_called(titles):
    with undone(), mute(post_save):
        save()
    assert titles == []


def test_a_call_is_traced_as_a_part_of_its_send(titles):
    with trace() as traced, undone():
        save()
    (call,) = (event for event in traced.events if isinstance(event, Called))
    assert call.parent in [event.number for event in traced.events]


def test_a_receiver_that_has_left_meanwhile_is_called_all_the_same():
    received = []

    def record(sender, instance, **kwargs):
        received.append(instance.title)

    post_save.connect(record, sender=Article, delivery=OnRollback())
    with undone():
        save()
        post_save.disconnect(record, sender=Article)
    assert received == ["undone"]


@pytest.mark.parametrize("policy", [OnRollback, OnRollback(), "rollback"])
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_written(policy):
    with pytest.raises(TypeError, match=r"request_finished is not about a database|takes a delivery policy such as"):
        receiver(request_finished, delivery=policy)(fail_with)


def fail_with(sender, **kwargs): ...


def test_a_receiver_of_a_batch_without_the_parameter_is_refused():
    with pytest.raises(TypeError, match=r"has no parameter named batch, which delivery=OnRollback\(batch=True\) gives"):
        receiver(post_save, sender=Article, delivery=OnRollback(batch=True))(fail_with)


# --- in a test ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=False)
class TestInsideATestCase:
    def test_the_outermost_block_of_the_test_is_its_transaction(self, titles):
        with undone():
            save()
        assert titles == ["undone"]
        with transaction.atomic():
            save("kept")
        assert not connection.__dict__.get("_heliograph_on_rollback")

    def test_a_delete_that_fails_is_undone(self, receive):
        article, received = save(), []

        @receive(post_delete, sender=Article, delivery=OnRollback())
        def record(sender, **kwargs):
            received.append("undone")

        @receive(post_delete, sender=Article)
        def refuse(sender, **kwargs):
            raise MishapError

        with mishap(), transaction.atomic():
            article.delete()
        assert received == ["undone"]

    def test_a_save_that_fails_is_undone(self, receive):
        received = []

        @receive(pre_save, sender=Article, delivery=OnRollback())
        def record(sender, **kwargs):
            received.append("undone")

        @receive(post_save, sender=Article, delivery=BeforeCommit())
        def refuse(sender, **kwargs):
            raise MishapError

        with mishap():
            save()
        assert received == ["undone"]


@pytest.mark.parametrize("commits", [True, False])
def test_the_end_of_a_test_case_undoes_nothing_that_a_receiver_waits_for(titles, settings, commits):
    settings.HELIOGRAPH = {"COMMIT_IN_TESTS": commits}

    class Kept(TestCase):
        databases = ("default", "other")

        @classmethod
        def setUpTestData(cls):
            save("kept")

        def test_it(self):
            save("kept")
            with transaction.atomic():
                save("kept")
                with undone():
                    save()

    Kept.setUpClass()
    try:
        result = Kept("test_it").run()
    finally:
        Kept.tearDownClass()
    assert result.wasSuccessful()
    assert set(titles) == {"undone"}
