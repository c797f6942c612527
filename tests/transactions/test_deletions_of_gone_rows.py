"""Deletions in a batch: one for each row that was there, with the values that the row had."""

import pytest
from django.db import OperationalError, transaction

from heliograph import NO_ROW, BeforeCommit, Durable, Inline, OnCommit, changed, created
from heliograph.outbox.work.runner import drain
from heliograph.signals import post_delete
from tests.app.models import Audiobook, Pinned, Post, Topic
from tests.helpers.stale_copies import elsewhere, moved
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

POLICIES = [BeforeCommit, OnCommit, Inline, Durable]
each_policy = pytest.mark.parametrize("policy", POLICIES)
each_bulk = pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "each"])


@pytest.fixture
def deletions(receive):
    """Connect a receiver of batches: `got = deletions(Post, "topic")` has the old and new values of the deleted rows.

    A worker makes the calls of `Durable` in `drain()`.
    """

    def connect(sender, *names, policy=BeforeCommit, **options):
        got = []

        @receive(post_delete, sender=sender, when=created | changed(*names), delivery=policy(batch=True), **options)
        def record_deletion(batch, **kwargs):
            got.extend((event.kind, *((event.old(name), event.new(name)) for name in names)) for event in batch.events)

        return got

    return connect


@each_policy
@each_bulk
@pytest.mark.parametrize("model", [Post, Pinned])
def test_a_row_that_is_gone_is_not_deleted_again(deletions, model, policy, bulk):
    stale = model.objects.create()
    model.objects.filter(pk=stale.pk).delete()
    got = deletions(model, "text", policy=policy, bulk=bulk)
    assert stale.delete()[0] == 0
    drain()
    assert got == []


@each_policy
@each_bulk
def test_rows_that_are_there_are_deleted_beside_rows_that_are_gone(deletions, policy, bulk):
    gone, there = Post.objects.create(text="gone"), Post.objects.create(text="there")
    Post.objects.filter(pk=gone.pk)._raw_delete("default")
    got = deletions(Post, "text", policy=policy, bulk=bulk)
    with transaction.atomic():
        for one in (gone, there):
            one.delete()
    drain()
    assert got == [("deleted", ("there", NO_ROW))]


@each_policy
@each_bulk
def test_a_stale_copy_is_deleted_with_the_values_to_which_the_row_has_moved(deletions, policy, bulk):
    topics = [Topic.objects.create() for _ in range(2)]
    stale = moved(topics)
    elsewhere(stale, text="moved")
    stale.text = "unsaved"
    got = deletions(Post, "topic", "text", policy=policy, bulk=bulk)
    stale.delete()
    drain()
    assert got == [("deleted", (topics[1].pk, NO_ROW), ("moved", NO_ROW))]


@each_policy
def test_a_stale_copy_of_a_child_too(deletions, policy):
    stale = Audiobook.objects.create(name="old", minutes=1)
    Audiobook.objects.update(name="new", minutes=2)
    got = deletions(Audiobook, "name", "minutes", policy=policy)
    stale.delete()
    drain()
    assert got == [("deleted", ("new", NO_ROW), (2, NO_ROW))]


@each_policy
@each_bulk
def test_of_threads_that_delete_one_row_one_has_deleted_it(deletions, policy, bulk):
    post = Post.objects.create(text="a")
    got = deletions(Post, "text", policy=policy, bulk=bulk)
    copies = [Post.objects.get(pk=post.pk) for _ in range(3)]
    at_once(*(_until_it_is_done(copy.delete) for copy in copies))
    drain()
    assert got == [("deleted", ("a", NO_ROW))]


def _until_it_is_done(function):
    def call():
        while True:
            try:
                return function()
            except OperationalError:  # SQLite has one writer, and MariaDB may see a deadlock
                pass

    return call
