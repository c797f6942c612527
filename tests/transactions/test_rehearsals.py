"""A rehearsal runs code as in production, and nothing of it stays."""

from contextlib import nullcontext, suppress

import pytest
from django.db import Error, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError

from heliograph import BeforeCommit, Durable, Inline, OnCommit, created, rehearsal
from heliograph.outbox.models import Delivery
from heliograph.signals import post_save
from tests.app.models import Article, Branch
from tests.app.models_of_books import Novel

in_autocommit = pytest.mark.django_db(transaction=True, databases="__all__")


@in_autocommit
@pytest.mark.parametrize("is_within", [False, True], ids=["autocommit", "atomic"])
def test_receivers_are_called_in_the_order_of_production_and_nothing_stays(receive, is_within):
    called = []
    for policy in (BeforeCommit(), Inline()):

        def record(policy=policy, **kwargs):
            called.append(type(policy).__name__)

        receive(post_save, sender=Article, delivery=policy)(record)

    def save():
        if is_within:
            with transaction.atomic(durable=True):
                Article.objects.create()
        else:
            Article.objects.create()

    save()
    production, called[:] = [*called], []
    with rehearsal():
        save()
        assert Article.objects.count() == 2

    assert called == production
    assert Article.objects.count() == 1


@in_autocommit
def test_what_would_be_called_after_the_commit_is_held_back_and_listed(receive):
    @receive(post_save, sender=Article, delivery=OnCommit())
    def mail(**kwargs):
        raise AssertionError("It is called.")

    def by_hand():
        raise AssertionError("It is called.")

    with rehearsal() as held:
        Article.objects.create()
        with transaction.atomic():
            transaction.on_commit(by_hand)

    assert [one.call.receiver for one in held.after_commit] == [mail]
    assert held.functions == [("default", by_hand)]


def deliver(**kwargs):
    """A receiver that a worker can find."""


@in_autocommit
def test_deliveries_are_stored_as_they_would_be_and_are_gone_afterwards(receive):
    receive(post_save, sender=Article, when=created, delivery=Durable(queue="mail"))(deliver)

    with rehearsal():
        Article.objects.create()
        assert [one.queue for one in Delivery.objects.all()] == ["mail"]

    assert not Delivery.objects.exists()


@in_autocommit
def test_a_commit_that_the_database_would_refuse_is_known():
    is_deferred = connection.features.can_defer_constraint_checks  # MariaDB refuses the row itself
    with nullcontext() if is_deferred else pytest.raises(IntegrityError), rehearsal() as held:
        Novel.objects.create(writer_id=4711)

    assert {*held.refused} == ({"default"} if is_deferred else set())


def save_twice():
    article = Article.objects.create()
    with suppress(IntegrityError):
        article.save(force_insert=True)


def ask_for_no_table():
    with suppress(Error), connection.cursor() as cursor:
        cursor.execute("SELECT words FROM no_such_table")


def update_a_unique_column():
    for pk in (1, 2):
        Branch.objects.create(code=pk)
    with suppress(IntegrityError):
        Branch.objects.update(code="same")


@transaction.atomic(savepoint=False)
def create_and_fail():
    Article.objects.create(title="undone")
    raise ZeroDivisionError


def fail_in_a_transaction():
    for _ in range(2):
        with suppress(ZeroDivisionError):
            create_and_fail()


@in_autocommit
@pytest.mark.parametrize("act", [save_twice, ask_for_no_table, update_a_unique_column, fail_in_a_transaction])
def test_code_that_catches_an_error_outside_of_atomic_goes_on(act):
    with rehearsal() as held:
        act()
        Article.objects.create(title="last")
        titles = [*Article.objects.values_list("title", flat=True)]

    assert titles[-1] == "last"
    assert "undone" not in titles
    assert held.refused == {}
    assert not Article.objects.exists()


@in_autocommit
def test_an_error_inside_of_atomic_marks_its_block_as_in_production():
    with rehearsal(), transaction.atomic():
        save_twice()
        with pytest.raises(TransactionManagementError):
            Article.objects.count()


@in_autocommit
def test_a_statement_of_a_rehearsal_is_one_query(django_assert_num_queries):
    with rehearsal(), django_assert_num_queries(1):
        Article.objects.count()


@in_autocommit
def test_a_rehearsal_inside_of_a_transaction_is_refused():
    with transaction.atomic(), pytest.raises(TransactionManagementError, match=r"outside of atomic\(\)"), rehearsal():
        pass


@in_autocommit
def test_an_error_goes_through_and_nothing_stays():
    def save_and_fail():
        with rehearsal():
            Article.objects.create()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_and_fail()

    assert not Article.objects.exists()


@pytest.mark.django_db
def test_in_a_test_with_a_transaction_of_its_own_it_works_too(receive, settings):
    settings.HELIOGRAPH = {"COMMIT_IN_TESTS": False}
    called = []

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def record(**kwargs):
        called.append("before the commit")

    with rehearsal("default"):
        Article.objects.create()
        assert called == ["before the commit"]

    assert not Article.objects.exists()


@in_autocommit
def test_after_a_rehearsal_calls_are_made_again(receive):
    called = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    def mail(**kwargs):
        called.append("mail")

    with rehearsal():
        Article.objects.create()
    assert called == []
    Article.objects.create()
    assert called == ["mail"]
