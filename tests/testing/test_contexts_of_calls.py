"""The receiver that a test calls sees the context of the test, as it would see the context of a send."""

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django.utils.translation import activate, get_language

from heliograph import BeforeCommit, Durable, Inline, OnCommit
from heliograph.context import acting, context, current
from heliograph.testing import batch_of
from tests.app.models import Genre

pytestmark = pytest.mark.django_db


def see(batch=None, **kwargs):
    """Return what a receiver sees of the current context."""
    now = current()
    return now.actor and now.actor.label, now.reason, now.request_id


def see_events(batch, **kwargs):
    return [(one.context.actor.label, one.context.reason) for one in batch.events]


@pytest.fixture
def ada():
    return User.objects.create(username="ada")


POLICIES = [Inline(), Inline(batch=True), BeforeCommit(), OnCommit(batch=True), Durable(), Durable(batch=True)]
of_policies = pytest.mark.parametrize("policy", POLICIES, ids=repr)


@of_policies
def test_deliver_calls_under_the_context_of_the_caller(signals, connect, ada, policy):
    connect(post_save, see, sender=Genre, delivery=policy)
    genre = Genre.objects.create()
    with acting(ada, reason="import"), context(request_id="r7"):
        assert signals.deliver(see, instance=genre) == ("ada", "import", "r7")

    assert signals.deliver(see, instance=genre) == (None, "", "")


@pytest.mark.parametrize("policy", [Durable(), Durable(atomic=False), Durable(batch=True)], ids=repr)
def test_perform_calls_under_the_context_of_the_caller_as_a_worker_reads_it(outbox, connect, ada, policy):
    connect(post_save, see, sender=Genre, delivery=policy)
    genre = Genre.objects.create()
    with acting(ada, reason="import"), context(request_id="r7"):
        assert outbox.perform(see, instance=genre) == ("ada", "import", "r7")

    assert outbox.perform(see, instance=genre) == (None, "", "")


def test_perform_sees_what_a_worker_sees(outbox, connect, ada):
    def see_all(**kwargs):
        now = current()
        return now.actor, now.reason, now.request_id, now.correlation_id, now.parent, now.links

    connect(post_save, see_all, sender=Genre, delivery=Durable())
    with acting(ada, reason="import"), context(correlation_id="c1"):
        genre = Genre.objects.create()
        [by_worker] = outbox.drain()
        performed = outbox.perform(see_all, instance=genre)

    assert performed == by_worker.response
    assert current().actor is None


def test_the_events_of_a_batch_have_the_context_in_which_the_test_has_made_it(ada):
    genre = Genre.objects.create()
    with acting(ada, reason="import"):
        batch = batch_of(genre)

    assert see_events(batch) == [("ada", "import")]


def test_the_events_of_a_performed_batch_have_the_context_of_the_caller(outbox, connect, ada):
    connect(post_save, see_events, sender=Genre, delivery=Durable(batch=True))
    batch = batch_of(Genre.objects.create(), Genre.objects.create())
    with acting(ada, reason="import"):
        assert outbox.perform(see_events, batch=batch) == [("ada", "import")] * 2


async def test_verbs_in_async_code_take_the_context_too(signals, outbox, connect, async_database):
    connect(post_save, see, sender=Genre, delivery=Durable())
    ada, genre = await User.objects.acreate(username="ada"), await Genre.objects.acreate()
    with acting(ada, reason="import"):
        assert await signals.adeliver(see, instance=genre) == ("ada", "import", "")
        assert await outbox.aperform(see, instance=genre) == ("ada", "import", "")


def test_an_async_receiver_that_is_performed_has_the_context(outbox, connect, ada):
    async def see_later(**kwargs):
        return await sync_to_async(see)()

    connect(post_save, see_later, sender=Genre, delivery=Durable())
    genre = Genre.objects.create()
    with acting(ada, reason="import"):
        assert outbox.perform(see_later, instance=genre) == ("ada", "import", "")


def test_a_language_that_a_performed_receiver_activates_ends_with_it(outbox, connect):
    def translate(**kwargs):
        activate("de")
        return get_language()

    connect(post_save, translate, sender=Genre, delivery=Durable())
    before = get_language()

    assert outbox.perform(translate, instance=Genre.objects.create()) == "de"
    assert get_language() == before
