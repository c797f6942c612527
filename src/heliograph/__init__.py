"""The public names of Heliograph, Django's signal system made complete and safe to build on."""

from typing import TYPE_CHECKING

from heliograph.dispatch import (
    Condition,
    Connected,
    Inline,
    ReentrancyError,
    Signal,
    add_observer,
    capture,
    inspect,
    mute,
    observe,
)
from heliograph.lazy_names import lazy_names

if TYPE_CHECKING:
    from heliograph.changes import NO_ROW, UNKNOWN, Change, changes_of
    from heliograph.conditions import action, changed, created, has, raw, update_fields
    from heliograph.context import acting
    from heliograph.flow.explain import explain
    from heliograph.flow.trace import trace
    from heliograph.model_senders import when_models_are_loaded
    from heliograph.outbox.durable.retrying import Discard, Retry, RetryAfter, Snooze, exponential, fixed
    from heliograph.outbox.send.policy import Durable
    from heliograph.receivers.decorator import receiver
    from heliograph.transactions import Batch, BeforeCommit, BeforeWrite, OnCommit, OnRollback, UnsettledError
    from heliograph.transactions.rehearsing import Rehearsal, rehearsal

__version__ = "0.1.0.dev0"

__all__ = [
    "NO_ROW",
    "UNKNOWN",
    "Batch",
    "BeforeCommit",
    "BeforeWrite",
    "Change",
    "Condition",
    "Connected",
    "Discard",
    "Durable",
    "Inline",
    "OnCommit",
    "OnRollback",
    "ReentrancyError",
    "Rehearsal",
    "Retry",
    "RetryAfter",
    "Signal",
    "Snooze",
    "UnsettledError",
    "acting",
    "action",
    "add_observer",
    "capture",
    "changed",
    "changes_of",
    "created",
    "explain",
    "exponential",
    "fixed",
    "has",
    "inspect",
    "mute",
    "observe",
    "raw",
    "receiver",
    "rehearsal",
    "trace",
    "update_fields",
    "when_models_are_loaded",
]

# Where the names are that need Django, which the dispatcher does without.
_HOMES = {
    **dict.fromkeys(("NO_ROW", "UNKNOWN", "Change", "changes_of"), "changes"),
    **dict.fromkeys(("action", "changed", "created", "has", "raw", "update_fields"), "conditions"),
    "acting": "context",
    "Durable": "outbox.send.policy",
    **dict.fromkeys(("Discard", "Retry", "RetryAfter", "Snooze", "exponential", "fixed"), "outbox.durable.retrying"),
    "receiver": "receivers.decorator",
    **dict.fromkeys(("Rehearsal", "rehearsal"), "transactions.rehearsing"),
    "explain": "flow.explain",
    "trace": "flow.trace",
    "when_models_are_loaded": "model_senders",
    **dict.fromkeys(
        ("Batch", "BeforeCommit", "BeforeWrite", "OnCommit", "OnRollback", "UnsettledError"), "transactions"
    ),
}

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
