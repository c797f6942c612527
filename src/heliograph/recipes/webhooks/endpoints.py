"""The states of an endpoint, which is tried, paused, disabled and enabled, and the actions of its operators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import router, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from heliograph.recipes.webhooks.conf import webhook_settings
from heliograph.recipes.webhooks.envelopes import envelope, new_message_id
from heliograph.recipes.webhooks.models import Attempt, Endpoint, Message, new_secret
from heliograph.recipes.webhooks.signals import endpoint_disabled, message_due

TEST_EVENT = "webhook.test"

# The pause after a failure is a part of the time for which the endpoint has been failing, between these two.
_PART, _LEAST, _MOST = 0.25, timedelta(seconds=5), timedelta(minutes=15)

GONE = "It has answered 410 Gone."


def database() -> str:
    """Return the alias of the database with the tables."""
    return router.db_for_write(Endpoint)


def _rows(endpoint: Endpoint) -> QuerySet[Endpoint]:
    return Endpoint.objects.using(database()).filter(pk=endpoint.pk)


# --- one request at a time ----------------------------------------------------------------------------------------


def take(endpoint: Endpoint) -> bool:
    """Return whether this worker may make a request now; if so, no other one may until `release()`.

    None may while the endpoint pauses. If the worker is killed, others may again after twice the time of a request.
    """
    now = timezone.now()
    is_free = Q(busy_until=None) | Q(busy_until__lte=now)
    is_over = Q(paused_until=None) | Q(paused_until__lte=now)
    until = now + timedelta(seconds=2 * webhook_settings().timeout)
    return _rows(endpoint).filter(is_free, is_over).update(busy_until=until) == 1


def release(endpoint: Endpoint) -> None:
    """Let other workers make requests again."""
    _rows(endpoint).update(busy_until=None)


def seconds_to_wait(endpoint: Endpoint) -> float:
    """Return after how many seconds a request may be possible: after the pause, or when the one under way has ended."""
    until = _rows(endpoint).values_list("paused_until", flat=True).first()
    left = 0.0 if until is None else (until - timezone.now()).total_seconds()
    return left + 1.0 if left > 0 else _LEAST.total_seconds()


# --- well, or failing ---------------------------------------------------------------------------------------------


def succeeded(endpoint: Endpoint) -> None:
    """Record that an endpoint has accepted a message: it is not failing any more."""
    _rows(endpoint).exclude(first_failure_at=None).update(first_failure_at=None, paused_until=None)


def failed(endpoint: Endpoint, status: int | None) -> None:
    """Record a failed request: the endpoint pauses, or is disabled if it is gone or has failed for too long."""
    now, allowed = timezone.now(), webhook_settings().disable_after
    _rows(endpoint).filter(first_failure_at=None).update(first_failure_at=now)
    since = _rows(endpoint).values_list("first_failure_at", flat=True).first() or now
    pause = min(max((now - since) * _PART, _LEAST), _MOST)
    _rows(endpoint).update(paused_until=now + pause)
    if status == 410:
        disable(endpoint, GONE)
    elif allowed is not None and now - since >= allowed:
        disable(endpoint, f"Every request has failed since {since:%Y-%m-%d %H:%M} UTC.")


# --- disabled and enabled -----------------------------------------------------------------------------------------


def disable(endpoint: Endpoint, reason: str) -> bool:
    """Send an endpoint nothing more, send the signal `endpoint_disabled`, and return whether it was active until now.

    `reason` is a text for people; its first 255 characters are stored.
    """
    with transaction.atomic(database()):
        values = {"is_active": False, "disabled_at": timezone.now(), "disabled_reason": reason[:255]}
        if not _rows(endpoint).filter(is_active=True).update(**values):
            return False
        endpoint.refresh_from_db()
        # An error of a receiver is logged, and does not enable the endpoint again.
        endpoint_disabled.send_robust(sender=Endpoint, endpoint=endpoint, reason=reason)
    return True


def enable(endpoint: Endpoint) -> None:
    """Send an endpoint events again, from now on; `send_again()` sends what it has missed."""
    _rows(endpoint).update(
        is_active=True, disabled_at=None, disabled_reason="", first_failure_at=None, paused_until=None
    )
    endpoint.refresh_from_db()


def rotate_secret(endpoint: Endpoint) -> None:
    """Give an endpoint a new secret; the present one signs beside it for the time of the setting `ROTATION`."""
    with transaction.atomic(database()):
        locked = _rows(endpoint).select_for_update().get()
        until = timezone.now() + webhook_settings().rotation
        _rows(endpoint).update(secret=new_secret(), previous_secret=locked.secret, previous_until=until)
    endpoint.refresh_from_db()


# --- messages -----------------------------------------------------------------------------------------------------


def send_to(endpoints: Iterable[Endpoint], message: Message) -> int:
    """Write a delivery of a message for each of some endpoints; return how many these are."""
    count = 0
    for endpoint in endpoints:
        message_due.send(sender=Message, using=database(), endpoint=endpoint.pk, message=message.pk)
        count += 1
    return count


def send_test(endpoint: Endpoint) -> Message:
    """Send an endpoint the event "webhook.test", whatever events it wants, and return the message."""
    body = envelope(TEST_EVENT, {"endpoint": endpoint.pk})
    with transaction.atomic(database()):
        message = Message.objects.using(database()).create(
            id=new_message_id(), event=TEST_EVENT, owner=endpoint.owner, body=body
        )
        send_to([endpoint], message)
    return message


def send_again(endpoint: Endpoint, since: datetime) -> int:
    """Send an endpoint all messages since a datetime that it has not accepted, and return how many these are.

    Messages that it missed while it was disabled are sent too.
    """
    accepted = Attempt.objects.using(database()).filter(message=OuterRef("pk"), endpoint=endpoint, error="")
    messages = Message.objects.using(database()).filter(~Exists(accepted), created_at__gte=since, owner=endpoint.owner)
    with transaction.atomic(database()):
        missed = [one for one in messages.only("event") if endpoint.wants(one.event) and one.event != TEST_EVENT]
        return sum(send_to([endpoint], one) for one in missed)
