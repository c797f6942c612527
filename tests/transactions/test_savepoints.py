"""Savepoints that are rolled back by hand: they take along the calls that wait since."""

import pytest
from django.db import connection, transaction
from django.test import TestCase

from heliograph import BeforeCommit, Durable, OnCommit, Signal, changed
from heliograph.outbox.models import Delivery
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_delete, post_save
from tests.app.models import Article, Genre, Novel
from tests.helpers.bare import run
from tests.helpers.savepoints import make_savepoint

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

POLICIES = [BeforeCommit, OnCommit, Durable]


@pytest.fixture(params=POLICIES, ids=lambda policy: policy.__name__)
def titles(request, receive):
    """The titles of the articles that a receiver is called with, for each policy that waits for the commit."""
    received = []

    @receive(post_save, sender=Article, delivery=request.param())
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    def made():
        drain()
        return sorted(received)

    return made


@pytest.fixture(params=POLICIES, ids=lambda policy: policy.__name__)
def batches(request, receive):
    """The batches of articles that a receiver is given, for each policy that waits for the commit."""
    received = []

    @receive(
        [post_save, post_delete],
        sender=Article,
        when=changed("words"),
        bulk=True,
        delivery=request.param(batch=True),
    )
    def record_batch(sender, batch, **kwargs):
        received.append([(event.kind, event.pk, dict(event.changes)) for event in batch.events])

    def made():
        drain()
        return received

    return made


def save(title):
    return Article.objects.create(title=title)


def test_t3_a_savepoint_rolled_back_by_hand_takes_its_calls_along(titles):
    with transaction.atomic():
        save("before")
        savepoint = make_savepoint()
        save("undone")
        transaction.savepoint_rollback(savepoint)
        save("after")
    assert titles() == ["after", "before"]


def test_t3_a_savepoint_committed_by_hand_keeps_its_calls(titles):
    with transaction.atomic():
        savepoint = make_savepoint()
        save("kept")
        transaction.savepoint_commit(savepoint)
    assert titles() == ["kept"]


def test_t3_a_savepoint_that_is_rolled_back_twice_takes_along_what_came_between(titles):
    with transaction.atomic():
        savepoint = make_savepoint()
        for title in ("first", "second"):
            save(title)
            transaction.savepoint_rollback(savepoint)
        save("after")
    assert titles() == ["after"]


def test_t3_a_savepoint_rolled_back_by_hand_takes_along_the_savepoints_within(titles):
    with transaction.atomic():
        outer = make_savepoint()
        inner = make_savepoint()
        save("in a savepoint")
        transaction.savepoint_commit(inner)
        with transaction.atomic():
            save("in a block")
        transaction.savepoint_rollback(outer)
        save("after")
    assert titles() == ["after"]


def test_t3_a_savepoint_within_one_that_stays_takes_its_own_calls_along(titles):
    with transaction.atomic(), transaction.atomic():
        outer = make_savepoint()
        save("outer")
        inner = make_savepoint()
        save("inner")
        transaction.savepoint_rollback(inner)
        transaction.savepoint_commit(outer)
    assert titles() == ["outer"]


def test_t3_a_savepoint_from_before_its_receiver_takes_its_calls_along(receive):
    received = []
    with transaction.atomic():
        savepoint = connection.savepoint()

        @receive(post_save, sender=Article, delivery=OnCommit())
        def record(sender, instance, **kwargs):
            received.append(instance.title)

        save("undone")
        connection.savepoint_rollback(savepoint)
        save("after")
    assert received == ["after"]


def test_t3_savepoints_whose_names_are_used_again_are_distinguished(titles):
    with transaction.atomic():
        transaction.clean_savepoints()
        make_savepoint()
        save("before")
        transaction.clean_savepoints()
        again = make_savepoint()
        save("undone")
        transaction.savepoint_rollback(again)
        transaction.savepoint_commit(again)
        save("after")
    assert titles() == ["after", "before"]


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB drops a savepoint when its name is used again")
def test_t3_a_savepoint_whose_name_was_used_again_can_be_rolled_back_once_the_other_is_gone(titles):
    with transaction.atomic():
        save("before")
        transaction.clean_savepoints()
        first = make_savepoint()
        save("undone")
        transaction.clean_savepoints()
        transaction.savepoint_commit(make_savepoint())
        transaction.savepoint_rollback(first)
    assert titles() == ["before"]


def test_t3_a_savepoint_on_another_database_takes_along_the_calls_of_that_one(receive):
    received = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, instance, **kwargs):
        received.append(instance.title)

    with transaction.atomic(), transaction.atomic("other"):
        savepoint = make_savepoint("other")
        save("on default")
        Article.objects.using("other").create(title="on other")
        transaction.savepoint_rollback(savepoint, "other")
    assert received == ["on default"]
    assert not Article.objects.using("other").exists()


