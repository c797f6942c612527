"""An attempt: the receiver of a delivery is called, and the outcome is recorded."""

from __future__ import annotations

import hashlib
import logging
import signal
import threading
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections

from heliograph.context.kept_context import current_context, under
from heliograph.dispatch import Call
from heliograph.dispatch.observed_calls import current_call, notify
from heliograph.dispatch.reentrancy import Handling, HandlingAll
from heliograph.dispatch.scopes import open_scopes
from heliograph.outbox.charset import one_line
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.durable import registry
from heliograph.outbox.durable.durable_options import DurableOptions
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.durable.retrying import RetryAfter, Snooze
from heliograph.outbox.events import DeliveryEvent, Name
from heliograph.outbox.outcomes import (
    Again,
    Dead,
    Discarded,
    HandedBack,
    LostWorkerError,
    Outcome,
    Snoozed,
    Succeeded,
    of_error,
    of_response,
)
from heliograph.outbox.payload.calls import restored
from heliograph.outbox.payload.errors import MissingError, UnreadableError
from heliograph.outbox.payload.instances import handled
from heliograph.outbox.send.policy import ThisDelivery
from heliograph.outbox.work.forks import forks_end
from heliograph.outbox.work.handing_back import handed_back, warn_once
from heliograph.outbox.work.isolation import isolated
from heliograph.outbox.work.leftovers import none_left_open
from heliograph.outbox.work.limits import reported, stack_of, within
from heliograph.outbox.work.observed_attempts import observed_attempt
from heliograph.outbox.work.recording import LostError, described, is_recorded, kept_for_later, record
from heliograph.outbox.work.stored_contexts import context_of_attempt, contexts_in_batch
from heliograph.outbox.write_transaction import block_of_attempt
from heliograph.transactions.batches import Batch
from heliograph.transactions.late_calls import make_late

logger = logging.getLogger("heliograph.outbox")


def attempt(claim: Claim, receivers: Sequence[DurableReceiver]) -> Outcome | None:
    """Call the receiver of a delivery, and record the outcome; None if the worker has lost the delivery meanwhile."""
    with under(context_of_attempt(claim)), observed_attempt(claim):
        return _attempt(claim, registry.chosen(receivers, claim.signal, claim.sender))


def _attempt(claim: Claim, durable: DurableReceiver) -> Outcome | None:
    began = perf_counter()
    _observe(claim, "delivery_started")
    try:
        with reported(durable.policy.warn_after, partial(_report_slow, claim, began, threading.get_ident())):
            outcome = isolated(partial(_made, claim, durable))
    except LostError as error:
        logger.warning("%s%s", error, " What it has written is undone." if durable.policy.atomic else "")
        return None
    announce(claim, outcome, perf_counter() - began)
    return outcome


def _made(claim: Claim, durable: DurableReceiver) -> Outcome:
    policy, recorded = durable.policy, None
    outcome: Outcome
    try:
        _verify_attempts(claim, policy)
        with none_left_open(claim.receiver), forks_end(), block_of_attempt(claim.using, atomic=policy.atomic):
            recorded = of_response(make_call(claim, durable))
            record(claim, recorded)
        return recorded
    except LostError:
        raise
    except UnreadableError as error:
        outcome = handed_back(claim, error)
    except MissingError as error:
        outcome = _of_missing(error, durable, claim.attempt)
    except BaseException as error:
        if _is_ctrl_c(error):
            raise
        close_broken_connections()
        outcome = _outcome_of(error, claim, policy, recorded)
        if recorded is not None and _is_recorded(claim, outcome):  # an on_commit callback has raised the error
            logger.exception("An error after the commit of delivery %d of %s", claim.id, claim.receiver)
            return recorded
    with kept_for_later(outcome):
        record(claim, outcome)
    return outcome


def _verify_attempts(claim: Claim, policy: DurableOptions) -> None:
    """Raise LostWorkerError if no attempt is left: the process that rescued it may not know its `retry=`."""
    if claim.attempt > policy.retry.attempts:
        raise LostWorkerError(f"Its workers were lost in all of its {claim.attempt - 1} attempts")


def _outcome_of(error: BaseException, claim: Claim, policy: DurableOptions, recorded: Outcome | None) -> Outcome:
    """Return the outcome of an attempt that an error has ended, perhaps after the receiver has returned.

    With `atomic=False`, a success that could not be recorded stays a success: nothing undoes the call.
    """
    if isinstance(recorded, Succeeded) and not policy.atomic:
        return recorded
    return of_error(error, policy.retry, claim.attempt)


def _is_recorded(claim: Claim, outcome: Outcome) -> bool:
    with kept_for_later(outcome):
        return is_recorded(claim)


