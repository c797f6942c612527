"""The policy of audited models: sends are kept until right before the commit, and become entries all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from heliograph.audit.audited_models import Audited
from heliograph.audit.recorded import Recorded
from heliograph.audit.writing import write
from heliograph.changes.current import without_wrapper
from heliograph.changes.under_way import running
from heliograph.dispatch import Call
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.options import NeverMuted, Options, WritesRows
from heliograph.transactions.collect import Received, ReceivedSend
from heliograph.transactions.end_policies import AtTheEnd
from heliograph.transactions.pending import Pending, Stage

_WRITES = WritesRows(("heliograph_audit.Entry",))


@dataclass(frozen=True, repr=False)
class Recording(AtTheEnd):
    """Write entries for all sends of a transaction in its last statement, also for receivers that are muted."""

    audited: Audited | None = None
    batch: bool = True

    stage: ClassVar[Stage] = Stage.STORED
    is_of_changes: ClassVar[bool] = True

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver whose sends become entries."""
        return super().connected(options, receiver, target).with_facts(NeverMuted(), _WRITES)

    def kept(self, call: Call, using: str) -> Recorded | None:
        """Return the call as a call by itself, so that the calls of all receivers stay in the order of their sends.

        A save that changes nothing is left out, and so is the row of a parent where a fixture has a row of the child,
        which does not write it.
        """
        audited = self.audited
        assert isinstance(call, Received)
        assert audited is not None
        if _changes_nothing(call, audited):
            return None
        if call.sender._meta.concrete_model is audited.model or "instance" not in call.payload:
            return Recorded(call.receiver, call.payload, call, audited)
        if call.payload.get("raw"):
            return None
        save = running(without_wrapper(call.payload["instance"]))
        was_there = audited.model in getattr(save, "parents_there", ())
        return Recorded(call.receiver, call.payload, call, audited, was_there)

    @staticmethod
    def make(due: Sequence[Pending]) -> None:
        """Write the entries of these sends."""
        of_database: dict[str, list[Any]] = {}
        for one in due:
            of_database.setdefault(one.using, []).append(one.call)
        for using, calls in of_database.items():
            write(using, calls)


def _changes_nothing(call: Received, audited: Audited) -> bool:
    is_update = isinstance(call, ReceivedSend) and call.kind == "updated" and call.comparison is not None
    return is_update and not call.comparison.differs(audited.fields)  # type: ignore[attr-defined]  # a send
