"""The public names of Heliograph, Django's signal system made complete and safe to build on."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from heliograph.changes import NO_ROW, UNKNOWN, Change, changes_of
    from heliograph.conditions import action, changed, created, has, raw, update_fields
    from heliograph.flow.trace import trace
    from heliograph.outbox.durable.retrying import Discard, Retry, RetryAfter, exponential, fixed
    from heliograph.outbox.send.policy import Durable
    from heliograph.receivers.decorator import receiver
    from heliograph.transactions import Batch, BeforeCommit, OnCommit, OnRollback, UnsettledError

__version__ = "0.1.0.dev0"

__all__ = [
    "NO_ROW",
    "UNKNOWN",
    "Batch",
    "BeforeCommit",
    "Change",
    "Condition",
    "Connected",
    "Discard",
    "Durable",
    "Inline",
    "OnCommit",
    "OnRollback",
    "ReentrancyError",
    "Retry",
    "RetryAfter",
    "Signal",
    "UnsettledError",
    "action",
    "add_observer",
    "capture",
    "changed",
    "changes_of",
    "created",
    "exponential",
    "fixed",
    "has",
    "inspect",
    "mute",
    "observe",
    "raw",
    "receiver",
    "trace",
    "update_fields",
]

# Where the names are that need Django, which the dispatcher does without.
_HOMES = {
    **dict.fromkeys(("NO_ROW", "UNKNOWN", "Change", "changes_of"), "changes"),
    **dict.fromkeys(("action", "changed", "created", "has", "raw", "update_fields"), "conditions"),
    "Durable": "outbox.send.policy",
    **dict.fromkeys(("Discard", "Retry", "RetryAfter", "exponential", "fixed"), "outbox.durable.retrying"),
    "receiver": "receivers.decorator",
    "trace": "flow.trace",
    **dict.fromkeys(("Batch", "BeforeCommit", "OnCommit", "OnRollback", "UnsettledError"), "transactions"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
