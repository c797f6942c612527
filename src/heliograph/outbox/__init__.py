"""Durable receivers: their calls are rows, written in the transaction of the send and made by a worker."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.outbox.events import DeliveryEvent
    from heliograph.outbox.outcomes import Again, Dead, Discarded, HandedBack, Succeeded
    from heliograph.outbox.send.policy import ThisDelivery
    from heliograph.outbox.work.runner import drain

__all__ = ["Again", "Dead", "DeliveryEvent", "Discarded", "HandedBack", "Succeeded", "ThisDelivery", "drain"]

# The module of each public name. It is imported when somebody asks for the name, because Django imports this package
# before there are models.
_MODULES = {
    "DeliveryEvent": "events",
    **dict.fromkeys(("Again", "Dead", "Discarded", "HandedBack", "Succeeded"), "outcomes"),
    "ThisDelivery": "send.policy",
    "drain": "work.runner",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
