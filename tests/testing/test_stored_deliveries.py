"""What waits in the outbox, and what a worker would refuse."""

from datetime import timedelta

import pytest
from django.db.models.signals import post_save

from heliograph import Durable, OnCommit, changed
from heliograph.outbox import Succeeded, ThisDelivery
from heliograph.outbox.models import Delivery
from heliograph.outbox.payload.errors import MissingError
from heliograph.testing import NotCalledError, Outbox, batch_of
from tests.app.models import Article, Genre
from tests.helpers.attempts import sent
from tests.helpers.errors import MishapError
from tests.helpers.messages import exactly
from tests.helpers.working import working
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db(databases=["default", "other"])
NAME = f"{__name__}.index"


def index(instance=None, **kwargs):
    return instance


def mail(**kwargs):
    """Send a mail."""


def fail(**kwargs):
    raise MishapError("no way")


# --- assert_enqueued --------------------------------------------------------------------------------------------


def test_a_call_that_waits_is_returned(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable(queue="search", key="instance.name"))
    genre = Genre.objects.create(name="crime")

    found = outbox.assert_enqueued(index, sender=Genre, queue="search", key="crime", instance=genre, created=True)
    assert (found.receiver, found.queue, found.key) == (index, "search", "crime")
    assert found.payload["instance"] == genre


def test_the_calls_that_wait_are_listed_with_the_nearest_first(outbox, connect):
    connect(sent, index, delivery=Durable())
    sent.send(sender=None, using="default", number=1, colour="red")
    sent.send(sender=None, using="default", number=2, colour="blue")

    assert failure(outbox.assert_enqueued, index, number=2, colour="green").splitlines() == [
        f"{NAME} was not enqueued with number=2, colour='green'.",
        "These calls wait, the nearest first:",
        f"  {NAME} from None: using='default', number=2, colour='blue', queue='default', key='' (colour is 'blue')",
        f"  {NAME} from None: using='default', number=1, colour='red', queue='default', key='' (number is 1; colour is"
        " 'red')",
    ]


def test_calls_of_others_are_listed_where_none_of_the_receiver_waits(outbox, connect):
    connect(sent, mail, delivery=Durable())
    sent.send(sender=None, using="default", number=1)

    assert f"  {__name__}.mail from None: using='default', number=1" in failure(outbox.assert_enqueued, index)


