"""The outcomes of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.outbox.durable.retrying import Discard, Retry, RetryAfter, Snooze


class LostWorkerError(Exception):
    """A worker has given no sign for the length of its lease; it was killed, most likely by what it did."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The outcome of an attempt whose receiver has returned this response. Frozen."""

    response: Any = None


@dataclass(frozen=True, slots=True)
class Again:
    """The outcome of an attempt that has failed with this error: another one follows after so many seconds. Frozen."""

    seconds: float
    error: BaseException


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The outcome of an attempt whose receiver asks to be called after so many seconds; it does not count. Frozen."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Discarded:
    """The outcome of a delivery for which nothing is left to do, for this reason. Frozen."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The outcome of the last attempt, which has failed with this error; only a person redelivers it. Frozen."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The outcome of a delivery that this release cannot read: it waits for so many seconds for another worker. Frozen.

    No attempt is counted.
    """

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
