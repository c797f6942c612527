"""Stale copies that are deleted, their events, and several processes at once."""

import pickle
import re
import threading
from collections import Counter

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import F, Manager, QuerySet
from django.db.models.deletion import Collector
from django.db.models.sql import DeleteQuery

from heliograph import NO_ROW, UNKNOWN, BeforeCommit, Change, Durable, Inline, OnCommit, changed, changes_of, created
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changed, post_bulk_delete, post_delete, pre_delete
from tests.app.models import Draft, Novel, Pinned, Post, Topic
from tests.helpers.receivers import takes_changes
from tests.helpers.sessions import wait_until_it_waits
from tests.helpers.stale_copies import WRITTEN, elsewhere, locking, moved, there
from tests.helpers.statements import statements
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

committing = pytest.mark.django_db(transaction=True, databases=["default", "other"])

locks = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks the database, and no rows")

# --- deletions ----------------------------------------------------------------------------------------------------


def test_the_deletion_of_a_stale_copy_is_sent_with_the_values_of_the_row(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=created | changed("topic"))
    post.delete()
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}]


def test_inline_batches_have_the_values_of_the_rows(receive, post, topics):
    got = []

    @receive(WRITTEN, sender=Post, when=created | changed("topic"), fetch="lock", delivery=Inline(batch=True))
    def record(batch, **kwargs):
        got.append([(event.kind, event.old("topic"), event.new("topic")) for event in batch.events])

    first, second, third = topics
    post.topic = third
    post.save()
    elsewhere(post, topic=first)
    post.delete()
    assert got == [[("updated", second.pk, third.pk)], [("deleted", first.pk, NO_ROW)]]


def test_receivers_of_subclasses_and_of_all_models_are_called_too(changes_by_lock):
    got, of_all = (
        changes_by_lock(Post, when=changed("text"), subclasses=True),
        changes_by_lock(None, when=changed("rank")),
    )
    pinned = Pinned.objects.create(rank=1, text="1")
    elsewhere(pinned, rank=2, text="2")
    pinned.save()
    elsewhere(pinned, rank=3, text="3")
    pinned.delete()
    assert [changes["text"] for changes in got if changes] == [
        Change("2", "1"),
        Change("3", NO_ROW),
        Change("3", NO_ROW),  # of the parent
    ]
    assert [changes["rank"] for changes in of_all] == [Change(2, 1), Change(3, NO_ROW)]


def test_changes_of_an_instance_that_is_deleted_are_those_of_the_row(receive, post, topics):
    got = []

    @receive(post_delete, sender=Post, when=changed("topic"), fetch="lock")
    def record(instance, **kwargs):
        got.append(changes_of(instance))

    post.delete()
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}]


def test_a_copy_that_a_receiver_keeps_of_a_deleted_instance_is_an_ordinary_one(receive, topics):
    kept = []

    @receive(post_delete, sender=Post, when=changed("topic"), fetch="lock")
    def keep(instance, **kwargs):
        kept.append(pickle.loads(pickle.dumps(instance)))

    moved(topics).delete()
    (copied,) = kept
    assert changes_of(copied) == {}
    copied.save()
    assert Post.objects.filter(pk=copied.pk).exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="it has locks of two strengths")
def test_a_save_lets_others_refer_to_the_row_and_a_deletion_does_not(changes_by_lock, post):
    changes_by_lock(Post, when=changed("topic"))
    (of_save,), (of_deletion,) = locking(post.save), locking(post.delete)
    assert "FOR NO KEY UPDATE" in of_save
    assert "FOR UPDATE" in of_deletion


def test_the_methods_of_django_are_its_own_again_when_the_receiver_has_left(connect):
    methods = [(Collector, "delete"), (Collector, "instances_with_model"), (DeleteQuery, "delete_batch")]
    before = [vars(owner)[name] for owner, name in methods]
    post_delete.connect(takes_changes, sender=Post, when=changed("topic"), fetch="lock")
    during = [vars(owner)[name] for owner, name in methods]
    post_delete.disconnect(takes_changes, sender=Post)
    assert [vars(owner)[name] for owner, name in methods] == before
    assert not {*before} & {*during}


def test_without_a_lock_it_is_sent_with_those_of_the_copy(changes_by_lock, topics):
    got = changes_by_lock(Post, when=changed("topic"), fetch=False)
    post = moved(topics)
    post.topic = topics[2]  # which is not saved
    post.delete()
    assert got == [{"topic": Change(topics[0].pk, NO_ROW)}]


