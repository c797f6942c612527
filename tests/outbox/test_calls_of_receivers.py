"""The call of a durable receiver: its delivery, its name, async receivers, and those that cause themselves."""

import datetime

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from heliograph import NO_ROW, Discard, Durable, RetryAfter, Signal, changed, created
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, Succeeded
from heliograph.outbox.work.runner import drain, run_one
from tests.app.models import Article, Genre
from tests.helpers.attempts import at_once, fail, send, sent, types
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# --- what a receiver is given --------------------------------------------------------------------------------------


def test_a_receiver_is_given_its_delivery(act):
    calls = act()
    send()
    drain()
    assert [(one.id, one.attempt) for one in calls] == [(row().pk, 1)]


def test_the_idempotency_key_is_the_same_in_all_attempts(act):
    calls = act(fail, retry=at_once(3))
    send()
    drain()
    assert len({one.idempotency_key for one in calls}) == 1


def test_another_delivery_has_another_one(act):
    calls = act()
    send(1, 2)
    drain()
    assert len({one.idempotency_key for one in calls}) == 2


def test_it_is_the_same_when_the_receiver_was_renamed_between_two_attempts(act):
    calls = act(fail, retry=at_once(3), aliases="shop.receivers.old")
    send()
    drain(limit=1)
    Delivery.objects.update(receiver="shop.receivers.old")
    drain(limit=1)
    assert (len(calls), len({one.idempotency_key for one in calls})) == (2, 1)


def test_deliveries_of_one_send_to_two_receivers_have_different_ones(receive):
    keys = []

    @receive(sent, delivery=Durable())
    def one(sender, delivery, **kwargs):
        keys.append(delivery.idempotency_key)

    @receive(sent, delivery=Durable())
    def two(sender, delivery, **kwargs):
        keys.append(delivery.idempotency_key)

    send()
    drain()
    assert len({*keys}) == 2


def test_deliveries_of_two_databases_have_different_ones(act):
    calls = act()
    send(using="default")
    send(using="other")
    drain()
    drain(using="other")
    assert len({one.idempotency_key for one in calls}) == 2


def test_a_receiver_of_a_declared_signal_may_ask_for_its_delivery(receive):
    @Signal.define
    def shipped(sender, *, carrier):
        """Something has left."""

    attempts = []

    @receive(shipped, delivery=Durable())
    def record(sender, carrier, delivery, **kwargs):
        attempts.append((carrier, delivery.attempt))

    shipped.send(sender=Article, carrier="post")
    drain()
    assert attempts == [("post", 1)]


def test_a_receiver_of_a_batch_may_ask_for_its_delivery(receive):
    attempts = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def record(sender, batch, delivery, **kwargs):
        attempts.append((len(batch.instances), delivery.attempt))

    Article.objects.create()
    drain()
    assert attempts == [(1, 1)]


def test_one_that_does_not_ask_is_called_with_what_was_sent_and_no_more(receive):
    received = []

    @receive(sent, delivery=Durable())
    def record(**payload):
        received.append(payload)

    send(5)
    drain()
    assert received == [{"signal": sent, "sender": None, "using": "default", "number": 5}]


# --- names --------------------------------------------------------------------------------------------------------


def test_a_receiver_takes_the_deliveries_of_its_old_name(numbers):
    received = numbers(aliases=("shop.receivers.old_name", "shop.old_module.old_name"))
    send(1, 2)
    first, second = Delivery.objects.all()
    for one, name in ((first, "shop.receivers.old_name"), (second, "shop.old_module.old_name")):
        Delivery.objects.filter(pk=one.pk).update(receiver=name)
    assert types(drain()) == [Succeeded, Succeeded]
    assert received == [1, 2]


def test_an_alias_may_be_one_text(numbers):
    received = numbers(aliases="shop.receivers.old_name")
    send(1)
    Delivery.objects.update(receiver="shop.receivers.old_name")
    drain()
    assert received == [1]


def test_a_delivery_whose_receiver_is_not_known_waits(numbers):
    numbers()
    send()
    Delivery.objects.update(receiver="shop.receivers.nobody")
    assert drain() == []
    assert (row().state, row().attempts) == (State.READY, 0)


def test_a_name_that_differs_in_case_is_another_one(numbers):
    received = numbers()
    send(1, 2)
    first = Delivery.objects.first()
    Delivery.objects.filter(pk=first.pk).update(receiver=first.receiver.upper())
    drain()
    assert received == [2]


def test_nor_is_it_run_by_its_id(numbers):
    received = numbers()
    send(1)
    Delivery.objects.update(receiver=row().receiver.upper())
    assert (run_one(row().pk, "default"), received) == (None, [])


def test_a_receiver_with_a_very_long_name_is_known_by_it(receive):
    calls = []

    def record(sender, **payload):
        calls.append(sender)

    record.__qualname__ = "record" * 100
    receive(sent, delivery=Durable())(record)
    send()
    drain()
    assert len(calls) == 1


