"""The record of a send, which waits for the end of its transaction."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.audit.audited_models import Audited
from heliograph.dispatch import Call
from heliograph.transactions.collect import Received


@dataclass(frozen=True, slots=True)
class Recorded(Call):
    """A send, or the rows of a bulk write, of an audited model."""

    received: Received
    audited: Audited
    was_there: bool = False  # whether the row of a parent was there before the row of its child was created
