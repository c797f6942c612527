"""Outcomes: how an attempt ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.outbox.durable.retrying import Discard, Retry, RetryAfter


class LostWorkerError(Exception):
    """A worker has given no sign for the time of its lease; it was killed, most likely by what it did."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The receiver was called, and has returned this."""

    response: Any = None


@dataclass(frozen=True, slots=True)
class Again:
    """The receiver failed with this error, and is called again after so many seconds."""

    seconds: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class Discarded:
    """There is nothing to do any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The receiver failed with this error, and is not called again unless somebody says so."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class HandedBack:
    """This release cannot read the delivery: a worker looks at it again after so many seconds, and nothing counts."""

    seconds: float
    error: Exception


Outcome = Succeeded | Again | Discarded | Dead | HandedBack


def of_response(response: Any) -> Outcome:
    """Return the outcome of an attempt whose receiver has returned."""
    return Discarded(response.reason) if isinstance(response, Discard) else Succeeded(response)


def of_loss(error: LostWorkerError, retry: Retry, attempt: int) -> Outcome:
    """Return the outcome of an attempt whose worker was lost, whatever errors are wanted."""
    return Again(retry.seconds(attempt), error) if attempt < retry.attempts else Dead(error)


def of_error(error: BaseException, retry: Retry, attempt: int) -> Outcome:
    """Return the outcome of an attempt that has ended with an error."""
    match error:
        case Discard():
            return Discarded(error.reason)
        case RetryAfter():
            return Again(error.seconds, error) if attempt < retry.attempts else Dead(error)
        case _ if retry.is_due(error, attempt):
            return Again(retry.seconds(attempt), error)
        case _:
            return Dead(error)
