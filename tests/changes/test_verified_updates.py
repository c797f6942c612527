"""Saves whose UPDATE verifies the old values, for receivers with fetch="exact": a lock before it only if it must be."""

import gc
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils.timezone import now

from heliograph import Change, changed, created
from heliograph.dispatch.describe import describe
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Article, Checked, Pinned, Post, Seat, Writer
from tests.helpers.receivers import record
from tests.helpers.stale_copies import elsewhere, locking
from tests.helpers.statements import verbs
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def no_lock_of_earlier_tests():
    """An error of an earlier test may hold its receiver, which asks for a lock until it is garbage collected."""
    gc.collect()


committing = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def exact(changes_by_lock):
    """Connect a receiver of changes: `got = exact(Post, "text")` is the list of them."""

    def connect(sender, *names, **options):
        return changes_by_lock(sender, post_save, fetch="exact", when=created | changed(*names), **options)

    return connect


@pytest.fixture
def seen(receive):
    """A post that was loaded while a receiver is connected, whose changes are in `seen.got`."""
    made, got = Post.objects.create(text="old"), []

    @receive(post_save, sender=Post, fetch="exact", when=created | changed("text", "topic"))
    def record(changes, **kwargs):
        got.append(changes)

    post = Post.objects.get(pk=made.pk)
    post.got = got
    return post


# --- statements ---------------------------------------------------------------------------------------------------


def test_the_save_of_a_fresh_copy_is_one_statement(seen):
    seen.text = "new"
    assert verbs(seen.save) == ["UPDATE"]
    seen.text = "newer"
    assert verbs(seen.save) == ["UPDATE"]
    assert seen.got == [{"text": Change("old", "new")}, {"text": Change("new", "newer")}]


@committing
def test_and_it_has_no_transaction_of_its_own(seen):
    assert verbs(seen.save) == ["UPDATE"]


def test_the_row_of_a_stale_copy_is_locked(seen):
    elsewhere(seen, text="theirs")
    assert len(locking(seen.save)) == 1
    assert seen.got == [{"text": Change("theirs", "old")}]
    assert Post.objects.get(pk=seen.pk).text == "old"


def test_a_copy_that_does_not_know_its_row_locks_it(seen):
    assert len(locking(Post(pk=seen.pk, text="mine").save)) == 1
    assert len(locking(Post.objects.only("topic").get(pk=seen.pk).save)) == 1
    assert seen.got == [{"text": Change("old", "mine")}]


def test_a_receiver_that_asks_for_a_lock_gets_one(changes_by_lock, seen):
    changes_by_lock(Post, when=changed("topic"))
    assert len(locking(seen.save)) == 1


@pytest.mark.parametrize(
    ("model", "name"),
    [(Article, "labels"), (Article, "cover"), (Pinned, "text"), (Checked, "name")],
    ids=["JSON", "a file", "a row in two tables", "select_on_save"],
)
def test_what_no_update_can_compare_is_locked(exact, model, name):
    made = model.objects.create()
    exact(model, name)
    assert locking(model.objects.get(pk=made.pk).save)


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "theirs"),
    [
        ("title", "old", "Old"),
        ("title", "old", "old "),
        ("title", "é", "e"),
        ("title", "", "\u00c3\u00a9"),
        ("words", 1, 2),
        ("price", Decimal("123456.01"), Decimal("123456.02")),
        ("published", None, now()),
        ("published", now(), now() + timedelta(microseconds=1)),
        ("slug", "%s", "%%s"),
    ],
)
def test_any_other_value_is_found(exact, name, value, theirs):
    got = exact(Article, name)
    made = Article.objects.create(**{name: value})
    copy = Article.objects.get(pk=made.pk)
    assert locking(copy.save) == []
    elsewhere(copy, **{name: theirs})
    assert len(locking(copy.save)) == 1
    assert got == [{}, {name: Change(theirs, value)}]


def test_a_reference_is_compared_by_its_key(exact):
    first, second = Writer.objects.create(), Writer.objects.create()
    got, article = exact(Article, "author"), Article.objects.create(author=first)
    assert locking(article.save) == []
    elsewhere(article, author=second)
    article.save()
    assert got == [{}, {"author": Change(second.pk, first.pk)}]


def test_a_value_that_was_assigned_in_another_type_locks_the_row(exact):
    got, article = exact(Article, "words"), Article.objects.create()
    article.words = "12"
    article.save()
    assert len(locking(article.save)) == 1
    assert got == [{}, {"words": Change(0, 12)}]


def test_a_row_with_a_key_of_two_columns_is_found(exact):
    got, seat = exact(Seat, "guest"), Seat.objects.create(row=1, number=2, guest="Ada")
    assert locking(seat.save) == []
    elsewhere(seat, guest="Grace")
    seat.save()
    assert got == [{}, {"guest": Change("Grace", "Ada")}]


def test_a_row_that_is_gone_is_created_by_the_save(seen):
    Post.objects.filter(pk=seen.pk)._raw_delete("default")
    with pytest.raises(DatabaseError), transaction.atomic():
        seen.save(force_update=True)
    seen.save()
    assert seen.got == [{}]
    assert Post.objects.filter(pk=seen.pk).exists()


def test_a_save_of_some_fields_is_verified_too(seen):
    elsewhere(seen, text="theirs")
    seen.text = "mine"
    seen.save(update_fields=["text"])
    assert seen.got == [{"text": Change("theirs", "mine")}]


@committing
@pytest.mark.skipif(connection.vendor == "sqlite", reason="has one writer")
def test_of_saves_at_once_each_begins_with_the_value_of_the_one_before(seen):

    def save(name):
        for number in range(10):
            post = Post.objects.get(pk=seen.pk)
            post.text = f"{name}{number}"
            post.save()

    at_once(*(lambda name=name: save(name) for name in "abc"))

    pairs = {changes["text"].old: changes["text"].new for changes in seen.got}
    assert len(pairs) == len(seen.got) == 30  # no two saves have begun with the same value
    value, length = "old", 0
    while value in pairs:
        value, length = pairs[value], length + 1
    assert (value, length) == (Post.objects.get(pk=seen.pk).text, 30)


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [pre_save, post_delete])
def test_it_is_refused_on_other_signals(connect, signal):
    with pytest.raises(TypeError) as caught:
        connect(signal, record, sender=Post, when=changed("topic"), fetch="exact")
    text = str(caught.value)
    assert text.startswith(f"{describe(record)} has fetch='exact', which works on post_save, not on ")
    assert text.endswith("fetch='lock' does.") is (signal is post_delete)