def _is_ctrl_c(error: BaseException) -> bool:
    """Return whether somebody has pressed Ctrl-C, which ends a `drain()`, and is no failure of the receiver.

    Python raises KeyboardInterrupt in the main thread, unless the process has a handler for SIGINT, as a worker has.
    """
    is_possible = isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
    return is_possible and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def close_broken_connections() -> None:
    """Close connections that an error has made useless, as Django does after a request."""
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def make_call(claim: Claim, durable: DurableReceiver) -> Any:
    """Call the receiver as the send would have: it is not called again for an instance that it is handling."""
    receiver = durable.receiver()
    payload = restored(claim.payload, claim.using, durable, contexts_in_batch(claim))
    if durable.asks_for_delivery and "delivery" not in payload:
        payload["delivery"] = ThisDelivery(claim.id, claim.attempt, _idempotency_key(claim))
    handling = _handling(receiver, payload, claim.using) if durable.is_guarded else None
    with none_left_open(claim.receiver), forks_end():
        response = make_late(Call(receiver, payload), handling, current_call(), current_context.get())
        if isawaitable(response):
            response = _waited_for(within(durable.policy.give_up_after, response))
    if isinstance(response, RetryAfter | Snooze):
        raise response  # so that what the receiver has written is rolled back: the next attempt writes it again
    return response


def _handling(receiver: Any, payload: dict[str, Any], using: str) -> Handling | None:
    batch = payload.get("batch")
    if isinstance(batch, Batch):
        return HandlingAll(receiver, [{**event.kwargs, "using": payload.get("using")} for event in batch.events])
    if payload.get("instance") is None:
        return None
    return Handling(receiver, {**payload, "instance": handled(payload, using)})


@dataclass(frozen=True, slots=True)
class _Raised:
    """The error of an async receiver."""

    error: BaseException


def _waited_for(response: Awaitable[Any]) -> Any:
    result = async_to_sync(_awaited)(response)
    if isinstance(result, _Raised):
        raise result.error
    return result


async def _awaited(response: Awaitable[Any]) -> Any:
    """Return the response of an async receiver, or its error: a KeyboardInterrupt would end the whole event loop."""
    try:
        with forks_end():
            return await response
    except BaseException as error:
        return _Raised(error)


def _idempotency_key(claim: Claim) -> str:
    """Return a text that is the same in all attempts of a delivery, and in no other delivery, even of a new database.

    It does not depend on the receiver's name, which may change between two attempts.
    """
    at = claim.created_at
    if getattr(at, "tzinfo", None) is not None:  # the time zone of the session, which may change
        at = at.astimezone(UTC)
    made = f"{claim.id} {at} {claim.payload}"
    return hashlib.sha256(made.encode()).hexdigest()[:32]


def _of_missing(error: MissingError, durable: DurableReceiver, attempt: int) -> Outcome:
    match durable.policy.missing:
        case "discard":
            return Discarded(str(error))
        case "retry" if attempt < durable.policy.retry.attempts:
            return Again(durable.policy.retry.seconds(attempt), error)
        case _:
            return Dead(error)


# --- log and observers ------------------------------------------------------------------------------------------


def announce(claim: Claim, outcome: Outcome, seconds: float | None) -> None:
    """Log how an attempt has ended, and let observers know."""
    about = (claim.id, claim.receiver, claim.attempt)
    match outcome:
        case Succeeded():
            logger.info("Delivery %d of %s succeeded (attempt %d)", *about)
            _observe(claim, "delivery_finished", seconds)
        case Discarded(reason):
            logger.info("Delivery %d of %s is discarded (attempt %d): %s", *about, one_line(reason))
            _observe(claim, "delivery_finished", seconds)
        case Again(delay, error):
            logger.warning(
                "Delivery %d of %s failed (attempt %d), the next one is due in %.1f s: %s",
                *(*about, delay, described(error)),
            )
            _observe(claim, "delivery_failed", seconds, error)
        case Snoozed(delay):
            logger.debug(
                "Delivery %d of %s waits for %.1f s more, as its receiver asks", claim.id, claim.receiver, delay
            )
            _observe(claim, "delivery_snoozed", seconds)
        case HandedBack(_, error):
            warn_once(claim.receiver, described(error))
            _observe(claim, "delivery_handed_back", seconds, error)
        case Dead(error):
            logger.error("Delivery %d of %s is dead (attempt %d): %s", *about, described(error), exc_info=error)
            _observe(claim, "delivery_dead", seconds, error)


def _report_slow(claim: Claim, began: float, thread: int) -> None:
    seconds = perf_counter() - began
    logger.warning(
        "Delivery %d of %s is slow (attempt %d): it has been running for %.1f s, and is here:\n%s",
        *(claim.id, claim.receiver, claim.attempt, seconds, stack_of(thread)),
    )
    _observe(claim, "delivery_slow", seconds)


def _observe(claim: Claim, name: Name, seconds: float | None = None, error: BaseException | None = None) -> None:
    scopes = open_scopes()
    if scopes:
        event = DeliveryEvent(name, claim.id, claim.receiver, claim.queue, claim.attempt, seconds, error)
        notify(scopes, event)
