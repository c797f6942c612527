"""Deliveries that this release cannot read: a newer one has written them, or `batch=` was changed while they waited."""

import enum
import json
import logging
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save

from heliograph import Durable, Signal, changed, created, observe
from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.durable.retrying import Retry
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.manage import operations
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Dead, Discarded, HandedBack, Succeeded
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.work.handing_back import warn_once
from heliograph.outbox.work.runner import drain, run_one
from heliograph.signals import post_bulk_create
from tests.app.models import Article, Genre, Novel, Ware

pytestmark = pytest.mark.django_db(databases=["default", "other"])

sent = Signal(name="shop.sent")


class Size(enum.Enum):
    """An enum."""

    SMALL = 1


@pytest.fixture(autouse=True)
def _warn_anew():
    warn_once.cache_clear()


@pytest.fixture
def received(receive):
    """What a durable receiver of `sent` is called with."""
    received = []

    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def record(sender, **payload):
        received.append(payload)

    return received


def rewrite(change, **columns):
    """Let the last stored payload be one that another release has written."""
    row = Delivery.objects.latest("id")
    payload = json.loads(row.payload)
    change(payload)
    Delivery.objects.filter(pk=row.pk).update(payload=json.dumps(payload), **columns)


def send(value=1):
    sent.send(sender=None, using="default", value=value)


def value(stored):
    return lambda payload: payload["kwargs"].update(value=stored)


NEWER = {
    "a version": (lambda payload: payload.update(v=2), r"The payload is of version 2, and this Heliograph knows 1: up"),
    "a kind": (value({"$": "money", "value": 1}), r"A value of the kind 'money' is unknown to this version of Heliog"),
    "a model": (value({"$": "model", "value": "app.Leaflet"}), r"kind 'model' cannot be read: LookupError: App 'app'"),
    "an app": (value({"$": "app", "value": "lending"}), r"kind 'app' cannot be read: LookupError: No installed app"),
    "a row": (value({"$": "row", "value": ["app.Leaflet", [1], "default"]}), r"kind 'row' cannot be read"),
    "a database": (value({"$": "row", "value": ["app.Article", [1], "new"]}), r"There is no database 'new'"),
    "a signal": (
        lambda payload: payload.update(signal="shop.of_a_newer_release"),
        r"There is no signal 'shop\.of_a_newer_release': put it back, o",
    ),
    "a module": (value({"$": "class", "value": "shop.sales:Sale"}), r"the module shop\.sales is not imported here"),
    "a class": (value({"$": "class", "value": f"{__name__}:Sale"}), r"there is no class tests\..*:Sale"),
    "a member": (value({"$": "enum", "value": [f"{__name__}:Size", "LARGE"]}), r"KeyError: 'LARGE'"),
    "a sender": (lambda payload: payload.update(sender={"$": "model", "value": "app.Leaflet"}), r"kind 'model'"),
    "no JSON": (lambda payload: payload.update(kwargs=[]), r"\[\] is no dict"),
}

each_newer = pytest.mark.parametrize(("change", "text"), NEWER.values(), ids=NEWER)


@each_newer
def test_what_a_newer_release_has_written_is_handed_back(received, change, text):
    send()
    rewrite(change)
    (outcome,) = drain()
    assert (type(outcome), type(outcome.error), received) == (HandedBack, UnreadableError, [])
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.worker, row.leased_until, row.history) == (State.READY, 0, "", None, "")
    with pytest.raises(UnreadableError, match=text):
        raise outcome.error
    assert row.error.startswith("UnreadableError: ")


def test_it_is_never_dead_however_often_it_is_handed_back(received):
    send()
    rewrite(value({"$": "money", "value": 1}))
    outcomes = []
    for _ in range(20):
        Delivery.objects.update(due_at=F("created_at"))
        outcomes += drain()
    assert {type(outcome) for outcome in outcomes} == {HandedBack}
    assert Delivery.objects.get().attempts == 0


def test_attempts_that_failed_before_are_neither_more_nor_less(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=5)))
    def fail(sender, **kwargs):
        raise LookupError

    send()
    drain()
    rewrite(value({"$": "money", "value": 1}), due_at=F("created_at"))
    drain()
    row = Delivery.objects.get()
    assert (row.state, row.attempts, len(row.failures)) == (State.READY, 1, 1)


@pytest.mark.parametrize(("age", "pause"), [(0, 1), (60, 15), (240, 60), (86400, 300)])
def test_the_pause_grows_with_the_age_of_the_delivery(received, age, pause):
    send()
    rewrite(value({"$": "money", "value": 1}), created_at=DatabaseLater(-age))
    (outcome,) = drain()
    assert outcome.seconds == pytest.approx(pause, abs=5)
    row = Delivery.objects.annotate(now=DatabaseNow()).get()
    assert timedelta(seconds=pause - 60) < row.due_at - row.now < timedelta(seconds=pause + 5)