def test_t3_a_batch_has_no_rows_and_no_values_that_a_savepoint_has_undone(batches):
    article, other = Article.objects.bulk_create([Article(words=1), Article(words=1)])
    with transaction.atomic():
        article.words = 2
        article.save()
        savepoint = make_savepoint()
        article.words = 3
        article.save()
        Article.objects.create(words=4)
        Article.objects.bulk_create([Article(words=5)])
        Article.objects.update(words=6)
        other.delete()
        transaction.savepoint_rollback(savepoint)
    assert batches() == [[("updated", article.pk, {"words": (1, 2)})]]


def test_t3_a_batch_of_which_all_was_undone_is_no_call(batches):
    article = Article.objects.create(words=1)
    with transaction.atomic():
        savepoint = make_savepoint()
        article.words = 2
        article.save()
        transaction.savepoint_rollback(savepoint)
    assert batches() == []


def test_a_savepoint_takes_along_calls_of_signals_about_no_row(receive):
    paid, received = Signal(), []

    @receive(paid, delivery=OnCommit(batch=True))
    def record(sender, batch, **kwargs):
        received.append([event.kwargs["number"] for event in batch.events])

    with transaction.atomic():
        paid.send(sender=None, number=1)
        savepoint = make_savepoint()
        paid.send(sender=None, number=2)
        transaction.savepoint_rollback(savepoint)
    assert received == [[1]]


def test_a_savepoint_takes_along_calls_about_relations(receive):
    novel, genre, received = Novel.objects.create(), Genre.objects.create(), []

    @receive(m2m_changes, sender=Novel.genres.through, delivery=OnCommit())
    def record(sender, added, **kwargs):
        received.append(added)

    with transaction.atomic():
        savepoint = make_savepoint()
        novel.genres.add(genre)
        transaction.savepoint_rollback(savepoint)
    assert received == []


@pytest.mark.parametrize("delivery", [BeforeCommit(), BeforeCommit(batch=True)], ids=repr)
def test_a_receiver_before_the_commit_may_roll_back_what_another_one_waits_for(receive, delivery):
    received, savepoints = [], []

    @receive(post_save, sender=Genre, delivery=BeforeCommit())
    def cause_and_undo(sender, instance, **kwargs):
        if savepoints:
            transaction.savepoint_rollback(savepoints[0])
        else:
            savepoints.append(make_savepoint())
            Genre.objects.create()
            save("undone")

    @receive(post_save, sender=Article, delivery=delivery)
    def record(sender, batch=None, **kwargs):
        received.append(batch)

    Genre.objects.create()
    assert received == []


def test_a_durable_call_that_a_savepoint_has_undone_is_not_stored(receive):
    @receive(post_save, sender=Article, delivery=Durable())
    def record(sender, **kwargs): ...

    with transaction.atomic():
        savepoint = make_savepoint()
        save("undone")
        transaction.savepoint_rollback(savepoint)
    assert not Delivery.objects.exists()


def test_a_function_given_to_on_commit_is_called_as_django_calls_it(receive):
    called = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def record(sender, **kwargs):
        called.append("receiver")

    with transaction.atomic():
        savepoint = make_savepoint()
        save("undone")
        transaction.on_commit(lambda: called.append("function"))
        transaction.savepoint_rollback(savepoint)
    assert called == ["function"]


@pytest.mark.usefixtures("no_kept_error")
def test_connections_have_their_own_methods_again_when_nobody_waits():
    delivered = run(
        """
        from django.contrib.auth.models import Group
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.models.signals import post_save
        from heliograph import OnRollback

        def record(sender, **kwargs): ...

        before = {**vars(BaseDatabaseWrapper)}
        post_save.connect(record, sender=Group, delivery=OnRollback())
        report({**vars(BaseDatabaseWrapper)} == before)
        post_save.disconnect(record, sender=Group)
        report({**vars(BaseDatabaseWrapper)} == before)
        """,
        INSTALLED_APPS=["heliograph", "django.contrib.auth", "django.contrib.contenttypes"],
    )
    assert delivered == [False, True]


@pytest.mark.django_db(transaction=False)
class TestInsideATestCase:
    def test_a_savepoint_rolled_back_by_hand_takes_its_calls_along(self, titles):
        with transaction.atomic():
            save("before")
            savepoint = make_savepoint()
            save("undone")
            transaction.savepoint_rollback(savepoint)
        assert titles() == ["before"]

    def test_and_out_of_the_callbacks_that_are_captured(self, receive, settings):
        settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
        received = []

        @receive(post_save, sender=Article, delivery=OnCommit())
        def record(sender, instance, **kwargs):
            received.append(instance.title)

        with TestCase.captureOnCommitCallbacks(execute=True):
            savepoint = make_savepoint()
            save("undone")
            transaction.savepoint_rollback(savepoint)
            save("after")
        assert received == ["after"]
