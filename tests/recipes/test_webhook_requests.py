"""Requests of webhooks: signed, repeated, ended in time, and none of them at the cost of another endpoint."""

import json
import logging
import ssl
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
import trustme
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook

from heliograph import Retry
from heliograph.outbox import Again, Dead, Discarded, Snoozed, Succeeded, drain
from heliograph.outbox.models import Delivery
from heliograph.outbox.worker import Worker
from heliograph.recipes.webhooks import (
    disable,
    enable,
    endpoint_disabled,
    endpoints,
    rotate_secret,
    send_again,
    send_test,
)
from heliograph.recipes.webhooks.delivering import SCHEDULE, deliver_again, wait_of
from heliograph.recipes.webhooks.models import Attempt, Endpoint, Message
from heliograph.recipes.webhooks.posting import SNIPPET, trusting
from heliograph.recipes.webhooks.retention import prune
from heliograph.recipes.webhooks.signals import event_happened
from tests.helpers.attempts import types, wait_over
from tests.helpers.endpoints import answer_when, answer_with, in_order, serving
from tests.helpers.standard_webhooks import ForgedError, verified
from tests.helpers.threads import LONG
from tests.helpers.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "other"])

real_commits = pytest.mark.django_db(transaction=True, databases=["default", "other"])
needs_writers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")


def happen(number=1, event="parcel.paid", owner=""):
    """Let an event happen."""
    message = f"msg_{number}"
    event_happened.send(
        sender=None, using="default", event=event, message=message, owner=owner, body=json.dumps({"data": number})
    )


def pause_over():
    """Let the time come for endpoints that pause, and for what waits."""
    Endpoint.objects.update(paused_until=None)
    wait_over()


def fresh(endpoint):
    return Endpoint.objects.get(pk=endpoint.pk)


def statuses():
    return [*Attempt.objects.order_by("pk").values_list("number", "status_code")]


# --- signatures ---------------------------------------------------------------------------------------------------


def test_r14_the_id_is_the_same_in_all_attempts_and_the_time_is_that_of_the_attempt(serve):
    server, endpoint = serve()
    server.answer = in_order(answer_with(500), answer_with(500), answer_with(200))
    happen()
    drain()
    pause_over()
    drain()
    pause_over()
    drain()
    assert {request.headers["webhook-id"] for request in server.requests} == {"msg_1"}
    assert [verified(request, endpoint.secret) for request in server.requests] == [{"data": 1}] * 3
    assert statuses() == [(1, 500), (2, 500), (3, 200)]


def test_r14_while_a_secret_is_replaced_both_verify(serve):
    server, endpoint = serve()
    old = endpoint.secret
    rotate_secret(endpoint)
    assert endpoint.secret != old
    happen()
    drain()
    (request,) = server.requests
    assert len(request.headers["webhook-signature"].split()) == 2
    for secret in (old, endpoint.secret):
        assert verified(request, secret) == Webhook(secret).verify(request.body, request.headers) == {"data": 1}


def test_r14_a_secret_that_was_replaced_a_day_ago_does_not_verify(serve):
    server, endpoint = serve()
    old = endpoint.secret
    rotate_secret(endpoint)
    assert endpoint.previous_until > timezone.now() + timedelta(hours=23)
    Endpoint.objects.update(previous_until=timezone.now())
    happen()
    drain()
    (request,) = server.requests
    assert verified(request, endpoint.secret) == {"data": 1}
    with pytest.raises(ForgedError, match="no signature fits"):
        verified(request, old)


def test_a_request_of_another_secret_is_forged(serve):
    server, _ = serve()
    _, other = serve()
    happen()
    drain()
    with pytest.raises(ForgedError, match="no signature fits"):
        verified(server.requests[0], other.secret)


def test_secrets_are_random_and_are_not_shown(serve, caplog):
    caplog.set_level(logging.DEBUG)
    (_, one), (_, other) = serve(), serve()
    happen()
    drain()
    assert one.secret.startswith("whsec_")
    assert one.secret != other.secret
    assert not [text for text in (caplog.text, repr(one), str(one)) if one.secret.removeprefix("whsec_") in text]
    assert not [row for row in Delivery.objects.values_list("payload", flat=True) if one.secret[6:] in row]


def test_the_query_of_a_url_is_not_shown_where_an_endpoint_is_named(serve):
    server, endpoint = serve()
    endpoint.url = server.url(path="/hooks?token=abc")
    assert str(endpoint) == server.url()


# --- retries ------------------------------------------------------------------------------------------------------


def test_the_schedule_is_that_of_the_specification():
    retry = Retry(attempts=len(SCHEDULE) + 1, jitter=0, backoff=lambda number: SCHEDULE[number - 1])
    assert sum(retry.seconds(number) for number in range(1, retry.attempts)) == timedelta(hours=75, seconds=2105).seconds + 3 * 86400
