"""BeforeWrite(): one call in the transaction of a save, before its statement."""

import re
from io import StringIO

import pytest
from django.core import serializers
from django.core.management import call_command
from django.core.signals import request_finished
from django.db import connection, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from heliograph import (
    NO_ROW,
    UNKNOWN,
    BeforeCommit,
    BeforeWrite,
    OnCommit,
    ReentrancyError,
    Signal,
    capture,
    changed,
    created,
    has,
    mute,
    raw,
    receiver,
    trace,
)
from heliograph.dispatch import Called
from heliograph.signals import post_update, pre_bulk_create, pre_update
from tests.app.models import Account, Article, Draft, Pinned, Post, Ticket, Topic
from tests.helpers.errors import MishapError
from tests.helpers.patched import patched_methods
from tests.helpers.stale_copies import elsewhere
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db

in_autocommit = pytest.mark.django_db(transaction=True)


@pytest.fixture
def batches(receive):
    """Connect a receiver before writes: `received = batches(sender=Post)` is the list of the batches."""

    def connect(**options):
        received = []

        @receive(pre_save, delivery=BeforeWrite(), **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


@pytest.fixture
def moves(receive):
    """Connect a receiver of new and moving posts: `received = moves()` has the kind, old and new topic of each row."""

    def connect(sender=Post, fetch="lock"):
        received = []

        @receive(pre_save, sender=sender, when=created | changed("topic"), fetch=fetch, delivery=BeforeWrite())
        def record(sender, batch, **kwargs):
            received.append([(event.kind, event.old("topic"), event.new("topic")) for event in batch.events])

        return received

    return connect


@pytest.fixture
def topics():
    return [Topic.objects.create() for _ in range(3)]


def refuse(sender, batch, **kwargs):
    raise MishapError


def seen_by(receive, look, **options):
    """Return the list of what a receiver sees before each write."""
    seen = []

    @receive(pre_save, delivery=BeforeWrite(), **options)
    def record(sender, batch, **kwargs):
        seen.append(look())

    return seen


# --- when the call is made ----------------------------------------------------------------------------------------


@in_autocommit
def test_a_save_in_autocommit_is_a_transaction_with_the_call_in_it_before_the_row(receive):
    seen = seen_by(receive, lambda: (connection.in_atomic_block, Post.objects.count()), sender=Post)
    post = Post.objects.create()
    assert (seen, connection.in_atomic_block, post.pk is None) == ([(True, 0)], False, False)


def test_the_call_comes_after_the_receivers_of_pre_save_and_before_the_statement(receive, connect):
    order = []
    connect(pre_save, lambda **kwargs: order.append("pre_save"), sender=Post, order=1, weak=False)
    connect(post_save, lambda **kwargs: order.append("post_save"), sender=Post, weak=False)

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    def first(sender, batch, **kwargs):
        order.append(f"{Post.objects.count()} rows")

    with transaction.atomic():
        Post.objects.create()
    assert order == ["pre_save", "0 rows", "post_save"]


def test_the_row_is_locked_and_read_then_the_call_is_made_and_then_the_row_is_written(receive, topics):
    post = Post.objects.create(topic=topics[0])

    @receive(pre_save, sender=Post, when=changed("topic"), fetch="lock", delivery=BeforeWrite())
    def lock_topics(sender, batch, **kwargs):
        list(Topic.objects.all())

    post.topic = topics[1]
    with transaction.atomic():
        found = [one for one in verbs(post.save) if one in ("SELECT", "UPDATE")]
    lock = ["UPDATE"] if connection.vendor == "sqlite" else []  # takes the lock for writing, and changes no row
    assert [one for one in found if one == "SELECT"] == ["SELECT", "SELECT"]
    assert found[-2:] == ["SELECT", "UPDATE"]
    assert len(found) - 3 <= len(lock)


def test_a_receiver_is_called_once_for_a_save_and_in_its_order(receive):
    order = []

    @receive(pre_save, sender=Post, order=2, delivery=BeforeWrite())
    def second(sender, batch, **kwargs):
        order.append(2)

    @receive(pre_save, sender=Post, order=1, delivery=BeforeWrite())
    def first(sender, batch, **kwargs):
        order.append(1)

    Post.objects.create().save()
    assert order == [1, 2, 1, 2]


def test_a_send_of_the_signal_by_hand_is_no_write(batches):
    received = batches(sender=Post)
    sent = pre_save.send(Post, instance=Post(), raw=False, using="default", update_fields=None)
    assert (sent, received) == ([], [])


@in_autocommit
def test_a_connection_that_is_committed_by_hand_is_a_transaction_too(batches):
    received = batches(sender=Post)
    transaction.set_autocommit(False)
    try:
        Post.objects.create()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    is_committed = connection.vendor == "sqlite"  # by the savepoint of Django's own atomic()
    assert (len(received), Post.objects.count()) == (1, is_committed)


# --- what it is given ---------------------------------------------------------------------------------------------


def test_a_row_has_its_locked_and_its_new_values(moves, topics):
    received = moves()
    post = Post.objects.create(topic=topics[0])
    post.topic = topics[1]
    post.save()
    post.save()
    first, second, _ = (topic.pk for topic in topics)
    assert received == [[("created", NO_ROW, first)], [("updated", first, second)]]


def test_a_stale_copy_that_is_saved_over_a_moved_row_is_a_change(moves, topics):
    post = Post.objects.create(topic=topics[0])
    elsewhere(post, topic=topics[1])
    received = moves()
    post.save()
    assert received == [[("updated", topics[1].pk, topics[0].pk)]]


def test_a_stale_copy_that_sets_what_the_row_has_already_is_none(moves, topics):
    post = Post.objects.create(topic=topics[0])
    elsewhere(post, topic=topics[1])
    received = moves()
    post.topic = topics[1]
    post.save()
    assert received == []


def test_an_event_has_what_a_save_carries(batches):
    received = batches(sender=Post)
    post = Post.objects.create()
    post.save(update_fields=["text"])
    kwargs = [dict(batch.events[0].kwargs) for batch in received]
    assert [(one["raw"], one["using"], one["created"]) for one in kwargs] == [
        (False, "default", True),
        (False, "default", False),
    ]
    assert [one["update_fields"] and {*one["update_fields"]} for one in kwargs] == [None, {"text"}]
    assert [batch.instances for batch in received] == [[post], [post]]
    assert [batch.events[0].sender for batch in received] == [Post, Post]


def test_a_new_row_has_no_key_yet(receive):
    keys = []

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    def record(sender, batch, **kwargs):
        keys.extend(batch.pks)

    Post.objects.create()
    assert keys == [None]


def test_a_field_that_is_not_saved_has_not_changed(moves, topics):
    post = Post.objects.create(topic=topics[0])
    received = moves()
    post.topic = topics[1]
    post.save(update_fields=["text"])
    assert received == []
    post.save(update_fields=["topic"])
    assert received == [[("updated", topics[0].pk, topics[1].pk)]]


def test_a_value_that_only_the_database_can_compute_is_unknown(receive):
    account = Account.objects.create(balance=1)
    received = []

    @receive(pre_save, sender=Account, when=changed("balance"), fetch="lock", delivery=BeforeWrite())
    def record(sender, batch, **kwargs):
        received.append((batch.events[0].old("balance"), batch.events[0].new("balance")))

    account.balance = F("balance") + 1
    account.save()
    assert received == [(1, UNKNOWN)]


def test_a_condition_on_the_instance_is_asked_of_what_will_be_written(batches):
    received = batches(sender=Post, when=has(text="yes"))
    post = Post.objects.create()
    post.text = "yes"
    post.save()
    assert len(received) == 1


# --- whether the row is new ---------------------------------------------------------------------------------------

KEYS = {
    "a row that is there": (True, "lock", "updated"),
    "a row that is not there": (False, "lock", "created"),
    "a row that is there, not locked": (True, None, "created"),  # which Django believes too
    "a row that is not there, not locked": (False, None, "created"),
}


@pytest.mark.parametrize(("is_there", "fetch", "kind"), KEYS.values(), ids=KEYS)
def test_a_key_that_was_set_by_hand_is_a_new_row_or_not(moves, topics, is_there, fetch, kind):
    key = 7
    if is_there:
        Post.objects.create(pk=key, topic=topics[0])
    received = moves(fetch=fetch)
    Post(pk=key, topic=topics[1]).save()
    assert [[row[0] for row in batch] for batch in received] == [[kind]]


def test_a_loaded_row_that_another_has_deleted_is_new_if_it_is_locked(moves, topics):
    post = Post.objects.create(topic=topics[0])
    Post.objects.all().delete()
    received = moves()
    post.save()
    assert received == [[("created", NO_ROW, topics[0].pk)]]


def test_a_save_that_can_only_insert_is_a_new_row(batches):
    received = batches(sender=Ticket)
    Ticket.objects.create().save(force_insert=False)
    Ticket().save(force_insert=True)
    assert [batch.events[0].kind for batch in received] == ["created", "updated", "created"]


def test_a_save_that_can_only_update_is_no_new_row(batches):
    post = Post.objects.create()
    received = batches(sender=Post)
    Post(pk=post.pk).save(force_update=True)
    Post(pk=post.pk).save(update_fields=["text"])
    assert [batch.events[0].kind for batch in received] == ["updated", "updated"]


# --- rows in several tables, proxies, fixtures --------------------------------------------------------------------


def test_a_multi_table_child_is_one_call_before_the_first_of_its_tables(receive):
    seen = seen_by(receive, lambda: [*Post.objects.values_list("text", "pinned__rank")], sender=Pinned)
    pinned = Pinned.objects.create(text="old", rank=1)
    pinned.text, pinned.rank = "new", 2
    pinned.save()
    assert seen == [[], [("old", 1)]]


@pytest.mark.parametrize("is_atomic", [True, False])
@in_autocommit
def test_a_multi_table_child_has_its_locked_values(moves, topics, is_atomic):
    pinned = Pinned.objects.create(topic=topics[0])
    elsewhere(Post.objects.get(), topic=topics[1])
    received = moves(sender=Pinned)
    if is_atomic:
        with transaction.atomic():
            pinned.save()
    else:
        pinned.save()
    assert received == [[("updated", topics[1].pk, topics[0].pk)]]


def test_receivers_of_a_model_and_of_all_that_inherit_from_it_are_each_called_once(batches):
    own, of_all = batches(sender=Pinned), batches(sender=Post, subclasses=True)
    Pinned.objects.create()
    Post.objects.create()
    assert [len(batch.events) for batch in own] == [1]
    assert [batch.events[0].sender for batch in of_all] == [Pinned, Post]


def test_a_receiver_of_all_models_is_called_for_each(batches):
    received = batches()
    Pinned.objects.create()
    Topic.objects.create()
    assert [batch.events[0].sender for batch in received] == [Pinned, Topic]


def test_a_proxy_is_a_sender_of_its_own(batches):
    received, of_model = batches(sender=Draft), batches(sender=Post)
    Draft.objects.create()
    Post.objects.create()
    assert [batch.events[0].sender for batch in received] == [Draft]
    assert [batch.events[0].sender for batch in of_model] == [Post]


@pytest.mark.parametrize(("when", "calls"), [(None, 1), (~raw, 0)])
def test_a_row_of_a_fixture_is_a_write_that_a_condition_may_leave_out(batches, when, calls):
    post = Post.objects.create(text="old")
    fixture = serializers.serialize("json", [post])
    received = batches(sender=Post, when=when)
    for one in serializers.deserialize("json", fixture):
        one.save()
    assert [batch.events[0].kwargs["raw"] for batch in received] == [True] * calls


def test_a_row_of_a_multi_table_child_in_a_fixture_is_a_call(batches):
    pinned = Pinned.objects.create()
    fixture = serializers.serialize("json", [pinned])
    received = batches(sender=Pinned)
    for one in serializers.deserialize("json", fixture):
        one.save()
    assert len(received) == 1


def test_a_row_of_a_fixture_is_compared_with_the_locked_row(moves, topics):
    post = Post.objects.create(topic=topics[0])
    fixture = serializers.serialize("json", [post])
    elsewhere(post, topic=topics[1])
    received = moves()
    for one in serializers.deserialize("json", fixture):
        one.save()
    assert received == [[("updated", topics[1].pk, topics[0].pk)]]


# --- errors -------------------------------------------------------------------------------------------------------


@in_autocommit
def test_an_error_reaches_the_caller_and_nothing_is_written(receive):
    post = Post.objects.create(text="old")

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    def refuse(sender, batch, **kwargs):
        Topic.objects.create()
        raise MishapError

    new = Post(text="new")
    with pytest.raises(MishapError):
        new.save()
    post.text = "new"
    with pytest.raises(MishapError):
        post.save()
    assert (new.pk, new._state.adding) == (None, True)
    assert [*Post.objects.values_list("text", flat=True)] == ["old"]
    assert not Topic.objects.exists()


def test_an_error_in_a_test_leaves_the_test_going(receive):
    receive(pre_save, sender=Post, delivery=BeforeWrite())(refuse)
    with pytest.raises(MishapError):
        Post.objects.create()
    assert not Post.objects.exists()


def test_an_error_in_a_block_is_caught_around_a_block_of_its_own(receive):
    receive(pre_save, sender=Post, delivery=BeforeWrite())(refuse)
    with transaction.atomic():
        with pytest.raises(MishapError), transaction.atomic():
            Post.objects.create()
        Topic.objects.create()
    assert (Post.objects.count(), Topic.objects.count()) == (0, 1)


@in_autocommit
def test_what_waits_for_the_commit_is_not_called_after_an_error(receive, batches_at_the_end):
    waiting = batches_at_the_end(post_save, policy=OnCommit, sender=Post)
    receive(pre_save, sender=Post, delivery=BeforeWrite())(refuse)
    with pytest.raises(MishapError):
        Post.objects.create()
    assert waiting == []


@in_autocommit
def test_all_receivers_of_a_transaction_are_in_one(receive):
    seen = []
    receive(pre_save, sender=Post, delivery=BeforeWrite())(lambda sender, batch, **kwargs: Topic.objects.create())

    @receive(post_save, sender=Post, delivery=BeforeCommit())
    def refuse(sender, **kwargs):
        seen.append((Topic.objects.count(), Post.objects.count()))
        raise MishapError

    with pytest.raises(MishapError):
        Post.objects.create()
    assert (seen, Topic.objects.count(), Post.objects.count()) == ([(1, 1)], 0, 0)


# --- what is around a call ----------------------------------------------------------------------------------------


def test_a_receiver_that_saves_its_row_is_not_called_again_for_it(receive, batches):
    received = []

    @receive(pre_save, sender=Post, delivery=BeforeWrite(), order=1)
    def save_again(sender, batch, **kwargs):
        received.append(1)
        batch.instances[0].save()

    others = batches(sender=Post, order=2)
    post = Post()
    post.save()
    post.save()
    assert (received, len(others), Post.objects.count()) == ([1, 1], 4, 1)


def test_a_receiver_that_says_so_is_an_error_where_it_is_called_again(receive):
    @receive(pre_save, sender=Post, reentrant="raise", delivery=BeforeWrite())
    def save_again(sender, batch, **kwargs):
        batch.instances[0].save()

    with pytest.raises(ReentrancyError):
        Post.objects.create()


def test_a_receiver_is_called_for_other_rows_that_it_saves(receive):
    received = []

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    def add_one(sender, batch, **kwargs):
        received.append(batch.instances[0].text)
        if batch.instances[0].text == "first":
            Post.objects.create(text="second")

    Post.objects.create(text="first")
    assert received == ["first", "second"]


def test_a_muted_receiver_is_not_called(batches):
    received = batches(sender=Post)
    with mute(pre_save):
        Post.objects.create()
    assert received == []


def test_a_save_is_one_send_of_the_signal(batches):
    received = batches(sender=Post)
    with capture(pre_save) as sent:
        Post.objects.create()
    assert (len(received), len(sent)) == (1, 1)


def test_observers_see_the_call(batches):
    batches(sender=Post)
    with trace() as traced:
        Post.objects.create()
    assert [event.signal for event in traced.events if isinstance(event, Called)] == [pre_save]


def test_a_receiver_for_another_database_is_not_called(batches):
    received = batches(sender=Post, using="other")
    Post.objects.create()
    assert received == []


@pytest.mark.django_db(databases=["default", "other"])
def test_a_receiver_is_given_the_database_of_the_write(receive):
    received = []

    @receive(pre_save, sender=Post, using="other", delivery=BeforeWrite())
    def record(sender, batch, using, **kwargs):
        received.append(using)

    Post.objects.create()
    Post.objects.using("other").create()
    assert received == ["other"]


def test_a_sender_may_be_named(batches):
    received = batches(sender="app.Post")
    Post.objects.create()
    assert len(received) == 1


def test_an_async_receiver_has_run_before_the_row_is_written(receive):
    received = []

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    async def record(sender, batch, **kwargs):
        received.append(batch.pks)

    Post.objects.create()
    assert received == [[None]]


@in_autocommit
async def test_a_save_from_async_code_is_one_call(receive, async_database):
    received = []

    @receive(pre_save, sender=Post, delivery=BeforeWrite())
    async def record(sender, batch, **kwargs):
        received.append(batch.events[0].kind)

    await Post.objects.acreate()
    assert received == ["created"]


def test_the_list_of_signals_shows_the_policy(batches):
    batches(sender=Post, when=changed("topic"), fetch="lock")
    out = StringIO()
    call_command("signals", "list", "pre_save", stdout=out)
    assert "app.Post  when=changed('topic'), delivery=BeforeWrite(), fetch='lock'" in out.getvalue()


# --- what it costs ------------------------------------------------------------------------------------------------


def test_a_receiver_that_asks_for_no_lock_takes_no_statement(batches, django_assert_num_queries):
    received = batches(sender=Post)
    with transaction.atomic(), django_assert_num_queries(1):
        Post.objects.create()
    assert len(received) == 1


@in_autocommit
def test_a_model_without_receivers_is_written_as_ever(batches, django_assert_num_queries):
    batches(sender=Post)
    with django_assert_num_queries(1):
        Topic.objects.create()
    assert not [one for one in patched_methods() if one.owner is Topic]


def test_the_patches_go_with_the_last_receiver():
    def record(sender, batch, **kwargs): ...

    before = patched_methods()
    for bulk in (False, True):
        pre_save.connect(record, sender=Post, when=changed("topic"), fetch="lock", bulk=bulk, delivery=BeforeWrite())
        assert (Post, "_save_table") in [(one.owner, one.name) for one in patched_methods()]
        pre_save.disconnect(record, sender=Post)
        assert patched_methods() == before


# --- mistakes -----------------------------------------------------------------------------------------------------


def of_a_batch(sender, batch, **kwargs): ...


def of_a_row(sender, instance, **kwargs): ...


def of_both(sender, batch, instance, **kwargs): ...


def of_changes(sender, batch, changes, **kwargs): ...


SAVES_ONLY = (
    "delivery=BeforeWrite() is a call before the statement of a write, with the rows that it will write. It works on"
    " pre_save, with bulk=True for bulk writes too, and not on {}. Connect it to pre_save, or take BeforeCommit(),"
    " which is called after the write in its transaction."
)
OTHERS = [post_save, pre_delete, post_delete, m2m_changed, request_finished, pre_update, post_update, pre_bulk_create]


@pytest.mark.parametrize("signal", OTHERS, ids=str)
def test_another_signal_is_refused_where_it_is_written(signal):
    name = re.escape(SAVES_ONLY).replace(r"\{\}", r"\w+")
    with pytest.raises(TypeError, match=name):
        signal.connect(of_a_batch, delivery=BeforeWrite())
    assert of_a_batch not in [row.receiver() for row in signal._table.connections()]


def test_a_signal_of_ones_own_is_refused():
    with pytest.raises(TypeError, match=re.escape(SAVES_ONLY.format("paid"))):
        Signal(name="paid").connect(of_a_batch, delivery=BeforeWrite())


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (of_a_row, {}, "has no parameter named batch, which delivery=BeforeWrite() gives it: add the parameter"),
        (of_both, {}, "asks for 'instance', which a batch has once for each event: take it from batch.events."),
        (of_changes, {}, "asks for 'changes', which a batch has once for each event: take it from batch.events."),
        (of_a_batch, {"fetch": "lock"}, "fetch= asks for old values of no field: add when=changed(...)"),
        (of_a_batch, {"writes": ["text"]}, "writes= is for a receiver that runs before the save"),
    ],
)
def test_a_receiver_that_makes_no_sense_is_refused_where_it_is_written(function, options, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        receiver(pre_save, sender=Post, delivery=BeforeWrite(), **options)(function)
    assert function not in [row.receiver() for row in pre_save._table.connections()]


def test_a_lock_for_another_receiver_of_pre_save_says_which_policy_can_have_it():
    text = "Rows are read right before they are written, which is later than that. A receiver with"
    with pytest.raises(TypeError, match=re.escape(f"{text} delivery=BeforeWrite() is called then.")):
        receiver(pre_save, sender=Article, when=changed("words"), fetch="lock")(of_a_row)


def test_it_has_no_options():
    with pytest.raises(TypeError, match="batch"):
        BeforeWrite(batch=True)


def test_it_is_a_value():
    assert (repr(BeforeWrite()), BeforeWrite()) == ("BeforeWrite()", BeforeWrite())
