"""A durable receiver is called as one before the commit is, also after its contract has changed."""

import json

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from heliograph import BeforeCommit, Durable, Signal, changed
from heliograph.outbox.durable.retrying import Retry
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import HandedBack, Succeeded
from heliograph.outbox.work.runner import drain
from tests.app.models import Article
from tests.helpers.payloads import change, is_new_or_gone, make_article

pytestmark = pytest.mark.django_db(databases=["default", "other"])

# --- as others are called -----------------------------------------------------------------------------------------


def row_of(instance):
    return instance.__class__, instance.pk, instance.title, instance.words, instance._state.db


def delivered_of(signal, sender, instance, origin=None, **payload):
    return signal, sender, row_of(instance), payload


def delivered_of_batch(signal, sender, batch, using):
    events = [
        (event.kind, event.signal, event.sender, event.pk, row_of(event.instance), changes_of_event(event))
        for event in batch.events
    ]
    parts = [[*map(row_of, part)] for part in (batch.instances, batch.created, batch.updated, batch.deleted)]
    return signal, sender, using, batch.pks, batch.changes("words"), events, parts


def changes_of_event(event):
    return {**event.changes}


# Each stops after each of its transactions. The first ones write no row twice in one: a worker finds what is left.
def save_and_delete():
    article = Article.objects.create(title="a")
    yield
    change(article, title="b", words=2)
    yield
    article.words = 3
    article.save(update_fields=["words"])
    yield
    article.delete()
    yield


def update_or_create():
    for words in (1, 2):
        Article.objects.update_or_create(title="a", defaults={"words": words})
        yield


def write_in_bulk():
    articles = Article.objects.bulk_create([Article(title="a", words=1), Article(title="b", words=2)])
    yield
    Article.objects.filter(title="a").update(words=5)
    yield
    articles = [*Article.objects.order_by("pk")]
    for article in articles:
        article.words += 1
    Article.objects.bulk_update(articles, ["words"])
    yield
    Article.objects.filter(title="b").delete()
    yield


def write_to_both_databases():
    for alias in ("default", "other"):
        article = Article.objects.using(alias).create(title=alias)
        yield
        change(article, words=3)
        yield
        article.delete()
        yield


def save_often():
    with transaction.atomic():
        article = Article.objects.create(title="a")
        change(article, title="b", words=2)
    yield
    with transaction.atomic():
        change(article, words=3)
        change(article, words=4)
    yield
    with transaction.atomic():
        change(article, words=5)
        article.delete()
    yield


def write_in_bulk_at_once():
    with transaction.atomic():
        Article.objects.bulk_create([Article(title="a", words=1), Article(title="b", words=2)])
        Article.objects.filter(title="a").update(words=5)
        Article.objects.create(title="c")
    yield
    with transaction.atomic():
        Article.objects.filter(title="c").update(words=7)
        Article.objects.filter(title="b").delete()
    yield


SIMPLE_STORIES = [save_and_delete, update_or_create, write_in_bulk, write_to_both_databases]

STORIES = [*SIMPLE_STORIES, save_often, write_in_bulk_at_once]


@pytest.fixture
def compare(receive):
    """Tell a story to a receiver of either policy, and return what each has been called with."""

    def compare(story, signals, policies, report, **options):
        delivered = [], []
        for calls, policy in zip(delivered, policies, strict=True):
            connect(calls, signals, policy, report, options)
        for _ in story():
            assert {type(outcome) for alias in ("default", "other") for outcome in drain(using=alias)} <= {Succeeded}
        return delivered

    def connect(calls, signals, policy, report, options):
        def record(**payload):
            calls.append(report(**payload))

        def record_batch(signal, sender, batch, using, **kwargs):
            calls.append(report(signal, sender, batch, using))

        receive(signals, sender=Article, bulk=True, delivery=policy, **options)(
            record_batch if policy.batch else record
        )

    return compare


@pytest.mark.parametrize("story", SIMPLE_STORIES)
def test_a_durable_receiver_is_called_as_one_before_the_commit(compare, story):
    signals = [pre_save, post_save, pre_delete, post_delete]
    before_commit, durable = compare(story, signals, (BeforeCommit(), Durable()), delivered_of)
    assert durable == before_commit


@pytest.mark.parametrize("story", STORIES)
def test_its_batches_are_those_of_one_before_the_commit(compare, story):
    policies = BeforeCommit(batch=True), Durable(batch=True)
    when = changed("words") | is_new_or_gone
    before_commit, durable = compare(story, [post_save, post_delete], policies, delivered_of_batch, when=when)
    assert durable == before_commit


# --- what became of the contract in the meantime --------------------------------------------------------------------


@Signal.define
def shipped(sender, *, article, carrier="post", labels=("fragile",)):
    """An article has left."""


def rewrite(change):
    """Let a stored payload be one that another version of the program has written."""
    row = Delivery.objects.get()
    payload = json.loads(row.payload)
    change(payload)
    Delivery.objects.update(payload=json.dumps(payload))


def test_a_declared_payload_travels_with_its_defaults(store):
    received = store(shipped)
    article = make_article()
    shipped.send(sender=Article, article=article)
    drain()
    assert (received[0]["article"], received[0]["carrier"], received[0]["labels"]) == (article, "post", ("fragile",))


def test_a_name_that_is_new_in_the_contract_has_its_default(store):
    received = store(shipped)
    shipped.send(sender=Article, article=make_article(), carrier="train")
    rewrite(lambda payload: payload["kwargs"].pop("carrier"))
    drain()
    assert received[0]["carrier"] == "post"


def test_a_name_that_has_left_the_contract_is_passed_all_the_same(store):
    received = store(shipped)
    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload["kwargs"].update(weight=3))
    drain()
    assert received[0]["weight"] == 3


def test_a_name_without_a_default_that_is_missing_is_a_failure_that_names_it(receive):
    @receive(shipped, delivery=Durable(retry=Retry(attempts=1)))
    def record(sender, article, **kwargs): ...

    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload["kwargs"].pop("article"))
    drain()
    assert "article" in Delivery.objects.get().error


@pytest.mark.parametrize("policy", [Durable(), Durable(batch=True)], ids=repr)
def test_a_payload_of_a_later_version_is_not_misread(receive, policy):
    calls = []

    @receive(shipped, delivery=policy)
    def record(sender, batch=None, **kwargs):
        calls.append(kwargs)

    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload.update(v=99))
    drain()
    assert (calls, Delivery.objects.exclude(state=State.SUCCESSFUL).count()) == ([], 1)


def test_a_model_that_is_no_more_is_handed_back_and_stops_no_other(receive):
    received = []

    @receive(shipped, delivery=Durable(retry=Retry(attempts=1)))
    def record(sender, article, **kwargs):
        received.append(article)

    article = make_article()
    shipped.send(sender=Article, article=article)
    rewrite(lambda payload: payload["kwargs"].update(article=gone_model(payload["kwargs"]["article"])))
    shipped.send(sender=Article, article=article)
    assert [type(outcome) for outcome in drain()] == [HandedBack, Succeeded]
    assert received == [article]


def gone_model(stored):
    return json.loads(json.dumps(stored).replace("app.Article", "app.Leaflet"))