def test_a_value_that_nobody_knows_is_unknown_in_a_deletion(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("topic"), fetch=False)
    Post(pk=post.pk).delete()
    assert got == [{"topic": Change(UNKNOWN, NO_ROW)}]


def test_a_row_that_is_gone_is_not_deleted_again(changes_by_lock, listen, post):
    got, others = changes_by_lock(Post, when=changed("topic")), listen(post_delete, sender=Post)
    later = changes_by_lock(Post, when=changed("topic"), delivery=OnCommit())
    Post.objects.filter(pk=post.pk)._raw_delete("default")
    post.delete()
    assert (got, later) == ([], [])
    assert len(others) == 1  # as in Django


def test_a_row_that_the_base_manager_hides_is_deleted_and_sent(changes_by_lock, post, topics, monkeypatch):
    hiding = Manager()
    hiding.model = Post
    monkeypatch.setattr(hiding, "get_queryset", lambda: QuerySet(Post).filter(text="shown"))
    monkeypatch.setitem(vars(Post._meta), "base_manager", hiding)
    got = changes_by_lock(Post, when=changed("topic"))
    assert post.delete() == (1, {"app.Post": 1})
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}]


def test_nor_is_it_in_a_batch(batches_by_lock, post):
    got = batches_by_lock(Post, when=changed("topic"))
    Post.objects.filter(pk=post.pk)._raw_delete("default")
    post.delete()
    assert got == []


def test_the_rows_of_a_query_are_read_when_they_are_deleted(changes_by_lock, receive, topics):
    got = changes_by_lock(Post, when=changed("topic"))
    posts = [Post.objects.create(topic=topics[0]) for _ in range(3)]

    @receive(pre_delete, sender=Post)
    def move(instance, **kwargs):
        elsewhere(instance, topic=topics[1])

    assert len(locking(Post.objects.filter(pk__in=[post.pk for post in posts]).delete)) <= 2
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}] * 3


def test_the_rows_of_a_cascade_are_sent_too(changes_by_lock, topics):
    got = changes_by_lock(Post, when=created | changed("topic"))
    Post.objects.create(topic=topics[0])
    key = topics[0].pk
    topics[0].delete()
    assert got == [{}, {"topic": Change(key, NO_ROW)}]


@pytest.mark.parametrize("bulk", [True, False])
def test_the_rows_of_a_cascade_are_in_a_batch_with_the_keys_that_they_had(batches_by_lock, topics, bulk):
    post = Post.objects.create(topic=topics[0])
    got = batches_by_lock(Post, when=changed("topic"), bulk=bulk)
    key = topics[0].pk
    topics[0].delete()
    (event,) = [event for batch in got for event in batch.events]
    assert (event.kind, event.pk, event.new("topic")) == ("deleted", post.pk, NO_ROW)
    assert event.old("topic") == key


def test_the_deletion_of_a_child_is_sent_with_the_fields_of_its_parent(changes_by_lock):
    got, of_parent = changes_by_lock(Pinned, when=changed("rank", "text")), changes_by_lock(Post, when=changed("text"))
    pinned = Pinned.objects.create(rank=1, text="1")
    elsewhere(pinned, rank=2, text="2")
    pinned.delete()
    assert got == [{"rank": Change(2, NO_ROW), "text": Change("2", NO_ROW)}]
    assert of_parent == [{"text": Change("2", NO_ROW)}]


def test_the_deletion_of_a_proxy_is_sent_with_the_values_of_the_row(changes_by_lock, post, topics):
    got = changes_by_lock(Draft, when=changed("topic"))
    draft = Draft.objects.get(pk=post.pk)
    elsewhere(post, topic=topics[2])
    draft.delete()
    assert got == [{"topic": Change(topics[2].pk, NO_ROW)}]


def test_a_copy_with_deferred_fields_is_sent_with_the_values_of_the_row(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=changed("topic"))
    Post.objects.only("id").get(pk=post.pk).delete()
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}]


def test_all_fields_of_a_deleted_row_are_changed(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=changed())
    post.delete()
    assert got == [{"topic": Change(topics[1].pk, NO_ROW), "text": Change("old", NO_ROW)}]