def test_a_newer_worker_makes_it(received):
    send()
    rewrite(value({"$": "money", "value": 1}))
    drain()
    rewrite(value(7), due_at=F("created_at"))
    assert drain() == [Succeeded()]
    assert [one["value"] for one in received] == [7]


def test_those_behind_it_with_its_key_wait(receive):
    received = []

    @receive(sent, delivery=Durable(key="value"))
    def record(sender, value, **payload):
        received.append(value)

    send("a")
    rewrite(value({"$": "money", "value": 1}))
    send("a")
    send("b")
    drain()
    assert received == ["b"]


def test_it_is_logged_once_for_a_receiver_and_a_reason(received, caplog):
    caplog.set_level(logging.WARNING, "heliograph.outbox")
    for _ in range(3):
        send()
        rewrite(value({"$": "money", "value": 1}))
    drain()
    (record,) = caplog.records
    assert record.getMessage() == (
        f"This release cannot read deliveries of {Delivery.objects.first().receiver}, which wait for one that can:"
        " UnreadableError: A value of the kind 'money' is unknown to this version of Heliograph."
    )


def test_an_observer_receives_what_cannot_be_read(received):
    events = []
    send()
    rewrite(value({"$": "money", "value": 1}))
    with observe(events.append):
        drain()
    names = [event.name for event in events if isinstance(event, DeliveryEvent)]
    assert names == ["delivery_started", "delivery_handed_back"]


def test_a_worker_that_is_notified_of_it_hands_it_back_too(received):
    send()
    rewrite(value({"$": "money", "value": 1}))
    assert type(run_one(Delivery.objects.get().pk)) is HandedBack


def test_the_status_shows_it_as_a_problem(received):
    send()
    rewrite(value({"$": "money", "value": 1}))
    drain()
    out = StringIO()
    name = Delivery.objects.get().receiver
    with pytest.raises(CommandError, match=rf"1 waiting for a release that can read them \({name}\)"):
        call_command("outbox", "status", stdout=out)
    assert "1 cannot be read by this release" in out.getvalue()


def test_the_admin_shows_why_it_waits(received, client):
    send()
    rewrite(value({"$": "money", "value": 1}))
    drain()
    client.force_login(User.objects.create_superuser("ada"))
    assert "of the kind &#x27;money&#x27; is unknown" in client.get("/admin/heliograph_outbox/delivery/").text


def test_it_can_be_discarded(received):
    send()
    rewrite(value({"$": "money", "value": 1}))
    drain()
    operations.discard(Delivery.objects.all(), "nobody knows this kind")
    assert Delivery.objects.get().state == State.DISCARDED


# --- batch= is changed while deliveries wait ----------------------------------------------------------------------


@pytest.fixture
def change_policy(connect):
    """Send to a receiver with one policy, and let a receiver of the same name with another one take what waits."""

    def change(signal, before, after, write, sender=None, when=None, asks_before=False, asks_after=False):
        received = []

        def record(sender, batch=None, **kwargs):
            received.append(kwargs if batch is None else batch)

        def record_changes(sender, changes, **kwargs):
            received.append({**kwargs, "changes": changes})

        record_changes.__qualname__ = record.__qualname__
        first, second = (record_changes if asks else record for asks in (asks_before, asks_after))
        signals = signal if isinstance(signal, list) else [signal]
        for one in signals:
            connect(one, first, sender=sender, when=when, delivery=before)
        write()
        for one in signals:
            one.disconnect(first, sender=sender)
            connect(one, second, sender=sender, when=when, delivery=after)
        return drain(), received

    return change


ONE, BATCH = Durable(), Durable(batch=True)


def test_a_stored_call_is_a_batch_of_one(change_policy):
    (outcome,), (batch,) = change_policy(post_save, ONE, BATCH, Article.objects.create, sender=Article)
    assert outcome == Succeeded()
    (event,) = batch.events
    article = Article.objects.get()
    assert (event.kind, event.pk, event.instance, event.sender, event.signal) == (
        *("created", article.pk, article, Article),
        post_save,
    )
    assert (batch.created, event.kwargs["raw"], event.kwargs["update_fields"]) == ([article], False, None)


def save_twice():
    article = Article.objects.create(title="a")
    Delivery.objects.all().delete()
    article.title = "b"
    article.save()


def test_its_changes_are_those_of_the_batch(change_policy):
    when = created | changed("title")
    _, (batch,) = change_policy(post_save, ONE, BATCH, save_twice, sender=Article, when=when, asks_before=True)
    assert (batch.events[0].kind, [*batch.events[0].changes]) == ("updated", ["title"])
    assert batch.changes("title") == [(batch.pks[0], "a", "b")]


