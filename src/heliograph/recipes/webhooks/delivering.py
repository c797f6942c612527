"""The receivers that a worker calls: an event becomes a message with deliveries, and a delivery becomes a request.

A slow endpoint must not keep all workers busy. So `deliver` has the endpoint as its key: first requests to an endpoint
are made one at a time, in the order of the messages. If one fails, `deliver_again` has the retries of this message, so
that the messages behind it go on. Of all retries for an endpoint, one is made at a time too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from time import monotonic, perf_counter
from typing import Any

from django.db import transaction
from django.utils import timezone

from heliograph import Discard, Durable, Retry, RetryAfter, Snooze, __version__, receiver
from heliograph.outbox import ThisDelivery
from heliograph.recipes.webhooks.addresses import RefusedError, UnknownHostError, destination
from heliograph.recipes.webhooks.conf import webhook_settings
from heliograph.recipes.webhooks.endpoints import database, failed, release, seconds_to_wait, send_to, succeeded, take
from heliograph.recipes.webhooks.models import Attempt, Endpoint, Message
from heliograph.recipes.webhooks.posting import Answer, NoAnswerError, post
from heliograph.recipes.webhooks.retention import prune
from heliograph.recipes.webhooks.signals import event_happened, message_due, retry_due
from heliograph.recipes.webhooks.signing import signed_headers

logger = logging.getLogger("heliograph.webhooks")

QUEUE = "webhooks"

# The seconds after each attempt until the next one: the example of the specification, which takes three days.
SCHEDULE = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)

# The longest wait that an endpoint may ask for, in seconds.
LONGEST_WAIT = 86400.0


class NotDeliveredError(Exception):
    """A request has failed, or was refused."""


def _after(attempt: int) -> float:
    """Return the seconds to the next attempt."""
    return SCHEDULE[min(attempt, len(SCHEDULE)) - 1]


def connect() -> None:
    """Connect the receivers of this module."""
    options: Any = {"queue": QUEUE, "backend": webhook_settings().backend}
    retry = Retry(attempts=len(SCHEDULE) + 1, backoff=_after)
    receiver(event_happened, delivery=Durable(**options))(fan_out)
    receiver(message_due, delivery=Durable(**options, atomic=False, key="endpoint"))(deliver)
    receiver(retry_due, delivery=Durable(**options, atomic=False, retry=retry))(deliver_again)


# --- from an event to deliveries ----------------------------------------------------------------------------------


def fan_out(sender: Any, event: str, message: str, owner: str, body: str, **kwargs: Any) -> None:
    """Write a message down, and a delivery for each endpoint that wants it."""
    with transaction.atomic(database()):
        row, is_new = Message.objects.using(database()).get_or_create(
            id=message, defaults={"event": event, "owner": owner, "body": body}
        )
        if is_new:
            endpoints = Endpoint.objects.using(database()).filter(is_active=True, owner=owner)
            send_to([one for one in endpoints if one.wants(event)], row)


# --- from a delivery to a request ---------------------------------------------------------------------------------


def deliver(sender: Any, using: str, endpoint: int, message: str, **kwargs: Any) -> None:
    """Make the first request for a message; if it fails, or the endpoint pauses, `deliver_again` makes the others."""
    _prune_sometimes()
    found, text = _found(endpoint, message)
    if found.first_failure_at is None:
        result = _tried(found, text, 1)
    else:
        result = _tried_alone(found, text, 1) if take(found) else Failure("", 0.0)
    if result is not None:
        retry_due.send(
            sender=Message, using=using, endpoint=endpoint, message=message, error=result.error, wait=result.wait
        )


def deliver_again(
    sender: Any, endpoint: int, message: str, error: str, wait: float, delivery: ThisDelivery, **kwargs: Any
) -> None:
    """Make the requests for a message after the first one, until one succeeds or none is left."""
    found, text = _found(endpoint, message)
    if delivery.attempt == 1 and error:  # `deliver` has made this one
        raise _error(Failure(error, wait), 1)
    if not take(found):
        raise Snooze(seconds_to_wait(found))
    result = _tried_alone(found, text, delivery.attempt)
    if result is not None:
        raise _error(result, delivery.attempt)


@dataclass(frozen=True)
class Failure:
    """Why a request has failed, and for how many seconds the endpoint asks to be left alone."""

    error: str  # "" if there was no request
    wait: float


def _error(failure: Failure, attempt: int) -> Exception:
    """Return the error after which the next attempt comes in time: what the endpoint asks for, if that is longer."""
    return RetryAfter(failure.wait) if failure.wait > _after(attempt) else NotDeliveredError(failure.error)


def _found(endpoint: int, message: str) -> tuple[Endpoint, Message]:
    """Return the rows. Raises Discard if there is nothing to do for one of them any more."""
    row = Endpoint.objects.using(database()).filter(pk=endpoint).first()
    text = Message.objects.using(database()).filter(pk=message).first()
    if row is None or not row.is_active:
        raise Discard("The endpoint is gone." if row is None else f"The endpoint is disabled. {row.disabled_reason}")
    if text is None:
        raise Discard("The message is older than HELIOGRAPH_WEBHOOKS['KEEP'].")
    return row, text


def _tried_alone(endpoint: Endpoint, message: Message, number: int) -> Failure | None:
    """Make a request for which `take()` has made room."""
    try:
        return _tried(endpoint, message, number)
    finally:
        release(endpoint)


def _tried(endpoint: Endpoint, message: Message, number: int) -> Failure | None:
    """Make a request and record how it has ended. Return why it has failed, or None."""
    began, at = perf_counter(), timezone.now()
    answer, error = None, ""
    try:
        headers = signed_headers(endpoint.signing_secrets, message.pk, at, message.body)
        answer = post(destination(endpoint.url), {"User-Agent": f"Heliograph/{__version__}", **headers}, message.body)
        error = "" if 200 <= answer.status < 300 else f"The answer was {answer.status}."
    except (RefusedError, UnknownHostError, NoAnswerError) as raised:
        error = str(raised)[:255]
    _write_down(endpoint, message, number, perf_counter() - began, answer, error)
    return _concluded(endpoint, answer, error)


def _write_down(
    endpoint: Endpoint, message: Message, number: int, seconds: float, answer: Answer | None, error: str
) -> None:
    status, response = (None, "") if answer is None else (answer.status, answer.snippet)
    about = {"number": number, "seconds": seconds, "status_code": status, "error": error, "response": response}
    Attempt.objects.using(database()).create(endpoint=endpoint, message=message, **about)
    logger.info("%s to endpoint %d, attempt %d: %s", message, endpoint.pk, number, error or "delivered")


def _concluded(endpoint: Endpoint, answer: Answer | None, error: str) -> Failure | None:
    """Record at the endpoint how a request has ended. Raises Discard if the endpoint is disabled by that."""
    if not error:
        succeeded(endpoint)
        return None
    failed(endpoint, None if answer is None else answer.status)
    if not endpoint.is_active:
        raise Discard(f"The endpoint is disabled. {endpoint.disabled_reason}")
    return Failure(error, 0.0 if answer is None else wait_of(answer.retry_after))


def wait_of(retry_after: str) -> float:
    """Return the seconds of a header Retry-After, which has a number or a date; 0 if it makes no sense."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - timezone.now()).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(seconds, LONGEST_WAIT) if seconds > 0 else 0.0


# --- once an hour -------------------------------------------------------------------------------------------------

_EVERY = timedelta(hours=1).total_seconds()
_last_pruned = monotonic()


def _prune_sometimes() -> None:
    """Delete some old messages, once an hour in each process."""
    global _last_pruned
    if monotonic() - _last_pruned > _EVERY:
        _last_pruned = monotonic()
        prune(most=5000)
