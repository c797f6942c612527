"""Requests of webhooks: signed, repeated, ended in time, and none of them at the cost of another endpoint."""

import json
import logging
import ssl
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
import trustme
from django.utils import timezone
from standardwebhooks import Webhook

from heliograph.outbox import Again, Dead, Discarded, Snoozed, Succeeded, drain
from heliograph.outbox.models import Delivery
from heliograph.recipes.webhooks import (
    delivering,
    disable,
    enable,
    endpoint_disabled,
    endpoints,
    rotate_secret,
    send_again,
    send_test,
)
from heliograph.recipes.webhooks.conf import webhook_settings
from heliograph.recipes.webhooks.delivering import SCHEDULE, wait_of
from heliograph.recipes.webhooks.models import Attempt, Endpoint, Message
from heliograph.recipes.webhooks.posting import SNIPPET, trusting
from heliograph.recipes.webhooks.retention import prune
from heliograph.recipes.webhooks.signals import event_happened
from tests.helpers.attempts import types, wait_over
from tests.helpers.endpoints import answer_when, answer_with, in_order, serving
from tests.helpers.standard_webhooks import ForgedError, verified
from tests.helpers.threads import LONG
from tests.helpers.waiting import until
from tests.helpers.working import working

pytestmark = pytest.mark.django_db(databases=["default", "other"])

real_commits = pytest.mark.django_db(transaction=True, databases=["default", "other"])


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
    assert sum(SCHEDULE) == timedelta(hours=75, minutes=35, seconds=5).total_seconds()


def test_a_message_is_repeated_by_the_schedule_and_dead_at_its_end(serve):
    server, _ = serve()
    server.answer = answer_with(500)
    happen()
    waits = []
    for outcome in drain():
        waits += [outcome.seconds] if isinstance(outcome, Again) else []
    for _ in SCHEDULE:
        pause_over()
        (outcome,) = drain()
        waits += [outcome.seconds] if isinstance(outcome, Again) else []
    assert type(outcome) is Dead
    assert str(outcome.error) == "The answer was 500."
    assert [round(seconds / wanted, 1) for seconds, wanted in zip(waits, SCHEDULE, strict=True)] == pytest.approx(
        [1] * len(SCHEDULE), abs=0.11
    )
    assert [number for number, _ in statuses()] == [*range(1, 11)]


def test_a_message_that_fails_does_not_hold_those_behind_it_up(serve):
    server, _ = serve()
    server.answer = in_order(answer_with(500), answer_with(200), answer_with(200))
    happen(1)
    drain()
    Endpoint.objects.update(paused_until=None)
    happen(2)
    happen(3)
    drain()
    assert statuses() == [(1, 500), (1, 200), (1, 200)]


def test_an_endpoint_may_ask_for_more_time(serve):
    server, _ = serve()
    server.answer = answer_with(503, Retry_After="4000")
    happen()
    (outcome,) = (one for one in drain() if isinstance(one, Again))
    assert outcome.seconds == 4000


def test_an_endpoint_that_asks_for_less_time_gets_what_the_schedule_says(serve):
    server, _ = serve()
    server.answer = answer_with(503, Retry_After="1")
    happen()
    (outcome,) = (one for one in drain() if isinstance(one, Again))
    assert outcome.seconds > 4


HEADERS = {
    "7": 7,
    "": 0,
    "soon": 0,
    "-3": 0,
    "nan": 0,
    "inf": 86400,
    "Wed, 21 Oct 2015 07:28:00 GMT": 0,
    "9" * 99: 86400,
}


@pytest.mark.parametrize(("header", "seconds"), HEADERS.items(), ids=[one or "none" for one in HEADERS])
def test_a_time_that_an_endpoint_asks_for_is_a_number(header, seconds):
    assert wait_of(header) == seconds


