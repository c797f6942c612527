"""A delivery that this release cannot read is handed back, and waits for a worker that can.

While a new release is rolled out, its processes send what workers of the old one do not know. Such an attempt does not
count, and the delivery is never dead by it: a person decides, by what `outbox status` and the admin show.
"""

from __future__ import annotations

import logging
from functools import lru_cache

from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.models import Delivery
from heliograph.outbox.outcomes import HandedBack
from heliograph.outbox.payload.errors import UnreadableError

logger = logging.getLogger("heliograph.outbox")

# The pause, in seconds, until a worker looks at the delivery again: a part of its age, between these two.
_PART, _LEAST, _MOST = 0.25, 1.0, 300.0


def handed_back(claim: Claim, error: UnreadableError) -> HandedBack:
    """Return the outcome for a delivery that cannot be read here; its pause grows with the age of the delivery."""
    row = Delivery.objects.using(claim.using).filter(pk=claim.id).annotate(now=DatabaseNow())
    age = next(((now - created).total_seconds() for created, now in row.values_list("created_at", "now")), 0.0)
    return HandedBack(min(max(age * _PART, _LEAST), _MOST), error)


@lru_cache(maxsize=1000)
def warn_once(receiver: str, error: str) -> None:
    """Log that deliveries of a receiver cannot be read, once in a process for each reason."""
    logger.warning("This release cannot read deliveries of %s, which wait for one that can: %s", receiver, error)