def test_a_stored_call_without_changes_is_handed_back_where_batches_have_them(change_policy):
    when = created | changed("title")
    (outcome,), received = change_policy(post_save, ONE, BATCH, save_twice, sender=Article, when=when)
    assert (type(outcome), received) == (HandedBack, [])
    assert "A call without changes waits for" in Delivery.objects.get().error


def create_and_delete():
    Article.objects.create(title="a").delete()


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_a_stored_deletion_is_a_batch_with_the_values_of_the_row(change_policy, signal):
    _, (batch,) = change_policy(signal, ONE, BATCH, create_and_delete, sender=Article)
    (event,) = batch.events
    assert (event.kind, batch.deleted[0].title, event.old("title")) == ("deleted", "a", "a")


def test_a_stored_call_that_is_about_no_row_is_a_batch_with_one_event(change_policy):
    _, (batch,) = change_policy(sent, ONE, BATCH, send)
    assert [(event.kind, event.kwargs["value"]) for event in batch.events] == [(None, 1)]


def test_a_stored_call_whose_row_is_gone_is_discarded(change_policy):
    def save_what_goes():
        article = Article.objects.create()
        Article.objects.filter(pk=article.pk)._raw_delete("default")

    (outcome,), received = change_policy(post_save, ONE, BATCH, save_what_goes, sender=Article)
    assert (type(outcome), received) == (Discarded, [])


def test_a_stored_call_of_pre_save_is_handed_back(change_policy):
    (outcome,), received = change_policy(pre_save, ONE, BATCH, Article.objects.create, sender=Article)
    assert (type(outcome), received) == (HandedBack, [])
    assert "nobody knows whether its row was new" in Delivery.objects.get().error


def test_a_stored_batch_of_one_event_is_a_call(change_policy):
    (outcome,), (kwargs,) = change_policy(post_save, BATCH, ONE, Article.objects.create, sender=Article)
    assert outcome == Succeeded()
    kwargs.pop("signal")
    article = Article.objects.get()
    assert kwargs == {"instance": article, "created": True, "raw": False, "update_fields": None, "using": "default"}


def test_the_changes_of_its_event_are_those_of_the_call(change_policy):
    when = created | changed("title")
    _, (kwargs,) = change_policy(post_save, BATCH, ONE, save_twice, sender=Article, when=when, asks_after=True)
    assert kwargs["changes"] == {"title": ("a", "b")}


def test_a_stored_batch_without_changes_is_handed_back_where_the_receiver_asks_for_them(change_policy):
    (outcome,), received = change_policy(post_save, BATCH, ONE, save_twice, sender=Article, asks_after=True)
    assert (type(outcome), received) == (HandedBack, [])


def test_a_stored_batch_of_a_deletion_is_a_call_with_the_row_that_is_gone(change_policy):
    _, (kwargs,) = change_policy(post_delete, BATCH, ONE, create_and_delete, sender=Article)
    assert (kwargs["instance"].title, kwargs["using"]) == ("a", "default")


def test_a_stored_batch_of_several_events_is_handed_back_and_says_what_to_do(change_policy):
    def write():
        with transaction.atomic():
            Article.objects.create()
            Article.objects.create()

    (outcome,), received = change_policy(post_save, BATCH, ONE, write, sender=Article)
    assert (type(outcome), received) == (HandedBack, [])
    assert "A batch of 2 waits for" in Delivery.objects.get().error
    assert "put batch=True back until it is done" in Delivery.objects.get().error


def test_a_stored_batch_of_two_signals_is_a_call_of_the_one_that_was_sent(change_policy):
    _, received = change_policy([post_save, post_delete], BATCH, ONE, Article.objects.create, sender=Article)
    assert [one["signal"] for one in received] == [post_save]


def test_many_to_many_changes_are_converted_too(change_policy):
    def add():
        Novel.objects.create().genres.add(Genre.objects.create())

    _, batches = change_policy(m2m_changed, ONE, BATCH, add, sender=Novel.genres.through)
    assert [event.kwargs["action"] for batch in batches for event in batch.events] == ["pre_add", "post_add"]


def test_a_signal_that_sends_a_batch_of_its_own_is_not_converted(receive):
    received = []

    @receive(post_bulk_create, sender=Ware, delivery=Durable())
    def record(sender, batch, **kwargs):
        received.append(batch)

    Ware.objects.bulk_create([Ware(name="a")])
    assert drain() == [Succeeded()]
    assert len(received[0].events) == 1


def test_a_receiver_that_fails_is_dead_as_ever(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def fail(sender, **kwargs):
        raise ValueError("a value")

    send()
    assert [type(outcome) for outcome in drain()] == [Dead]