def test_a_time_that_an_endpoint_asks_for_may_be_a_date():
    at = timezone.now() + timedelta(seconds=100)
    assert 98 < wait_of(at.strftime("%a, %d %b %Y %H:%M:%S GMT")) <= 100


# --- failing, and disabled ----------------------------------------------------------------------------------------


@pytest.fixture
def disabled(receive):
    """The endpoints of which `endpoint_disabled` was sent, with the reasons."""
    found = []

    @receive(endpoint_disabled)
    def record(sender, endpoint, reason, **kwargs):
        found.append((endpoint.pk, endpoint.is_active, reason))

    return found


def test_r14_an_endpoint_that_is_gone_is_disabled_and_says_so(serve, disabled):
    server, endpoint = serve()
    server.answer = answer_with(410)
    for number in (1, 2):
        happen(number)
    assert types(drain()) == [Succeeded, Succeeded, Discarded, Discarded]
    reason = "It has answered 410 Gone."
    assert (fresh(endpoint).state, fresh(endpoint).disabled_reason) == ("disabled", reason)
    assert disabled == [(endpoint.pk, False, reason)]
    assert [*Delivery.objects.filter(state="DISCARDED").values_list("error", flat=True)] == [
        "The endpoint is disabled. It has answered 410 Gone."
    ] * 2
    happen(3)
    drain()
    assert len(server.requests) == 1


def test_an_endpoint_that_fails_for_days_is_disabled(serve, disabled):
    server, endpoint = serve()
    server.answer = answer_with(500)
    Endpoint.objects.update(first_failure_at=timezone.now() - timedelta(days=5))
    happen()
    drain()
    assert fresh(endpoint).state == "disabled"
    assert fresh(endpoint).disabled_reason.startswith("Every request has failed since ")
    assert len(disabled) == 1


def test_an_endpoint_that_fails_for_a_shorter_time_is_failing(serve, disabled):
    server, endpoint = serve()
    server.answer = answer_with(500)
    Endpoint.objects.update(first_failure_at=timezone.now() - timedelta(days=4))
    happen()
    drain()
    assert (fresh(endpoint).state, disabled) == ("failing", [])


def test_one_success_makes_a_failing_endpoint_well(serve):
    server, endpoint = serve()
    server.answer = in_order(answer_with(500), answer_with(204))
    happen()
    drain()
    assert fresh(endpoint).state == "failing"
    pause_over()
    drain()
    assert (fresh(endpoint).state, fresh(endpoint).paused_until) == ("active", None)


def test_without_a_limit_no_endpoint_is_disabled_for_failing(serve, webhooks_here):
    webhooks_here(DISABLE_AFTER=None)
    server, endpoint = serve()
    server.answer = answer_with(500)
    Endpoint.objects.update(first_failure_at=timezone.now() - timedelta(days=500))
    happen()
    drain()
    assert fresh(endpoint).state == "failing"


def test_an_error_of_a_receiver_does_not_enable_the_endpoint_again(serve, receive):
    @receive(endpoint_disabled)
    def fail(sender, **kwargs):
        raise ValueError("no mail server")

    _, endpoint = serve()
    assert disable(endpoint, "Ada has asked for it.")
    assert not disable(endpoint, "Again.")
    assert fresh(endpoint).disabled_reason == "Ada has asked for it."


def test_an_endpoint_that_is_enabled_gets_events_again(serve):
    server, endpoint = serve()
    disable(endpoint, "Ada has asked for it.")
    happen(1)
    drain()
    enable(endpoint)
    happen(2)
    drain()
    assert [request.headers["webhook-id"] for request in server.requests] == ["msg_2"]


def test_what_is_left_for_an_endpoint_that_was_deleted_is_discarded(serve):
    _, endpoint = serve()
    happen()
    drain(limit=1)
    endpoint.delete()
    assert drain() == [Discarded("The endpoint is gone.")]


# --- a slow endpoint ----------------------------------------------------------------------------------------------