def test_an_empty_outbox_is_said_to_be_empty(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    assert failure(outbox.assert_enqueued, index) == f"{NAME} was not enqueued.\nNo call waits in the table."


def test_of_a_receiver_that_is_not_durable_the_assertion_says_so(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=OnCommit())
    assert failure(outbox.assert_enqueued, index).splitlines()[1:] == [
        "No call waits in the table.",
        "It is not connected with delivery=Durable() here.",
    ]


def test_a_call_whose_row_is_gone_waits_too(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    Genre.objects.create()
    Genre.objects.all().delete()

    assert outbox.assert_enqueued(index).payload == {}


def test_a_call_of_a_receiver_that_is_not_connected_waits_too(outbox, receive):
    @receive(sent, delivery=Durable())
    def forget(**kwargs): ...

    sent.send(sender=None, using="default", number=1)
    sent.disconnect(forget)

    assert [(one.receiver, one.payload) for one in outbox.enqueued()] == [(None, {})]


def test_calls_that_were_not_to_wait_are_listed(outbox, connect):
    connect(sent, index, delivery=Durable())
    sent.send(sender=None, using="default", number=1)

    outbox.assert_not_enqueued(index, number=2)
    assert failure(outbox.assert_not_enqueued, index, number=1).startswith(f"{NAME} was enqueued once with number=1:")


def test_calls_that_are_made_wait_no_more(outbox, connect):
    connect(sent, index, delivery=Durable())
    sent.send(sender=None, using="default")
    outbox.drain()

    assert outbox.enqueued() == outbox.enqueued(index) == []
    outbox.assert_not_enqueued(index)


def test_the_number_of_calls_is_compared(outbox, connect):
    connect(sent, index, delivery=Durable())
    sent.send(sender=None, using="default")

    assert failure(outbox.assert_enqueued, index, times=2).startswith(f"{NAME} was enqueued once, not 2 times.\n")


def test_another_database_has_an_outbox_of_its_own(connect):
    connect(sent, index, delivery=Durable())
    sent.send(sender=None, using="other")

    assert Outbox().enqueued() == []
    Outbox("other").assert_enqueued(index)


# --- perform ----------------------------------------------------------------------------------------------------


def test_k4_a_receiver_is_called_with_what_a_worker_reads(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    genre = Genre.objects.create(name="crime")
    genre.name = "not saved"

    found = outbox.perform(index, instance=genre)
    assert (found, found.name) == (genre, "crime")


def test_k4_a_value_that_cannot_be_stored_is_refused(outbox, connect):
    connect(sent, index, delivery=Durable())

    with pytest.raises(TypeError, match="what cannot be stored: 'function'"):
        outbox.perform(index, function=len)


def test_k4_a_row_that_is_gone_is_refused(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    genre = Genre.objects.create()
    Genre.objects.all().delete()

    with pytest.raises(MissingError):
        outbox.perform(index, instance=genre)


def test_k4_a_row_that_is_not_saved_is_refused(outbox, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())

    with pytest.raises(TypeError, match="cannot be stored"):
        outbox.perform(index, instance=Genre())


def test_k4_a_batch_goes_through_the_table_too(outbox, receive):
    @receive(post_save, sender=Article, when=changed("words"), delivery=Durable(batch=True))
    def count(batch, **kwargs):
        return [(one.pk, one.title) for one in batch.instances], batch.changes("words")

    article = Article.objects.create(title="stored", words=2)
    article.title = "not saved"
    batch = batch_of(article, changes={"words": (1, 2)})

    assert outbox.perform(count, batch=batch) == ([(article.pk, "stored")], [(article.pk, 1, 2)])
    with pytest.raises(NotCalledError, match="holds for no row"):
        outbox.perform(count, batch=batch_of(article))


def test_a_condition_is_asked(outbox, connect):
    connect(post_save, index, sender=Genre, when=changed("name"), delivery=Durable())
    genre = Genre.objects.create(name="crime")

    with pytest.raises(NotCalledError, match="changed"):
        outbox.perform(index, instance=genre)
    assert outbox.perform(index, instance=genre, changes={"name": ("poetry", "crime")}) == genre


def test_a_receiver_may_ask_for_its_delivery(outbox, receive):
    @receive(sent, delivery=Durable())
    def ask(delivery, **kwargs):
        return delivery

    assert isinstance(outbox.perform(ask), ThisDelivery)
    assert outbox.perform(ask).attempt == 1


def test_what_a_receiver_raises_is_raised_and_its_writes_are_undone(outbox, receive):
    @receive(sent, delivery=Durable())
    def write(**kwargs):
        Genre.objects.create()
        raise MishapError("no way")

    with pytest.raises(MishapError):
        outbox.perform(write)
    assert not Genre.objects.exists()


def test_nothing_is_left_in_the_table(outbox, connect):
    connect(sent, index, delivery=Durable())
    outbox.perform(index)

    assert not Delivery.objects.exists()


def test_a_receiver_that_no_worker_calls_is_refused(outbox, connect):
    connect(sent, index, delivery=OnCommit())

    with pytest.raises(TypeError, match=r"has no delivery=Durable\(...\), and no worker calls it: use deliver\(\)\.$"):
        outbox.perform(index)


# --- async ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_the_verbs_in_async_code(outbox, connect, async_database):
    connect(post_save, index, sender=Genre, delivery=Durable())
    genre = await Genre.objects.acreate()

    await outbox.aassert_enqueued(index, instance=genre)
    assert len(await outbox.aenqueued(index)) == 1
    assert await outbox.adrain() == [Succeeded(genre)]
    await outbox.aassert_not_enqueued(index)
    assert await outbox.aperform(index, instance=genre) == genre
    await outbox.await_for_workers()


# --- workers ----------------------------------------------------------------------------------------------------


def test_workers_are_not_waited_for_in_a_transaction(outbox):
    message = (
        "No worker sees the rows of an open transaction, such as that of a TestCase: use TransactionTestCase or"
        " transactional_db, or make the deliveries with drain()."
    )
    with pytest.raises(RuntimeError, match=exactly(message)):
        outbox.wait_for_workers()


@pytest.mark.django_db(transaction=True)
def test_workers_are_waited_for_until_all_is_made(outbox, signals, connect):
    connect(sent, index, delivery=Durable())
    with working():
        sent.send(sender=None, using="default", number=1)
        outbox.wait_for_workers()

    signals.assert_called(index, number=1, times=1)
    assert outbox.enqueued() == []


@pytest.mark.django_db(transaction=True)
def test_what_workers_have_not_made_in_time_is_listed(outbox, connect):
    connect(sent, index, delivery=Durable())
    outbox.wait_for_workers()
    sent.send(sender=None, using="default")

    assert failure(outbox.wait_for_workers, timeout=timedelta()).splitlines() == [
        "After 0 s, these deliveries are not made:",
        f"  {Delivery.objects.get()}",
    ]
