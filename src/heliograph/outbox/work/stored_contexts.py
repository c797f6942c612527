"""The contexts that are stored with a delivery; one that nobody can read counts as empty, and is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import TypeVar

from heliograph.context.context_text import UnreadableContextError, contexts_of_events, resumed
from heliograph.context.kept_context import EMPTY, Context
from heliograph.outbox.delivery_rows import Claim

logger = logging.getLogger("heliograph.outbox")

T = TypeVar("T")


def context_of_attempt(claim: Claim) -> Context:
    """Return the context of an attempt, whose cause is the send."""
    return _read(claim, resumed) or resumed("")


def contexts_in_batch(claim: Claim) -> Iterable[Context]:
    """Return the context of each event of a batch, in their order."""
    return _read(claim, contexts_of_events) or repeat(EMPTY)


def _read(claim: Claim, read: Callable[[str], T]) -> T | None:
    try:
        return read(claim.context)
    except UnreadableContextError as error:
        logger.warning("The context of delivery %d of %s cannot be read: %s", claim.id, claim.receiver, error)
        return None
