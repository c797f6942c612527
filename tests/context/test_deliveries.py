"""A delivery is made under the context of its send, in another process, another day: group W of the cases."""

import json

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from heliograph import Durable, Retry, Signal
from heliograph.context import Actor, acting, context, current
from heliograph.context.declared import DECLARED
from heliograph.outbox.manage.operations import redeliver
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.work.runner import drain
from tests.app.models import Article
from tests.helpers.deliveries import ago, row, states
from tests.helpers.errors import MishapError
from tests.helpers.waiting import until
from tests.helpers.working import working

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BOB = Actor("", "ada"), Actor("", "bob")
paid = Signal(name="paid")


@pytest.fixture
def contexts(receive):
    """Connect a durable receiver: the list has the context of each call."""

    def connect(action=None, **options):
        seen = []

        @receive(post_save, sender=Article, delivery=Durable(**options))
        def look(sender, instance, **kwargs):
            seen.append(current())
            if action is not None:
                action()

        return seen

    return connect


def test_w3_a_worker_makes_a_call_under_the_context_of_its_send(contexts, tenant):
    seen = contexts()
    with transaction.atomic(), acting("ada", reason="import"), context(tenant="a", request_id="r", correlation_id="c"):
        Article.objects.create()
    with acting("bob"):
        drain()
        assert current().actor == BOB
    [one] = seen
    assert (one.actor, one.reason, one.tenant, one.request_id, one.correlation_id) == (ADA, "import", "a", "r", "c")


def test_w3_so_does_a_worker_in_a_thread(contexts):
    seen = contexts()
    with working(), acting("ada"):
        Article.objects.create()
        until(lambda: seen)
    assert [one.actor for one in seen] == [ADA]


def test_the_span_of_the_send_is_the_parent_of_the_span_of_the_call(contexts):
    seen = contexts()
    with acting("ada") as sent:
        Article.objects.create()
    drain()
    [one] = seen
    assert one.parent == sent.traceparent
    assert one.traceparent.split("-")[1] == sent.traceparent.split("-")[1]
    assert one.traceparent != sent.traceparent


def test_a_call_without_a_context_begins_a_trace(contexts):
    seen = contexts()
    Article.objects.create()
    assert row().context == ""
    drain()
    [one] = seen
    assert (one.actor, one.parent, len(one.traceparent)) == (None, "", 55)


def test_what_a_call_sends_has_its_span_as_the_cause(contexts, receive):
    seen = contexts(lambda: paid.send(sender=None))

    @receive(paid, delivery=Durable())
    def later(sender, **kwargs):
        seen.append(current())

    with acting("ada"):
        Article.objects.create()
    drain()
    first, second = seen
    assert (second.actor, second.parent) == (ADA, first.traceparent)


def test_w1_two_actors_in_one_transaction_have_deliveries_of_their_own(contexts):
    seen = contexts()
    with transaction.atomic():
        with acting("ada"):
            Article.objects.create()
        with acting("bob"):
            Article.objects.create()
        Article.objects.create()
    drain()
    assert [one.actor for one in seen] == [ADA, BOB, None]


# --- retries and redeliveries -----------------------------------------------------------------------------------


def fail():
    raise MishapError


def test_w4_a_retry_a_day_later_has_the_actor_and_the_cause_of_the_send(contexts):
    seen = contexts(fail, retry=Retry(attempts=3))
    with acting("ada") as sent:
        Article.objects.create()
    drain()
    Delivery.objects.update(due_at=ago(60), created_at=ago(86400))
    drain()
    assert [(one.actor, one.parent) for one in seen] == [(ADA, sent.traceparent)] * 2
    assert seen[0].traceparent != seen[1].traceparent


def test_w4_a_redelivery_has_the_actor_of_the_send_and_not_the_one_who_redelivers(contexts):
    seen = contexts(fail, retry=Retry(attempts=1))
    with acting("ada"):
        Article.objects.create()
    drain()
    with acting("bob"):
        redeliver(Delivery.objects.filter(pk=row().pk))
    drain()
    assert [one.actor for one in seen] == [ADA, ADA]


# --- batches ----------------------------------------------------------------------------------------------------


@pytest.fixture
def batches(receive):
    """Connect a durable receiver of batches: the list has the context of each call, and those of its events."""

    def connect(**options):
        seen = []

        @receive(post_save, sender=Article, delivery=Durable(batch=True, **options))
        def look(sender, batch, **kwargs):
            seen.append((current(), [(event.instance.pk, event.context) for event in batch.events]))

        return seen

    return connect