def test_it_stops_no_other(numbers):
    received = numbers()
    send(1, 2)
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(receiver="shop.receivers.nobody")
    drain()
    assert received == [2]


def test_nor_do_many(numbers):
    received = numbers()
    send(1)
    Delivery.objects.bulk_create(
        Delivery(
            **{
                name: value
                for name, value in Delivery.objects.values().get().items()
                if name not in ("id", "receiver", "due_at")
            },
            receiver="shop.receivers.nobody",
            due_at=timezone.now() - datetime.timedelta(days=1),
        )
        for _ in range(300)
    )
    drain()
    assert received == [1]


def test_nobody_runs_one_by_its_id_whose_receiver_is_not_known(numbers):
    numbers()
    send()
    Delivery.objects.update(receiver="shop.receivers.nobody")
    assert run_one(row().pk, "default") is None
    assert (row().state, row().attempts) == (State.READY, 0)


def test_it_is_made_when_the_receiver_is_there(connect):
    received = []

    def record(sender, number, **payload):
        received.append(number)

    sent.connect(record, delivery=Durable())
    send(1)
    sent.disconnect(record)
    assert drain() == []
    connect(sent, record, delivery=Durable())
    drain()
    assert received == [1]


@pytest.mark.parametrize("fetch", [False, "lock"])
@pytest.mark.parametrize("signal", [post_save, post_delete])
def test_a_delivery_is_made_beside_receivers_of_its_signal_that_are_called_at_once_with_changes(signal, fetch, receive):
    received = []

    @receive(signal, sender=Genre, when=created | changed("name"), fetch=fetch)
    def compare(sender, changes, **kwargs):
        received.append(changes)

    @receive(signal, sender=Genre, delivery=Durable())
    def record(sender, **kwargs):
        received.append("delivered")

    Genre.objects.create(name="Crime").delete()
    assert drain() == [Succeeded()]
    assert received == [{} if signal is post_save else {"name": ("Crime", NO_ROW)}, "delivered"]


def test_a_receiver_that_is_disconnected_is_known_no_more_although_its_failure_is_remembered():
    def record(sender, number, **payload):
        raise MishapError

    sent.connect(record, delivery=Durable(retry=at_once(1)))
    send(1, 2)
    outcomes = drain(limit=1)
    sent.disconnect(record)
    assert types(outcomes + drain()) == [Dead]


def test_a_delivery_can_be_run_by_its_id(numbers):
    received = numbers()
    send(1, 2)
    assert run_one(Delivery.objects.last().pk, "default") == Succeeded()
    assert received == [2]


def test_one_that_is_done_is_not_run_by_its_id(numbers):
    received = numbers()
    send(1)
    drain()
    assert run_one(row().pk, "default") is None
    assert received == [1]


def test_nor_is_one_that_is_not_due(numbers):
    received = numbers()
    send(1)
    Delivery.objects.update(due_at=timezone.now() + datetime.timedelta(hours=1))
    assert (run_one(row().pk, "default"), received) == (None, [])


