"""A call that is made later has the context of its send: group W of the cases."""

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save

from heliograph import BeforeCommit, BeforeWrite, Inline, OnCommit, OnRollback, changed
from heliograph.context import EMPTY, Actor, acting, context, current
from tests.app.models import Article
from tests.helpers.errors import MishapError, mishap

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BOB = Actor("", "ada"), Actor("", "bob")
AT_THE_END = pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
BATCHES = pytest.mark.parametrize("policy", [Inline, BeforeCommit, OnCommit])


@pytest.fixture
def actors(receive):
    """Connect a receiver; `seen = actors(post_save, delivery=...)` is the list of actors that it was called under."""

    def connect(signal, **options):
        seen = []

        @receive(signal, sender=Article, **options)
        def look(sender, **kwargs):
            seen.append(current().actor)

        return seen

    return connect


@pytest.fixture
def contexts(receive):
    """Connect a receiver of batches; the list has a context of the call, and those of its events, for each call."""

    def connect(policy, signal=post_save, **options):
        seen = []

        @receive(signal, sender=Article, delivery=policy(batch=True), **options)
        def look(sender, batch, **kwargs):
            seen.append((current(), [event.context for event in batch.events]))

        return seen

    return connect


@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_w2_an_inline_receiver_is_called_under_the_context_of_the_save(actors, signal):
    seen = actors(signal)
    with acting("ada"):
        Article.objects.create()
    assert seen == [ADA]


@AT_THE_END
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_w2_a_receiver_of_a_save_in_autocommit_has_its_actor(actors, signal, policy):
    seen = actors(signal, delivery=policy())
    with acting("ada"):
        Article.objects.create()
    assert seen == [ADA]


@AT_THE_END
def test_w1_a_block_that_ends_before_the_commit_is_kept_with_its_calls(actors, policy):
    seen = actors(post_save, delivery=policy())
    with transaction.atomic(), acting("ada"):
        Article.objects.create()
    assert seen == [ADA]


@AT_THE_END
def test_w1_so_it_is_with_async_receivers(receive, policy):
    seen = []

    @receive(post_save, sender=Article, delivery=policy())
    async def look(sender, **kwargs):
        seen.append(current().actor)

    with acting("bob"), transaction.atomic():
        with acting("ada"):
            Article.objects.create()
        Article.objects.create()
    assert sorted(seen, key=str) == [ADA, BOB]


@AT_THE_END
def test_w1_two_actors_in_one_transaction_stay_apart(actors, policy):
    seen = actors(post_save, delivery=policy())
    with transaction.atomic():
        with acting("ada"):
            Article.objects.create()
        with acting("bob"):
            Article.objects.create()
        Article.objects.create()
    assert seen == [ADA, BOB, None]


@AT_THE_END
def test_w1_the_block_around_a_commit_is_not_the_context_of_calls_from_before(actors, policy):
    seen = actors(post_save, delivery=policy())
    with acting("bob"), transaction.atomic(), acting(None):
        Article.objects.create()
    assert seen == [None]


@AT_THE_END
def test_the_context_around_a_commit_is_there_again_after_the_calls(actors, policy):
    actors(post_save, delivery=policy())
    with acting("bob"):
        with transaction.atomic(), acting("ada"):
            Article.objects.create()
        assert current().actor == BOB
    assert current() is EMPTY


@AT_THE_END
def test_the_context_around_a_commit_is_there_again_after_an_error(receive, policy):
    @receive(post_save, sender=Article, delivery=policy())
    def fail(sender, **kwargs):
        raise MishapError

    with acting("bob"):
        with mishap() if policy is BeforeCommit else acting("bob"), transaction.atomic(), acting("ada"):
            Article.objects.create()
        assert current().actor == BOB


def test_w2_a_call_after_a_rollback_has_the_actor_of_its_send(actors):
    seen = actors(post_save, delivery=OnRollback())
    with mishap(), transaction.atomic():
        with acting("ada"):
            Article.objects.create()
        raise MishapError
    assert seen == [ADA]


def test_w2_a_call_after_a_rollback_of_a_savepoint_has_the_actor_of_its_send(actors):
    seen = actors(post_save, delivery=OnRollback())
    with transaction.atomic(), acting("bob"), mishap(), transaction.atomic(), acting("ada"):
        Article.objects.create()
        raise MishapError
    assert seen == [ADA]


