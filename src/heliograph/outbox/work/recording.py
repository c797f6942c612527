"""An outcome is written into the row of its delivery, if the worker still has that delivery."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from django.db import Error, connections, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils import timezone

from heliograph.databases import database_of
from heliograph.outbox import statements
from heliograph.outbox.charset import one_line, storable, with_fewer_characters
from heliograph.outbox.clock import DatabaseLater, DatabaseNow
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.durable.retrying import errors_in
from heliograph.outbox.models import FINISHED, Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, HandedBack, Outcome, Snoozed, Succeeded

# So many characters of a traceback are kept, from its end, which says what happened.
_LONGEST = 50_000

# How many errors of a group are named in one line.
_MOST_ERRORS = 10


class LostError(Exception):
    """The worker has lost its delivery: its lease has run out, or somebody took it away."""


class UnrecordedError(Exception):
    """The database did not answer when an outcome was to be recorded; it is to be recorded later."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"The outcome could not be recorded: {outcome!r}")
        self.outcome = outcome


@contextmanager
def kept_for_later(outcome: Outcome) -> Iterator[None]:
    """Raise UnrecordedError with the outcome, if the database fails in the block."""
    try:
        yield
    except Error as error:
        raise UnrecordedError(outcome) from error


def record(claim: Claim, outcome: Outcome) -> None:
    """Write the outcome of an attempt.

    Raises LostError, and writes nothing, if the worker has lost the delivery. In the transaction of the receiver, the
    error rolls back what the receiver has written.
    """
    match outcome:
        case Succeeded():
            written = _record_success(claim)
        case Discarded(reason):
            written = _record(claim, state=State.DISCARDED, finished_at=DatabaseNow(), error=one_line(reason))
        case Again(seconds, error):
            due_at = DatabaseLater(seconds)
            written = _record(claim, state=State.READY, due_at=due_at, worker="", **_failure(claim, error))
        case Snoozed(seconds):
            waiting = {"state": State.READY, "due_at": DatabaseLater(seconds), "worker": ""}
            written = _record(claim, **waiting, attempts=F("attempts") - 1)
        case HandedBack(seconds, error):
            waiting = {"state": State.READY, "due_at": DatabaseLater(seconds), "worker": ""}
            written = _record(claim, **waiting, attempts=F("attempts") - 1, error=described(error))
        case Dead(error):
            written = _record(claim, state=State.DEAD, finished_at=DatabaseNow(), **_failure(claim, error))
    if not written:
        raise LostError(
            f"Delivery {claim.id} of {claim.receiver} is not in the hands of {claim.worker} any more, which has made"
            f" attempt {claim.attempt}: its lease has run out, or somebody has taken it away."
        )


def is_recorded(claim: Claim) -> bool:
    """Return whether the table says that an attempt has ended."""
    finished = Delivery.objects.using(claim.using).filter(state__in=FINISHED)
    return finished.filter(pk=claim.id, worker=claim.worker, attempts=claim.attempt).exists()


def _record_success(claim: Claim) -> int:
    connection = connections[claim.using]
    with connection.cursor() as cursor:
        cursor.execute(statements.success(database_of(connection)), claim.fence)
        count: int = cursor.rowcount
    return count


def _record(claim: Claim, **values: Any) -> int:
    number, worker, attempt = claim.fence
    held = Delivery.objects.using(claim.using).filter(pk=number, state=State.RUNNING, worker=worker, attempts=attempt)
    return _updated(held, {**values, "leased_until": None})


def _updated(rows: Any, values: dict[str, Any]) -> int:
    """Update rows; characters that the database cannot store are escaped, so that no outcome is lost for them."""
    fewer, lacks_character = with_fewer_characters(values), database_of(connections[rows.db]).lacks_character
    while True:
        try:
            with transaction.atomic(rows.db):
                count: int = rows.update(**values)
            return count
        except (Error, UnicodeError) as error:
            narrowed = next(fewer, None) if lacks_character(error) else None
            if narrowed is None:
                raise
            values = narrowed


def _failure(claim: Claim, error: BaseException) -> dict[str, Any]:
    """Return the columns for an error, with a line for the history."""
    text = described(error)
    entry = {
        "attempt": claim.attempt,
        "at": timezone.now().isoformat(timespec="seconds"),
        "worker": claim.worker,
        "error": text,
    }
    return {
        "error": text,
        "traceback": storable(_traceback_of(error)[-_LONGEST:]),
        "history": Concat(F("history"), Value(json.dumps(entry) + "\n")),
    }


def described(error: BaseException) -> str:
    """Return the class and the text of an error in one line, also if the error has no text that can be shown."""
    try:
        text = str(error)
    except BaseException as raised:
        text = f"its text cannot be shown: {type(raised).__name__}"
    within = "; ".join(map(described, islice(errors_in(error), _MOST_ERRORS)))
    text += f" [{within}]" if within else ""
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _traceback_of(error: BaseException) -> str:
    """Return the traceback of an error; if Python cannot format the error, the stack and the class."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # a SyntaxError, for one, is formatted by attributes that anything can be assigned to
        return "".join(["Traceback:\n", *traceback.format_tb(error.__traceback__), described(error)])