def test_nor_is_one_whose_turn_it_is_not(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    assert (run_one(Delivery.objects.last().pk, "default"), received) == (None, [])


def test_nor_is_one_that_is_not_there(numbers):
    numbers()
    assert run_one(0, "default") is None


class Postman:
    """The owner of a receiver."""

    def __init__(self):
        self.received = []

    def record(self, sender, number, **payload):
        self.received.append(number)


def test_a_method_may_be_a_receiver(connect):
    postman = Postman()
    connect(sent, postman.record, delivery=Durable())
    send(1)
    assert row().receiver == f"{__name__}.Postman.record"
    drain()
    assert postman.received == [1]


def test_each_sender_of_a_receiver_has_its_own_policy(connect):
    def record(sender, **payload):
        raise MishapError

    for model, attempts in ((Article, 1), (Genre, 3)):
        connect(post_save, record, sender=model, delivery=Durable(retry=at_once(attempts)))
    Article.objects.create()
    assert types(drain()) == [Dead]
    Genre.objects.create()
    assert types(drain()) == [Again, Again, Dead]


def test_each_signal_of_a_receiver_has_its_own_policy(connect):
    def record(sender, **payload):
        raise MishapError

    for signal, attempts in ((post_save, 1), (post_delete, 3)):
        connect(signal, record, sender=Article, delivery=Durable(retry=at_once(attempts)))
    Article.objects.create()
    assert types(drain()) == [Dead]
    Article.objects.all().delete()
    assert types(drain()) == [Again, Again, Dead]


# --- receivers that cause themselves ------------------------------------------------------------------------------


@pytest.fixture
def counting(receive):
    """Connect a durable receiver that saves the article that it handles: the list has the number of words of each."""

    def connect(save=Article.save, reentrant="skip", **options):
        words = []

        @receive(post_save, sender=Article, delivery=Durable(**options), reentrant=reentrant)
        def count(sender, instance, **kwargs):
            words.append(instance.words)
            instance.words += 1
            save(instance)

        return words

    return connect


def save_a_copy(instance):
    copy = Article.objects.get(pk=instance.pk)
    copy.words = instance.words
    copy.save()


def save_in_a_block(instance):
    with transaction.atomic():
        instance.save()


@pytest.mark.parametrize("save", [Article.save, save_a_copy, save_in_a_block])
@pytest.mark.parametrize("atomic", [True, False])
def test_a_receiver_that_saves_its_instance_makes_no_new_delivery(counting, save, atomic):
    words = counting(save, atomic=atomic)
    Article.objects.create()
    assert types(drain(limit=5)) == [Succeeded]
    assert (words, Article.objects.get().words, Delivery.objects.count()) == ([0], 1, 1)


def test_one_that_allows_it_makes_one_each_time(counting):
    words = counting(reentrant="allow")
    Article.objects.create()
    drain(limit=3)
    assert words == [0, 1, 2]


def test_one_that_refuses_it_fails(counting):
    counting(reentrant="raise", retry=at_once(1))
    Article.objects.create()
    assert types(drain(limit=3)) == [Dead]
    assert "ReentrancyError" in row().error


def test_one_that_saves_another_instance_makes_a_delivery_of_that(receive):
    words = []

    @receive(post_save, sender=Article, delivery=Durable())
    def go_on(sender, instance, **kwargs):
        words.append(instance.words)
        if instance.words < 3:
            Article.objects.create(words=instance.words + 1)

    Article.objects.create()
    drain(limit=10)
    assert words == [0, 1, 2, 3]


def test_a_receiver_of_a_batch_that_saves_its_instances_makes_no_new_delivery(receive):
    batches = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def count(sender, batch, **kwargs):
        batches.append(len(batch.instances))
        for article in batch.instances:
            article.save()

    with transaction.atomic():
        Article.objects.create()
        Article.objects.create()
    drain(limit=5)
    assert batches == [2]


def test_a_receiver_that_updates_its_row_by_a_query_makes_no_new_delivery(receive):
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=Durable())
    def count(sender, instance, **kwargs):
        calls.append(instance)
        Article.objects.filter(pk=instance.pk).update(words=5)

    Article.objects.create()
    drain(limit=5)
    assert len(calls) == 1


def test_one_that_updates_others_by_a_query_makes_one_for_each(receive):
    calls = []
    Article.objects.create()

    @receive(post_save, sender=Article, bulk=True, delivery=Durable())
    def count(sender, instance, **kwargs):
        calls.append(instance.pk)
        if len(calls) == 1:
            Article.objects.update(words=5)

    article = Article.objects.create()
    drain(limit=5)
    assert calls == [article.pk, Article.objects.first().pk]


def test_a_save_in_a_receiver_is_received_by_others(counting, receive):
    received = []

    @receive(post_save, sender=Article)
    def record(sender, instance, **kwargs):
        received.append(instance.words)

    counting()
    Article.objects.create()
    drain(limit=5)
    assert received == [0, 1]


# --- async receivers ----------------------------------------------------------------------------------------------


def test_an_async_receiver_is_called(receive):
    received = []

    @receive(sent, delivery=Durable())
    async def record(sender, number, delivery, **payload):
        received.append((number, delivery.attempt))
        return "received"

    send(1)
    assert drain() == [Succeeded("received")]
    assert received == [(1, 1)]


def test_what_it_writes_and_its_success_are_one_transaction(receive):
    @receive(sent, delivery=Durable(retry=at_once(2)))
    async def write_and_fail_once(sender, delivery, **payload):
        await Genre.objects.acreate()
        if delivery.attempt == 1:
            raise MishapError

    send()
    assert types(drain()) == [Again, Succeeded]
    assert Genre.objects.count() == 1


@pytest.mark.parametrize(("value", "kind"), [(RetryAfter(5000), Again), (Discard("no"), Discarded)])
def test_it_may_answer_as_others(receive, value, kind):
    @receive(sent, delivery=Durable())
    async def record(sender, **payload):
        return value

    send()
    assert types(drain()) == [kind]


def test_one_that_is_not_atomic_may_be_async(receive):
    @receive(sent, delivery=Durable(atomic=False, retry=at_once(1)))
    async def write_and_fail(sender, **payload):
        await Genre.objects.acreate()
        raise MishapError

    send()
    assert types(drain()) == [Dead]
    assert Genre.objects.count() == 1


def test_an_async_receiver_that_saves_its_instance_makes_no_new_delivery(receive):
    calls = []

    @receive(post_save, sender=Article, delivery=Durable())
    async def count(sender, instance, **kwargs):
        calls.append(instance)
        await instance.asave()

    Article.objects.create()
    drain(limit=5)
    assert len(calls) == 1


async def test_async_code_can_let_a_thread_drain(receive, async_database):
    received = []

    @receive(sent, delivery=Durable())
    async def record(sender, number, **payload):
        received.append(number)

    await sync_to_async(send)(1)
    await sync_to_async(drain)()
    assert received == [1]
