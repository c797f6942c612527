"""Copies of a row that somebody else has written since: what receivers with fetch="lock" are given of their saves."""

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.db import DatabaseError, connection, transaction

from heliograph import NO_ROW, UNKNOWN, BeforeCommit, Change, changed, created
from heliograph.dispatch.describe import describe, full_name
from heliograph.flow.listing import lines
from heliograph.flow.receiver_filters import Filters
from heliograph.signals import post_delete, post_save, pre_delete, pre_save
from tests.app.models import Checked, Draft, Pinned, Post, Seat, Ticket, Topic
from tests.helpers.receivers import record
from tests.helpers.stale_copies import WRITTEN, elsewhere, locking, moved
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(databases=["default", "other"])

committing = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- saves --------------------------------------------------------------------------------------------------------


def test_the_save_of_a_stale_copy_that_reverts_a_field_is_sent_with_the_value_of_the_row(changes_by_lock, post):
    got = changes_by_lock(Post, when=created | changed("text"))
    elsewhere(post, text="theirs")
    post.topic = None
    post.save()
    assert got == [{"text": Change("theirs", "old")}]


def test_a_field_that_the_row_has_already_is_no_change(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=changed("topic"))
    post.topic = topics[1]
    post.save()
    assert got == []


def test_without_a_lock_a_copy_is_measured_from_what_it_has_loaded(changes_by_lock, topics):
    got = changes_by_lock(Post, when=changed("topic"), fetch=False)
    post = moved(topics)
    post.topic = topics[1]
    post.save()
    assert got == [{"topic": Change(topics[0].pk, topics[1].pk)}]


def test_all_changes_are_those_of_the_row(changes_by_lock, post, topics):
    got = changes_by_lock(Post)
    elsewhere(post, text="theirs")
    post.topic = topics[2]
    post.save()
    assert got == [{"topic": Change(topics[1].pk, topics[2].pk), "text": Change("theirs", "old")}]


def test_changed_from_a_value_asks_for_the_value_of_the_row(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("text", was="theirs", to="old"))
    elsewhere(post, text="theirs")
    post.save()
    assert got == [{"text": Change("theirs", "old")}]


def test_a_save_of_some_fields_changes_none_of_the_others(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed())
    elsewhere(post, text="theirs")
    post.topic = None
    post.save(update_fields=["topic"])
    assert [list(changes) for changes in got] == [["topic"]]


def test_and_what_it_did_not_write_is_measured_from_the_row_later(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("text"))
    elsewhere(post, text="theirs")
    post.save(update_fields=["topic"])
    post.save()
    assert got == [{"text": Change("theirs", "old")}]


def test_fields_that_were_not_loaded_are_no_change(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("topic", "text"))
    copy = Post.objects.only("text").get(pk=post.pk)
    elsewhere(post, topic=None, text="theirs")
    copy.text = "mine"
    copy.save()
    assert got == [{"text": Change("theirs", "mine")}]


def test_an_instance_made_with_the_key_of_a_row_is_compared_with_that_row(changes_by_lock, post, topics):
    got = changes_by_lock(Post, when=changed("topic"))
    Post(pk=post.pk, topic=topics[2]).save()
    assert got == [{"topic": Change(topics[1].pk, topics[2].pk)}]


def test_a_row_that_is_gone_is_created_by_the_save(changes_by_lock, post):
    got = changes_by_lock(Post, when=created | changed("topic"))
    elsewhere(post, topic=None)
    Post.objects.filter(pk=post.pk)._raw_delete("default")
    post.save()
    assert got == [{}]


def test_no_receiver_is_called_for_a_forced_update_of_a_row_that_is_gone(changes_by_lock, post):
    got = changes_by_lock(Post, when=created | changed("topic"))
    Post.objects.filter(pk=post.pk)._raw_delete("default")
    with pytest.raises(DatabaseError):
        post.save(force_update=True)
    assert got == []


def test_a_new_row_needs_no_query(changes_by_lock, topics):
    changes_by_lock(Post, when=created | changed("topic"))
    changes_by_lock(Ticket, when=changed("state"))
    changes_by_lock(Pinned, when=changed("rank"))
    assert locking(lambda: Post.objects.create(topic=topics[0])) == []
    assert locking(lambda: Ticket.objects.create()) == []
    assert locking(lambda: Post(pk=1_000_000).save(force_insert=True)) == []
    parent = Post.objects.create()
    assert locking(lambda: Pinned(post_ptr=parent, rank=1).save(force_insert=True)) == []


