"""The outcomes of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.outbox.durable.retrying import Discard, Retry, RetryAfter, Snooze


class LostWorkerError(Exception):
    """A worker has given no sign for the length of its lease; it was killed, most likely by what it did."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The receiver has returned this response."""

    response: Any = None


@dataclass(frozen=True, slots=True)
class Again:
    """The receiver has failed with this error, and is called again after so many seconds."""

    seconds: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The receiver asks to be called after so many seconds, and this attempt does not count."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discarded:
    """There is nothing left to do, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The receiver has failed with this error, and is not called again unless somebody redelivers it."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class HandedBack:
    """This release cannot read the delivery: it waits for so many seconds, and no attempt is counted."""

    seconds: float
    error: Exception


Outcome = Succeeded | Again | Snoozed | Discarded | Dead | HandedBack


def of_response(response: Any) -> Outcome:
    """Return the outcome of an attempt whose receiver has returned."""
    return Discarded(response.reason) if isinstance(response, Discard) else Succeeded(response)


def of_loss(error: LostWorkerError, retry: Retry, attempt: int) -> Outcome:
    """Return the outcome of an attempt whose worker was lost; `on` and `give_up_on` do not matter."""
    return Again(retry.seconds(attempt), error) if attempt < retry.attempts else Dead(error)


def of_error(error: BaseException, retry: Retry, attempt: int) -> Outcome:
    """Return the outcome of an attempt that has ended with an error."""
    match error:
        case Discard():
            return Discarded(error.reason)
        case Snooze():
            return Snoozed(error.seconds)
        case RetryAfter():
            return Again(error.seconds, error) if attempt < retry.attempts else Dead(error)
        case _ if retry.is_due(error, attempt):
            return Again(retry.seconds(attempt), error)
        case _:
            return Dead(error)