def test_a_deletion_has_an_old_value_and_no_new_one(listen, post):
    was = listen(post_delete, sender=Post, when=changed("text", was="old"), fetch="lock")
    other = listen(post_delete, sender=Post, when=changed("text", was="new"), fetch="lock")
    to = listen(post_delete, sender=Post, when=changed("text", to=None), fetch="lock")
    new = listen(WRITTEN[1], sender=Post, when=created)
    post.delete()
    assert (len(was), other, to, new) == (1, [], [], [])


def test_created_is_false_also_for_an_instance_that_was_never_saved(listen, post):
    received = listen(post_delete, sender=Post, when=created)
    rest = listen(post_delete, sender=Post, when=~created)
    Post(pk=post.pk).delete()
    assert (received, len(rest)) == ([], 1)


def test_before_the_deletion_changes_are_those_that_it_will_make(changes_by_lock, topics):
    got = changes_by_lock(Post, pre_delete, when=changed("topic"), fetch=False)
    moved(topics).delete()
    assert got == [{"topic": Change(topics[0].pk, NO_ROW)}]


def test_deletions_that_nobody_locks_send_the_statements_of_django(changes_by_lock, listen, post):
    listen(post_delete, sender=Post)
    plain = statements(post.delete)
    changes_by_lock(Topic, when=changed("posts"))
    other = Post.objects.create()
    assert len(statements(other.delete)) == len(plain)


@pytest.mark.parametrize("bulk", [True, False])
def test_in_a_batch_a_deletion_has_the_values_before_the_transaction(batches_by_lock, post, topics, bulk):
    got = batches_by_lock(Post, when=created | changed("topic"), bulk=bulk)
    with transaction.atomic():
        post.topic = topics[2]
        post.save()
        post.delete()
    ((event,),) = (batch.events for batch in got)
    assert (event.kind, event.changes) == ("deleted", {"topic": Change(topics[1].pk, NO_ROW)})
    assert (event.old("topic"), event.new("topic")) == (topics[1].pk, NO_ROW)


def test_rows_that_a_query_deletes_are_sent_with_their_own_values(batches_by_lock, topics):
    got = batches_by_lock(Post, when=created | changed("topic"), bulk=True)
    Post.objects.bulk_create([Post(topic=topic) for topic in topics])
    Post.objects.order_by("pk").update(topic=topics[0])
    Post.objects.all().delete()
    kinds = [[(event.kind, event.old("topic"), event.new("topic")) for event in batch.events] for batch in got]
    first, second, third = (topic.pk for topic in topics)
    assert kinds == [
        [("created", NO_ROW, first), ("created", NO_ROW, second), ("created", NO_ROW, third)],
        [("updated", second, first), ("updated", third, first)],
        [("deleted", first, NO_ROW)] * 3,
    ]


def test_a_row_of_a_bulk_deletion_is_sent_like_another(changes_by_lock, topics):
    got = changes_by_lock(Post, when=changed("topic"), bulk=True)
    Post.objects.bulk_create([Post(topic=topics[0])])
    Post.objects.all().delete()
    assert got == [{"topic": Change(topics[0].pk, NO_ROW)}]


# --- events -------------------------------------------------------------------------------------------------------


def test_an_event_has_the_values_before_and_after_of_each_kind(batches_by_lock, topics):
    got = batches_by_lock(Post, when=created | changed("topic"))
    first, second, third = topics
    moved, gone, same = (Post.objects.create(topic=first) for _ in range(3))
    del got[:]
    with transaction.atomic():
        made = Post.objects.create(topic=second)
        made.topic = third
        made.save()
        made.topic = first  # which is not saved
        moved.topic = second
        moved.save()
        gone.delete()
        same.save()
    (batch,) = got
    values = [(event.kind, event.old("topic"), event.new("topic_id")) for event in batch.events]
    assert values == [
        ("created", NO_ROW, third.pk),
        ("updated", first.pk, second.pk),
        ("deleted", first.pk, NO_ROW),
    ]


def test_the_value_of_a_field_that_is_not_changed_is_the_same_before_and_after(batches_by_lock, post, topics):
    (got,) = [batches_by_lock(Post, when=changed("topic", "text"))]
    post.topic = topics[2]
    post.save(update_fields=["topic"])
    (event,) = got[0].events
    assert (event.old("text"), event.new("text")) == ("old", "old")