def test_w1_each_event_of_a_stored_batch_has_the_actor_of_its_row(batches):
    seen = batches()
    with transaction.atomic():
        with acting("ada", reason="import") as first:
            Article.objects.create(pk=1)
        with acting("bob", reason="import") as second:
            Article.objects.create(pk=2)
    drain()
    [(of_call, events)] = seen
    assert [(key, one.actor) for key, one in events] == [(1, ADA), (2, BOB)]
    assert (of_call.actor, of_call.reason) == (None, "import")
    assert (of_call.parent, of_call.links) == (first.traceparent, (second.traceparent,))


def test_the_events_that_are_left_of_a_batch_keep_their_actors(batches):
    seen = batches(missing="discard")
    with transaction.atomic():
        with acting("ada"):
            Article.objects.create(pk=1)
        with acting("bob"):
            Article.objects.create(pk=2)
    Article.objects.filter(pk=1).delete()
    drain()
    [(_, events)] = seen
    assert [(key, one.actor) for key, one in events] == [(2, BOB)]


def test_a_batch_of_one_context_stores_it_once(batches):
    seen = batches()
    with transaction.atomic(), acting("ada") as sent:
        Article.objects.create()
        Article.objects.create()
    assert "events" not in json.loads(row().context)
    drain()
    [(_, events)] = seen
    assert [one for _, one in events] == [sent, sent]


# --- what is stored ---------------------------------------------------------------------------------------------


def test_a_context_is_json_without_what_is_empty(contexts, tenant):
    contexts()
    with acting("ada"), context(tenant="a") as sent:
        Article.objects.create()
    found = json.loads(row().context)
    assert found == {"actor": ["", "ada", "ada"], "traceparent": sent.traceparent, "values": {"tenant": "a"}}


def test_w5_a_secret_is_never_stored(contexts, settings):
    contexts()
    context.declare("details", dict)
    context.declare("pin", str)
    try:
        settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["pin", "token"]}  # declared before somebody has called it so
        with context(pin="1234", details={"token": "t0p", "more": [{"access_token": "t1p", "kept": 1}]}):
            Article.objects.create()
    finally:
        del DECLARED["details"], DECLARED["pin"]
    found = json.loads(row().context)
    assert found["values"] == {"details": {"more": [{"kept": 1}]}}


def test_a_lazy_user_is_loaded_once_for_all_rows_of_a_transaction(contexts, django_assert_num_queries):
    contexts()
    user, loaded = User.objects.create(username="ada"), []
    lazy = SimpleLazyObject(lambda: loaded.append(1) or User.objects.get(pk=user.pk))
    with transaction.atomic(), acting(lazy):
        Article.objects.create()
        Article.objects.create()
        assert loaded == []
    assert loaded == [1]
    wanted = ["auth.User", str(user.pk), "ada"]
    assert [json.loads(one.context)["actor"] for one in Delivery.objects.all()] == [wanted, wanted]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        "[" * 100_000,
        '{"actor": "ada"}',
        '{"actor": ["ada"]}',
        '{"reason": 7}',
        '{"values": []}',
        '{"links": {}}',
        '{"events": 7}',
        '{"events": {"contexts": [{}], "of": [1]}}',
    ],
)
def test_a_context_that_nobody_can_read_counts_as_empty_and_is_logged(batches, caplog, text):
    seen = batches()
    with acting("ada"):
        Article.objects.create()
    Delivery.objects.update(context=text)
    drain()
    assert states() == [State.SUCCESSFUL]
    assert [(of_call.actor, [one.actor for _, one in events]) for of_call, events in seen] == [(None, [None])]
    assert "The context of delivery" in caplog.text


def test_what_a_later_release_has_added_to_a_context_is_left_out(contexts):
    seen = contexts()
    with acting("ada"):
        Article.objects.create()
    Delivery.objects.update(context='{"actor":["","ada","ada"],"device":"phone"}')
    drain()
    assert [one.actor for one in seen] == [ADA]


def test_a_process_of_the_release_before_can_still_write_deliveries(contexts):
    contexts()
    Article.objects.create()
    names = [one.column for one in Delivery._meta.concrete_fields if one.column not in ("id", "context")]
    columns, table = ", ".join(map(connection.ops.quote_name, names)), Delivery._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table}")
    assert [one.context for one in Delivery.objects.all()] == ["", ""]


def test_the_admin_shows_the_context_of_a_delivery(contexts, admin_client):
    contexts()
    with acting("ada", reason="import of <May>"):
        Article.objects.create()
    page = admin_client.get(reverse("admin:heliograph_outbox_delivery_change", args=[row().pk])).content.decode()
    assert "import of &lt;May&gt;" in page
