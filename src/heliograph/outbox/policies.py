"""The old address of `Durable`, which is now in `heliograph`, and of `ThisDelivery`, now in `heliograph.outbox`."""

from typing import TYPE_CHECKING

from heliograph.deprecation import moved

if TYPE_CHECKING:
    from heliograph.outbox.send.policy import Durable as Durable
    from heliograph.outbox.send.policy import ThisDelivery as ThisDelivery

__getattr__ = moved(
    __name__,
    {"Durable": "heliograph.Durable", "ThisDelivery": "heliograph.outbox.ThisDelivery"},
    removed_in="1.0",
)