@pytest.mark.parametrize("way", ["update", "bulk_update"])
def test_rows_of_which_a_bulk_write_sets_one_field_have_the_values_of_the_others(batches_by_lock, post, topics, way):
    got = batches_by_lock(Post, when=created | changed("topic", "text"), bulk=True)
    if way == "update":
        Post.objects.update(text="new")
    else:
        post.text = "new"
        Post.objects.bulk_update([post], ["text"])
    ((event,),) = [batch.events for batch in got]
    assert (event.old("topic"), event.new("topic")) == (topics[1].pk, topics[1].pk)
    assert (event.old("text"), event.new("text")) == ("old", "new")
    assert [batch.changes("topic") for batch in got] == [[]]


def test_null_is_a_value_and_the_absence_of_a_row_is_not(batches_by_lock):
    got = batches_by_lock(Post, when=created | changed("topic"))
    Post.objects.create(topic=None).delete()
    values = [(event.old("topic"), event.new("topic")) for batch in got for event in batch.events]
    assert values == [(NO_ROW, None), (None, NO_ROW)]


@pytest.mark.parametrize("side", ["old", "new"])
def test_values_that_the_receiver_does_not_watch_are_refused_for_each_kind(batches_by_lock, post, side):
    got = batches_by_lock(Post, when=created | changed("topic"))
    made = Post.objects.create()
    made.delete()
    post.topic = None
    post.save()
    text = (
        "The changes of app.Post.text are not known: the receiver does not watch them. Connect it with"
        " when=changed(...), or with when=created | changed(...) for new rows too."
    )
    for event in [event for batch in got for event in batch.events]:
        with pytest.raises(LookupError, match=f"^{re.escape(text)}$"):
            getattr(event, side)("text")
        with pytest.raises(FieldDoesNotExist):
            getattr(event, side)("txt")