def test_what_a_receiver_before_the_commit_saves_is_of_the_same_actor(receive, actors):
    seen = actors(post_delete, delivery=OnCommit())

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def delete_it(sender, instance, **kwargs):
        instance.delete()

    with transaction.atomic(), acting("ada"):
        Article.objects.create()
    assert seen == [ADA]


def test_a_receiver_before_the_write_has_the_actor(receive):
    seen = []

    @receive(pre_save, sender=Article, delivery=BeforeWrite())
    def look(sender, batch, **kwargs):
        seen.append((current().actor, [event.context.actor for event in batch.events]))

    with transaction.atomic(), acting("ada"):
        Article.objects.create()
    assert seen == [(ADA, [ADA])]


# --- batches ----------------------------------------------------------------------------------------------------


@BATCHES
def test_w2_a_batch_of_one_save_has_its_context(contexts, policy):
    seen = contexts(policy)
    with acting("ada") as of_ada:
        Article.objects.create()
    assert seen == [(of_ada, [of_ada])]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_w1_a_batch_tells_the_actor_of_each_row(contexts, policy):
    seen = contexts(policy)
    with transaction.atomic():
        with acting("ada", reason="import"):
            Article.objects.create()
        with acting("bob", reason="import"):
            Article.objects.create()
    [(of_call, of_events)] = seen
    assert [one.actor for one in of_events] == [ADA, BOB]
    assert (of_call.actor, of_call.reason) == (None, "import")


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_a_row_that_two_actors_have_written_has_the_context_of_the_last(contexts, policy):
    article = Article.objects.create()
    seen = contexts(policy)
    with transaction.atomic():
        with acting("ada"):
            article.save()
        with acting("bob"):
            article.save()
    assert [[one.actor for one in events] for _, events in seen] == [[BOB]]


def test_the_first_cause_of_a_batch_is_the_parent_and_the_others_are_links(contexts):
    seen = contexts(OnCommit)
    with transaction.atomic():
        with acting("ada") as first:
            Article.objects.create()
        with acting("ada") as second:
            Article.objects.create()
            Article.objects.create()
    [(of_call, _)] = seen
    assert (of_call.traceparent, of_call.links) == (first.traceparent, (second.traceparent,))
    assert of_call.actor == ADA


def test_a_value_on_which_the_sends_of_a_batch_do_not_agree_is_left_out(contexts, tenant):
    seen = contexts(OnCommit)
    with transaction.atomic():
        with context(tenant="a", correlation_id="c1"):
            Article.objects.create()
        with context(tenant="b", correlation_id="c1"):
            Article.objects.create()
    [(of_call, of_events)] = seen
    assert (of_call.tenant, of_call.correlation_id) == (None, "c1")
    assert [one.tenant for one in of_events] == ["a", "b"]


@BATCHES
def test_w2_the_rows_of_a_bulk_write_have_its_context(contexts, policy):
    seen = contexts(policy, bulk=True)
    with transaction.atomic(), acting("ada") as of_ada:
        Article.objects.bulk_create([Article(), Article()])
    assert seen == [(of_ada, [of_ada, of_ada])]


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_w1_the_rows_of_bulk_writes_by_two_actors_stay_apart(contexts, policy):
    articles = Article.objects.bulk_create([Article(words=1), Article(words=1)])
    seen = contexts(policy, bulk=True, when=changed("words"))
    with transaction.atomic():
        with acting("ada"):
            Article.objects.filter(pk=articles[0].pk).update(words=2)
        with acting("bob"):
            Article.objects.filter(pk=articles[1].pk).update(words=2)
    [(of_call, of_events)] = seen
    assert [one.actor for one in of_events] == [ADA, BOB]
    assert of_call.actor is None


def test_the_batch_of_a_bulk_signal_has_the_context_of_the_write(receive):
    from heliograph.signals import post_bulk_create

    seen = []

    @receive(post_bulk_create, sender=Article)
    def look(sender, batch, **kwargs):
        seen.extend(event.context for event in batch.events)

    with acting("ada") as of_ada:
        Article.objects.bulk_create([Article()])
    assert seen == [of_ada]