def test_nobody_pays_for_a_lock_that_nobody_asked_for(changes_by_lock, post):
    changes_by_lock(Post, when=changed("topic"), fetch=False)
    changes_by_lock(Topic, when=changed("posts"))
    assert locking(post.save) == []


def test_a_row_is_read_once_for_all_receivers(changes_by_lock, post):
    changes_by_lock(Post, when=changed("topic"))
    changes_by_lock(Post, when=changed("text"))
    assert len(locking(post.save)) == 1


def test_the_row_is_not_read_once_the_receiver_has_left(connect, post):
    def record(**kwargs):
        """A receiver."""

    connect(post_save, record, sender=Post, when=changed("topic"), fetch="lock")
    post_save.disconnect(record, sender=Post)
    assert locking(post.save) == []


@pytest.mark.parametrize("field", ["rank", "text"])
def test_a_child_is_locked_in_the_tables_of_the_fields(changes_by_lock, field):
    got = changes_by_lock(Pinned, when=changed("rank", "text"))
    pinned = Pinned.objects.create(rank=1, text="1")
    stale = Pinned.objects.get(pk=pinned.pk)
    elsewhere(pinned, **{field: 2})
    stale.save()
    old = 2 if field == "rank" else "2"
    assert got == [{field: Change(old, type(old)(1))}]


def test_a_proxy_is_measured_from_the_row(changes_by_lock, post):
    got = changes_by_lock(Draft, when=changed("topic"))
    Draft.objects.get(pk=post.pk)
    draft = Draft(pk=post.pk, topic=None)
    draft.save()
    assert [changes["topic"].new for changes in got] == [None]
    assert got[0]["topic"].old is not UNKNOWN


def test_a_row_with_a_key_of_two_columns_is_locked(changes_by_lock):
    got = changes_by_lock(Seat, when=created | changed("guest"))
    seat = Seat.objects.create(row=1, number=2, guest="Ada")
    elsewhere(seat, guest="Grace")
    seat.save()
    elsewhere(seat, guest="Joan")
    seat.delete()
    assert got == [{}, {"guest": Change("Grace", "Ada")}, {"guest": Change("Joan", NO_ROW)}]


def test_changes_of_a_model_that_looks_before_it_updates_are_sent_too(changes_by_lock):
    got = changes_by_lock(Checked, when=changed("name"))
    checked = Checked.objects.create(name="Ada")
    elsewhere(checked, name="Grace")
    checked.save()
    assert got == [{"name": Change("Grace", "Ada")}]


def test_a_save_to_another_database_is_measured_from_its_row_there(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("text"))
    Post.objects.using("other").create(pk=post.pk, text="there")
    post.topic = None
    post.save(using="other")
    assert got == [{"text": Change("there", "old")}]


def test_a_fixture_is_measured_from_the_row(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("text"))
    text = serializers.serialize("json", [post])
    elsewhere(post, text="theirs")
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert got == [{"text": Change("theirs", "old")}]


def test_what_receivers_before_the_save_write_is_part_of_the_row(changes_by_lock, receive, post):
    got = changes_by_lock(Post, when=changed("text"))

    @receive(pre_save, sender=Post)
    def write(instance, **kwargs):
        elsewhere(instance, text="written")

    post.save()
    assert got == [{"text": Change("written", "old")}]


def test_a_save_inside_of_a_save_is_measured_from_what_that_has_written(changes_by_lock, receive, post):
    got = changes_by_lock(Post, when=changed("text"))

    @receive(post_save, sender=Post, when=changed("text", to="mine"))
    def again(instance, **kwargs):
        instance.text = "again"
        instance.save()

    post.text = "mine"
    post.save()
    assert got == [{"text": Change("old", "mine")}, {"text": Change("mine", "again")}]


@committing
def test_asave_locks_the_row(changes_by_lock, post):
    got = changes_by_lock(Post, when=changed("text"))
    elsewhere(post, text="theirs")
    async_to_sync(post.asave)()
    async_to_sync(post.adelete)()
    assert got == [{"text": Change("theirs", "old")}, {"text": Change("old", NO_ROW)}]


