"""The columns of a delivery: what its send writes, what every delivery begins with, and what a worker claims.

A column that is added to the model is added here, and nowhere else: the statements in `sql` are made of these names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A call as the send writes it: each field is a column, with a parameter in the INSERT.

    The first ones are options of the receiver, which have the same names in `Durable(...)`.
    """

    backend: str  # an alias of HELIOGRAPH_OUTBOX
    queue: str
    receiver: str  # its module and name
    signal: str
    sender: str
    key: str  # "" for none
    payload: str
    context: str  # "" for an empty one


@dataclass(frozen=True, slots=True)
class Claim(DeliveryRow):
    """A delivery that a worker has claimed for an attempt."""

    id: int
    attempt: int  # 1 for the first
    created_at: Any  # as the driver of the database gives it
    worker: str = field(kw_only=True)
    using: str = field(kw_only=True)  # the alias of the database

    @property
    def fence(self) -> tuple[int, str, int]:
        """The parameters of `sql.FENCE`."""
        return self.id, self.worker, self.attempt


# The columns that are options, and a function that returns their values from a policy.
OPTIONS = ("backend", "queue")
options_of: Any = attrgetter(*OPTIONS)

# The columns of an INSERT that have parameters, and a function that returns their values.
SENT = tuple(one.name for one in fields(DeliveryRow))
values_of: Any = attrgetter(*SENT)

# The columns that begin with the same SQL in every delivery. The others begin with NULL.
INITIAL = {
    "state": "'READY'",
    "attempts": "0",
    "due_at": "{now}",
    "created_at": "{now}",
    "worker": "''",
    "error": "''",
    "traceback": "''",
    "history": "''",
}

# The columns that a worker reads, in the order of the fields of a claim.
CLAIMED = (*SENT, "id", "attempts", "created_at")