@real_commits
def test_r14_a_slow_endpoint_does_not_hold_others_up(serve, webhooks_here):
    webhooks_here(TIMEOUT=LONG)
    (slow, _), (fast, _) = serve(), serve()
    may_answer = threading.Event()
    slow.answer = answer_when(may_answer)
    for number in range(5):
        happen(number)
    with working(concurrency=2):
        until(lambda: len(fast.requests) == 5)
        assert len(slow.requests) == 1  # which has no answer yet
        may_answer.set()
        until(lambda: len(slow.requests) == 5)
        until(lambda: Attempt.objects.filter(error="").count() == 10)


@real_commits
def test_r14_retries_of_a_slow_endpoint_do_not_hold_others_up(serve, webhooks_here):
    webhooks_here(TIMEOUT=LONG)
    (slow, _), (fast, _) = serve(events=["slow"]), serve(events=["fast"])
    slow.answer = answer_with(500)
    for number in range(5):
        happen(number, "slow")
    drain()
    Endpoint.objects.update(first_failure_at=None, paused_until=None)
    wait_over()
    may_answer, before = threading.Event(), len(slow.requests)
    slow.answer = answer_when(may_answer)
    with working(concurrency=2):
        until(lambda: len(slow.requests) == before + 1)
        for number in range(5, 10):
            happen(number, "fast")
        until(lambda: len(fast.requests) == 5)
        assert len(slow.requests) == before + 1
        may_answer.set()
        until(lambda: Attempt.objects.filter(error="", endpoint__events=["slow"]).exists())
    assert not Endpoint.objects.exclude(busy_until=None).exists()


def test_an_endpoint_that_another_worker_calls_is_left_to_it(serve):
    server, endpoint = serve()
    server.answer = answer_with(500)
    happen()
    drain()
    Endpoint.objects.update(paused_until=None)
    assert endpoints.take(endpoint)
    wait_over()
    assert drain() == [Snoozed(5.0)]
    endpoints.release(endpoint)
    wait_over()
    assert types(drain()) == [Again]


def test_an_endpoint_that_a_killed_worker_has_called_is_called_again(serve):
    _, endpoint = serve()
    assert endpoints.take(endpoint)
    assert not endpoints.take(endpoint)
    Endpoint.objects.update(busy_until=timezone.now())
    assert endpoints.take(endpoint)


def test_r14_of_an_endpoint_that_fails_one_request_at_a_time_is_made(serve):
    server, _ = serve()
    server.answer = answer_with(500)
    for number in range(3):
        happen(number)
    drain()
    assert len(server.requests) == 1  # then it pauses
    wait_over()
    assert types(drain()) == [Snoozed] * 3
    assert len(server.requests) == 1
    Endpoint.objects.update(paused_until=None)
    wait_over()
    assert sorted(one.__name__ for one in types(drain())) == ["Again", "Snoozed", "Snoozed"]
    assert len(server.requests) == 2


def test_a_pause_is_no_attempt(serve):
    server, _ = serve()
    server.answer = answer_with(500)
    happen(1)
    happen(2)
    drain()
    for _ in range(20):
        wait_over()
        drain()
    assert {*Delivery.objects.filter(signal__endswith="retry_due").values_list("attempts", flat=True)} == {0, 1}


def test_a_pause_grows_with_the_time_of_failing(serve):
    server, endpoint = serve()
    server.answer = answer_with(500)
    for since, pause in [(timedelta(0), 5), (timedelta(minutes=8), 120), (timedelta(days=1), 900)]:
        begun = timezone.now()
        Endpoint.objects.update(first_failure_at=begun - since if since else None, paused_until=None)
        happen(str(pause))
        drain()
        taken = timezone.now() - begun  # in which the time of failing, and so the pause, grows too
        longest = (fresh(endpoint).paused_until - begun).total_seconds()
        assert pause - 1 < longest < pause + 2 * taken.total_seconds() + 1


