"""The three ways in which the confirmation of an order is delivered, and the figures of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAIL_SECONDS = 0.05  # how long the mail server takes for a mail
HEADER = "X-Order"  # of a mail: the key of the order that it is about
CUSTOMERS = 200  # who are in the shop from the beginning


@dataclass(frozen=True)
class Variant:
    """A way of delivery: its name in tables, and its name in databases and variables."""

    name: str
    key: str


VARIANTS = (Variant("Inline", "inline"), Variant("OnCommit", "on_commit"), Variant("Durable", "durable"))


@dataclass(frozen=True)
class Requests:
    """The orders as locust has counted them: answered, failed, and milliseconds of the request."""

    orders: int
    failed: int
    rate: float  # orders a second
    p50: float
    p95: float
    server: float  # milliseconds of a processor for an order, which other processes on the machine do not change much
    worker: float


@dataclass(frozen=True)
class Checked:
    """A sentence that must hold of some rows, and how many of them break it."""

    text: str
    rows: int
    differences: int


@dataclass(frozen=True)
class Result:
    """The run of one variant: its requests, its mails, and what the check found."""

    variant: Variant
    requests: Requests
    arrived: int  # mails
    waiting: int  # mails that are in the outbox
    checked: Sequence[Checked]

    @property
    def differences(self) -> int:
        """How many rows are not as they must be."""
        return sum(one.differences for one in self.checked)

    @property
    def is_right(self) -> bool:
        """Whether orders were placed, none failed, and nothing differs."""
        return self.requests.orders > 0 and not self.requests.failed and not self.differences