def test_an_event_that_is_about_no_row_has_no_values(receive):
    got = []

    @receive(m2m_changed, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        got.extend(batch.events)

    Novel.objects.create().genres.clear()
    with pytest.raises(LookupError, match="is about no row"):
        got[0].old("name")


def test_all_values_of_rows_that_were_deleted_in_bulk_are_known(receive, topics):
    got = []

    @receive(post_bulk_delete, sender=Post)
    def record(batch, **kwargs):
        got.extend((event.old("topic"), event.old("text"), event.new("text")) for event in batch.events)

    Post.objects.bulk_create([Post(topic=topics[0], text="1"), Post(text="2")])
    Post.objects.order_by("pk").delete()
    assert sorted(got, key=str) == sorted([(topics[0].pk, "1", NO_ROW), (None, "2", NO_ROW)], key=str)


def test_the_changes_of_a_deleted_row_name_what_to_ask_for(batches_by_lock, post):
    got = []

    def record(batch, **kwargs):
        got.extend(batch.events)

    post_delete.connect(record, sender=Post, delivery=BeforeCommit(batch=True))
    post.delete()
    post_delete.disconnect(record, sender=Post)
    with pytest.raises(LookupError, match=re.escape("Connect it with when=changed(...)")):
        _ = got[0].changes


def test_an_event_that_a_worker_is_given_has_the_values_of_its_transaction(receive, topics):
    got = []

    @receive(WRITTEN, sender=Post, when=created | changed("topic", "text"), fetch="lock", delivery=Durable(batch=True))
    def stored_event(batch, **kwargs):
        got.extend(
            (event.kind, event.old("topic"), event.new("topic"), event.old("text"), event.new("text"))
            for event in batch.events
        )

    first, second, _ = topics
    post = Post.objects.create(topic=first, text="1")
    with transaction.atomic():
        post.text = "2"
        post.save()
    elsewhere(post, topic=second, text="later")
    results = drain()
    gone = Post.objects.create(topic=second, text="gone")
    results += drain()
    gone.delete()
    results += drain()
    assert {*map(type, results)} == {Succeeded}
    assert got == [
        ("created", NO_ROW, first.pk, NO_ROW, "1"),
        ("updated", first.pk, first.pk, "1", "2"),
        ("created", NO_ROW, second.pk, NO_ROW, "gone"),
        ("deleted", second.pk, NO_ROW, "gone", NO_ROW),
    ]


def test_a_worker_is_given_the_changes_of_a_deletion(receive, post, topics):
    got = []

    @receive(post_delete, sender=Post, when=changed("topic"), fetch="lock", delivery=Durable())
    def stored_deletion(changes, **kwargs):
        got.append(changes)

    post.delete()
    assert {*map(type, drain())} == {Succeeded}
    assert got == [{"topic": Change(topics[1].pk, NO_ROW)}]


# --- several processes --------------------------------------------------------------------------------------------


def count_inline(receive):
    """Keep the number of posts of each topic, by one receiver that is called for each row."""

    @receive(WRITTEN, sender=Post, when=created | changed("topic"), fetch="lock")
    def count(instance, changes, **kwargs):
        old, new = changes.get("topic", (NO_ROW, instance.topic_id))
        for topic, change in ((old, -1), (new, 1)):
            if topic is not NO_ROW:
                Topic.objects.filter(pk=topic).update(posts=F("posts") + change)

    return count


def count_in_batches(receive):
    """Keep it by one receiver that is called once for each transaction, and in it."""

    @receive(
        WRITTEN,
        sender=Post,
        when=created | changed("topic"),
        fetch="lock",
        bulk=True,
        delivery=BeforeCommit(batch=True),
    )
    def count(batch, **kwargs):
        changes = Counter()
        for event in batch.events:
            changes[event.old("topic")] -= 1
            changes[event.new("topic")] += 1
        topics = sorted({*changes} - {NO_ROW, None})
        [*Topic.objects.filter(pk__in=topics).order_by("pk").select_for_update()]
        for topic in topics:
            Topic.objects.filter(pk=topic).update(posts=F("posts") + changes[topic])

    return count


def patiently(write):
    """Write as an application does: again after a deadlock, and not where another one has inserted the row again."""
    while True:
        try:
            return write()
        except IntegrityError:
            return None
        except OperationalError:
            continue


def counted():
    return [topic.posts for topic in Topic.objects.order_by("pk")]


@committing
@pytest.mark.parametrize("counting", [count_inline, count_in_batches])
def test_the_deletion_of_a_stale_copy_is_counted_where_the_row_was(receive, post, topics, counting):
    Topic.objects.filter(pk=topics[1].pk).update(posts=1)
    keep = counting(receive)
    post.delete()
    assert keep
    assert counted() == there() == [0, 0, 0]


@committing
@pytest.mark.parametrize("counting", [count_inline, count_in_batches])
def test_a_count_stays_exact_under_threads_that_save_move_and_delete_stale_copies(receive, topics, counting):
    keep = counting(receive)
    posts = [Post.objects.create(topic=topic) for topic in topics for _ in range(2)]
    copies = [[Post.objects.get(pk=post.pk) for post in posts] for _ in range(4)]

    def work(number):
        for at, copy in enumerate(copies[number]):
            copy.topic = topics[(number + at) % 3]
            patiently(copy.save)
            patiently(lambda: Post.objects.create(topic=topics[number % 3]))
            if at % 3 == number % 3:
                patiently(copy.delete)
            else:
                copy.topic = topics[(number + 1) % 3]
                patiently(copy.save)

    at_once(*(lambda number=number: work(number) for number in range(4)))
    assert keep
    assert counted() == there()


@committing
@locks
def test_a_save_waits_for_another_and_is_measured_from_what_that_has_written(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=changed("topic"))
    mine, theirs = Post.objects.get(pk=post.pk), Post.objects.get(pk=post.pk)
    is_written, errors = threading.Event(), []

    def other():
        try:
            assert is_written.wait(20)
            mine.topic = topics[0]
            mine.save()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    thread.start()
    with transaction.atomic():
        theirs.topic = topics[2]
        theirs.save()
        is_written.set()
        wait_until_it_waits(thread)
    thread.join()
    assert errors == []
    first, second, third = (topic.pk for topic in topics)
    assert got == [{"topic": Change(second, third)}, {"topic": Change(third, first)}]


@committing
def test_a_row_that_is_missing_is_inserted_and_never_updated_unseen(changes_by_lock, post):
    changes_by_lock(Post, when=changed("topic"))
    Post.objects.filter(pk=post.pk)._raw_delete("default")
    verbs = [sql.partition(" ")[0] for sql in statements(post.save)]
    assert [verb for verb in verbs if verb in ("SELECT", "UPDATE", "INSERT")][-2:] == ["SELECT", "INSERT"]


@committing
def test_a_deletion_that_is_undone_at_its_commit_leaves_the_instance_its_key(receive, post):
    key = post.pk

    @receive(post_delete, sender=Post, bulk=True, delivery=BeforeCommit(batch=True))
    def refuse(batch, **kwargs):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        post.delete()
    assert post.pk == key


@committing
@locks
def test_of_two_deletions_of_one_row_one_is_sent(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("topic"))
    copies = [Post.objects.get(pk=post.pk) for _ in range(2)]
    at_once(*(copy.delete for copy in copies))
    assert len(got) == 1