@committing
@pytest.mark.parametrize("model", [Post, Pinned])
def test_in_autocommit_the_row_is_read_in_the_transaction_of_its_write(changes_by_lock, model):
    changes_by_lock(model, post_save, when=changed("text"))
    made = model.objects.create(text="1")
    sql = [one for one in statements(made.save) if not one.startswith("UPDATE") or "WHERE 0 = 1" not in one]
    assert sql[0].startswith("BEGIN") or connection.vendor == "mysql"  # whose BEGIN Django does not show
    assert [one.partition(" ")[0] for one in sql if not one.startswith("BEGIN")][:2] == ["SELECT", "UPDATE"]
    assert sql[-1].startswith(("COMMIT", "UPDATE"))


only_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases lock rows")


def locking_the_database(operation):
    return [sql for sql in statements(operation) if sql == "BEGIN IMMEDIATE" or "WHERE 0 = 1" in sql]


@only_sqlite
@committing
def test_each_call_of_a_function_that_is_a_transaction_locks_the_database_once_before_it_reads(changes_by_lock, post):
    changes_by_lock(Post, post_save, when=changed("text"))

    @transaction.atomic
    def save_twice():
        post.save()
        post.save()

    assert [len(locking_the_database(save_twice)) for _ in range(3)] == [1, 1, 1]


@only_sqlite
@committing
@pytest.mark.parametrize("options", [{}, {"bulk": True}, {"bulk": True, "delivery": BeforeCommit()}])
def test_a_transaction_that_began_with_the_lock_of_the_database_does_not_take_it_again(changes_by_lock, post, options):
    changes_by_lock(Post, when=changed("text"), **options)
    assert locking_the_database(post.delete) == ["BEGIN IMMEDIATE"]


@committing
def test_in_autocommit_receivers_are_called_after_the_commit_as_in_django(receive, post):
    seen = []

    @receive(post_save, sender=Post, when=changed("text"), fetch="lock")
    def look(**kwargs):
        seen.append(connection.in_atomic_block)

    post.text = "mine"
    post.save()
    assert seen == [False]


@committing
def test_before_the_commit_a_receiver_is_in_the_transaction_of_the_row(receive, changes_by_lock, post):
    seen = []

    @receive(post_save, sender=Post, when=changed("text"), fetch="lock", delivery=BeforeCommit())
    def look(changes, **kwargs):
        seen.append((connection.in_atomic_block, changes))
        raise ValueError("no")

    elsewhere(post, text="theirs")
    with pytest.raises(ValueError, match="no"):
        post.save()
    assert seen == [(True, {"text": Change("theirs", "old")})]
    assert Post.objects.get(pk=post.pk).text == "theirs"


@committing
def test_a_save_that_fails_leaves_no_transaction_and_the_memory_as_it_was(changes_by_lock, receive, post):
    got = changes_by_lock(Post, when=changed("text"))
    post.text, post.topic_id = "mine", 1_000_000
    with pytest.raises(DatabaseError):
        post.save()
    assert not connection.in_atomic_block
    post.topic_id = None
    post.save()
    assert [changes["text"] for changes in got][-1] == Change("old", "mine")


# --- what is shown, and mistakes ------------------------------------------------------------------------------------


def refusal(connect, signal, **options):
    with pytest.raises((TypeError, ValueError)) as caught:
        connect(signal, record, **options)
    return str(caught.value)


@pytest.mark.parametrize("signal", [pre_save, pre_delete], ids=["pre_save", "pre_delete"])
def test_a_lock_is_refused_on_a_signal_before_the_row_is_read(connect, signal):
    text = refusal(connect, signal, sender=Post, when=changed("topic"), fetch="lock")
    assert text.startswith(f"{describe(record)} has fetch='lock', which works on post_save and post_delete, not on ")
    advice = " A receiver with delivery=BeforeWrite() is called then." if signal is pre_save else ""
    assert text.endswith(f" Rows are read right before they are written, which is later than that.{advice}")


def test_a_lock_for_no_field_is_refused(connect):
    text = "fetch= asks for old values of no field: add when=changed(...) or a parameter named changes."
    assert refusal(connect, post_delete, sender=Post, when=created, fetch="lock") == text


@pytest.mark.parametrize("signal", WRITTEN, ids=["post_save", "post_delete"])
def test_the_list_of_receivers_shows_a_lock_once_as_it_was_written(connect, signal):
    connect(signal, record, sender=Post, when=changed("topic"), fetch="lock")
    (row,) = [line for line in lines(Filters([full_name(record)])) if "record" in line]
    assert row.endswith("app.Post  when=changed('topic'), fetch='lock'")
