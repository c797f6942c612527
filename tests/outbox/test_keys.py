"""Deliveries of one key are made in the order of their sends."""

import datetime
import threading
from collections import Counter, defaultdict

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.utils import timezone

from heliograph import Discard, Durable, RetryAfter
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.work.runner import drain
from tests.app.models import Article, Genre
from tests.helpers.attempts import at_once, send, sent, wait_over
from tests.helpers.deliveries import row
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# Where it is about what Django does outside of a test's own transaction.
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def later_for(*numbers):
    """Return what asks for another attempt, much later, the first time that it is called with one of these numbers."""

    def act(number, delivery, **payload):
        if number in numbers and delivery.attempt == 1:
            raise RetryAfter(5000)
        done.append(number)

    done = []
    return act, done


def test_deliveries_of_one_key_wait_for_each_other(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: "same")
    send(1, 2)
    drain()
    assert done == []
    wait_over()
    drain()
    assert done == [1, 2]


def test_those_of_other_keys_do_not(act):
    action, done = later_for(1)
    act(action, key="number")
    send(1, 2)
    drain()
    assert done == [2]


def test_those_without_a_key_do_not(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: None)
    send(1, 2)
    drain()
    assert done == [2]


def test_nor_do_those_of_another_receiver(act, numbers):
    action, _ = later_for(1)
    act(action, key=lambda **payload: "same")
    received = numbers(key=lambda **payload: "same")
    send(1)
    drain()
    assert received == [1]


def test_a_path_that_ends_at_none_is_no_key(receive):
    @receive(post_save, sender=Article, delivery=Durable(key="instance.author.name"))
    def record(sender, instance, **kwargs): ...

    Article.objects.create()
    assert row().key == ""


@pytest.mark.parametrize(
    ("path", "key"), [("instance.pk", "pk"), ("instance.title", "title"), ("using", "default"), ("created", "True")]
)
def test_a_key_is_a_path_into_what_was_sent(receive, path, key):
    @receive(post_save, sender=Article, delivery=Durable(key=path))
    def record(sender, instance, **kwargs): ...

    article = Article.objects.create(title="title")
    assert row().key == (str(article.pk) if key == "pk" else key)


def test_a_path_that_leads_nowhere_is_an_error_at_the_send_that_says_so(receive):
    @receive(post_save, sender=Article, delivery=Durable(key="instance.nothing"))
    def record(sender, instance, **kwargs): ...

    with pytest.raises(LookupError, match=r"key='instance\.nothing'.*record.*'nothing'.*post_save"):
        Article.objects.create()


def test_a_long_key_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda number, **payload: "x" * 1000 + str(number % 2))
    send(1, 2, 3)
    drain()
    assert done == [2]


@pytest.mark.parametrize("key", ["a\x00b", "half a symbol: \udc80"], ids=["a zero", "half a symbol"])
def test_a_key_of_odd_characters_is_a_key_like_others(act, key):
    action, done = later_for(1)
    act(action, key=lambda **payload: key)
    send(1, 2)
    drain()
    assert done == []


def test_an_empty_text_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: "")
    send(1, 2)
    drain()
    assert done == []


def test_zero_is_a_key_like_others(act):
    action, done = later_for(1)
    act(action, key=lambda **payload: 0)
    send(1, 2)
    drain()
    assert done == []


@pytest.mark.parametrize("error", [MishapError(), Discard("no")], ids=["dead", "discarded"])
def test_what_is_given_up_is_not_waited_for(act, error):
    done = []

    def give_up_first(number, **payload):
        if number == 1:
            raise error
        done.append(number)

    act(give_up_first, key=lambda **payload: "same", retry=at_once(1))
    send(1, 2)
    drain()
    assert done == [2]


def test_what_runs_is_waited_for(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    first = Delivery.objects.first()
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=first.pk).update(state=State.RUNNING, worker="another", attempts=1, leased_until=later)
    assert (drain(), received) == ([], [])


def test_one_that_is_redelivered_is_waited_for_again(numbers):
    received = numbers(key=lambda **payload: "same")
    send(1, 2)
    first = Delivery.objects.first()
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=first.pk).update(due_at=later)
    assert (drain(), received) == ([], [])


def test_those_of_its_old_name_come_first(numbers):
    received = numbers(key=lambda **payload: "same", aliases="shop.receivers.old_name")
    send(1, 2)
    later = timezone.now() + datetime.timedelta(hours=1)
    Delivery.objects.filter(pk=Delivery.objects.first().pk).update(receiver="shop.receivers.old_name", due_at=later)
    assert (drain(), received) == ([], [])


def test_a_batch_may_have_a_key(receive):
    order = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True, key=lambda batch, **payload: len(batch.pks)))
    def record(sender, batch, **kwargs):
        order.append(len(batch.instances))

    Article.objects.create()
    assert row().key == "1"
    drain()
    assert order == [1]


def test_deliveries_are_made_in_the_order_of_their_sends(numbers):
    received = numbers(key=lambda **payload: "same")
    send(3, 1, 2, 5, 4)
    drain()
    assert received == [3, 1, 2, 5, 4]


@really_committed
def test_several_workers_make_each_delivery_once_and_keep_the_order_of_a_key(receive):
    running, made, errors = Counter(), defaultdict(list), []

    @receive(sent, delivery=Durable(key="group", retry=at_once(8)))
    def record_group(sender, group, number, **payload):
        running[group] += 1
        Genre.objects.create()
        made[group].append((number, running[group]))
        running[group] -= 1

    with transaction.atomic():
        for number in range(10):
            for group in "abc":
                sent.send(sender=None, using="default", group=group, number=number)

    def work():
        try:
            while Delivery.objects.filter(state__in=[State.READY, State.RUNNING]).exists():
                drain()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, Genre.objects.count()) == ([], 30)
    assert made == {group: [(number, 1) for number in range(10)] for group in "abc"}