@contextmanager
def dripping(server, beginning):
    """Let a server send a byte now and then, for ever, until the end of the block."""
    is_over = threading.Event()

    def drip(request, handler):
        handler.wfile.write(beginning)
        while not is_over.wait(0.05):
            handler.wfile.write(b"x")

    server.answer = drip
    try:
        yield
    finally:
        is_over.set()


@pytest.fixture(params=["http", "https"])
def server(request, serve, webhooks_here):
    """An endpoint that has half a second to answer."""
    if request.param == "https":
        context = request.getfixturevalue("authority")("127.0.0.1")
        settings = {"CA_FILE": webhook_settings().ca_file}
    else:
        context, settings = None, {}
    webhooks_here(TIMEOUT=0.5, **settings)
    return serve(context)[0]


def test_r14_a_server_that_sends_single_bytes_is_given_up_in_time(server):
    with dripping(server, b"HTTP/1.1 200 OK\r\nX-Slow: "):
        happen()
        drain()
    attempt = Attempt.objects.get()
    assert attempt.error == "There was no answer within 0.5 s."
    assert 0.4 < attempt.seconds < LONG


def test_r14_an_answer_without_an_end_is_given_up_in_time(server):
    """The size of a chunk may have a comment, of which each byte comes by itself."""
    with dripping(server, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"):
        happen()
        drain()
    attempt = Attempt.objects.get()
    assert (attempt.status_code, attempt.response) == (200, "")
    assert 0.4 < attempt.seconds < LONG


def test_a_server_that_does_not_answer_is_given_up_in_time(serve, webhooks_here):
    webhooks_here(TIMEOUT=0.2)
    server, _ = serve()
    is_over = threading.Event()
    server.answer = answer_when(is_over)
    happen()
    drain()
    is_over.set()
    assert Attempt.objects.get().error == "There was no answer within 0.2 s."


# --- what an answer may be ----------------------------------------------------------------------------------------


def test_little_of_an_answer_is_kept(serve):
    server, _ = serve()
    server.answer = answer_with(500, "<b>\0" + "x" * 100_000)
    happen()
    drain()
    response = Attempt.objects.get().response
    assert response.startswith("<b>\N{REPLACEMENT CHARACTER}xxx")
    assert len(response) <= SNIPPET


def test_a_redirect_is_not_followed(serve):
    (first, _), (second, endpoint) = serve(), serve()
    endpoint.delete()
    first.answer = answer_with(307, Location=second.url())
    happen()
    drain()
    assert second.requests == []
    assert Attempt.objects.get().error == "The answer was 307."


def test_a_server_that_speaks_no_http_is_a_failure(serve):
    server, _ = serve()
    server.answer = lambda request, handler: handler.wfile.write(b"220 mail.example\r\n")
    happen()
    drain()
    assert Attempt.objects.get().error == "BadStatusLine: 220 mail.example"


def test_a_server_that_is_not_there_is_a_failure(webhooks_here):
    with serving() as server:
        url = server.url()
    Endpoint.objects.create(url=url)
    happen()
    drain()
    attempt = Attempt.objects.get()
    assert "Connection refused" in attempt.error
    assert (attempt.status_code, attempt.response) == (None, "")


def test_the_next_address_of_a_host_is_tried(serve, webhooks_here):
    webhooks_here(RESOLVER=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    server, _ = serve()
    Endpoint.objects.update(url=server.url("hooks.example"))
    happen()
    drain()
    assert statuses() == [(1, 200)]
    assert server.requests[0].headers["host"] == f"hooks.example:{server.server_port}"


# --- certificates -------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path, webhooks_here):
    """An authority that webhooks trust: it makes the context of a server for a host."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    webhooks_here(
        CA_FILE=str(tmp_path / "ca.pem"), RESOLVER=lambda host, port: ["127.0.0.1"], ALLOW_HTTP=False, TIMEOUT=LONG
    )

    def context(host):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.issue_cert(host).configure_cert(context)
        return context

    return context


def test_the_certificate_is_that_of_the_host_and_not_of_the_address(serve, authority):
    context, names = authority("hooks.example"), []
    context.sni_callback = lambda sock, name, context: names.append(name)
    server, _ = serve(context)
    Endpoint.objects.update(url=server.url("hooks.example"))
    happen()
    drain()
    assert statuses() == [(1, 200)]
    assert names == ["hooks.example"]


def test_a_certificate_of_another_host_is_refused(serve, authority):
    server, _ = serve(authority("other.example"))
    Endpoint.objects.update(url=server.url("hooks.example"))
    happen()
    drain()
    assert "certificate is not valid for 'hooks.example'" in Attempt.objects.get().error
    assert server.requests == []


def test_a_certificate_that_nobody_trusts_is_refused(serve, authority, webhooks_here):
    context = authority("hooks.example")
    webhooks_here(RESOLVER=lambda host, port: ["127.0.0.1"])
    server, _ = serve(context)
    Endpoint.objects.update(url=server.url("hooks.example"))
    happen()
    drain()
    assert "certificate verify failed" in Attempt.objects.get().error
    assert server.requests == []


def test_a_context_verifies_hosts():
    context = trusting(None)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


# --- messages -----------------------------------------------------------------------------------------------------


def test_a_test_event_reaches_one_endpoint_whatever_it_wants(serve):
    (one, endpoint), (other, _) = serve(events=["parcel.paid"]), serve()
    message = send_test(endpoint)
    drain()
    (request,) = one.requests
    assert verified(request, endpoint.secret)["type"] == "webhook.test"
    assert (request.headers["webhook-id"], other.requests) == (message.pk, [])


def test_what_failed_and_what_was_missed_is_sent_again(serve):
    server, endpoint = serve(events=["parcel.paid"])
    server.answer = in_order(answer_with(200), answer_with(500))
    happen("accepted")
    drain()
    happen("failed")
    drain()
    disable(endpoint, "It is away.")
    happen("missed")
    happen("unwanted", event="parcel.lost")
    happen("of another", owner="bob")
    drain()
    enable(endpoint)
    server.answer = answer_with(200)
    assert send_again(endpoint, timezone.now() - timedelta(hours=1)) == 2
    drain()
    assert [request.headers["webhook-id"] for request in server.requests[2:]] == ["msg_failed", "msg_missed"]
    assert send_again(endpoint, timezone.now() - timedelta(hours=1)) == 0


def test_old_messages_are_deleted_with_their_attempts(serve):
    serve()
    happen("old")
    happen("new")
    drain()
    Message.objects.filter(pk="msg_old").update(created_at=timezone.now() - timedelta(days=31))
    assert prune() == 1
    assert [*Message.objects.values_list("pk", flat=True)] == ["msg_new"]
    assert Attempt.objects.count() == 1


def test_messages_may_be_kept_for_ever(serve, webhooks_here):
    serve()
    webhooks_here(KEEP=None)
    happen()
    drain()
    Message.objects.update(created_at=timezone.now() - timedelta(days=3100))
    assert prune() == 0


def test_a_worker_deletes_old_messages_now_and_then(serve, monkeypatch):
    serve()
    happen("old")
    drain()
    Message.objects.update(created_at=timezone.now() - timedelta(days=31))
    monkeypatch.setattr(delivering, "_last_pruned", -delivering._EVERY)
    happen("new")
    drain()
    assert [*Message.objects.values_list("pk", flat=True)] == ["msg_new"]


def test_a_delivery_of_a_message_that_was_deleted_is_discarded(serve):
    serve()
    happen()
    drain(limit=1)
    Message.objects.all().delete()
    assert drain() == [Discarded("The message is older than HELIOGRAPH_WEBHOOKS['KEEP'].")]
