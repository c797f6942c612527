"""The outbox: calls of durable receivers are rows of a table, written with the data, and made by workers.

A receiver with `delivery=Durable(...)` is not called by the send. The send writes a *delivery*, one stored call, in the
transaction that is open: both are committed, or neither. A *worker* claims the delivery with a *lease*, calls the
receiver and records the *outcome* of this *attempt*. A failed attempt is followed by another one; after the last one
the delivery is *dead*, until a person redelivers or discards it. A *backend* is the system whose workers make calls.

    @receiver(post_save, sender=Order, when=created, delivery=Durable(queue="mail"))
    def confirm(sender, instance, **kwargs): ...

    Order.objects.create(customer=ada)    # writes the order and a delivery
    manage.py outbox run                  # calls confirm(), in another process
    drain()                               # does the same in a test

Rooms, from the bottom: `durable` (what is declared), `notify` (backends get messages), `payload` (a call as text),
`send`, `work`, `manage`, `upkeep`, `backends`. Each imports only rooms below it.
"""

from typing import TYPE_CHECKING

from heliograph.lazy_names import lazy_names

if TYPE_CHECKING:
    from heliograph.outbox.events import DeliveryEvent
    from heliograph.outbox.outcomes import Again, Dead, Discarded, HandedBack, Snoozed, Succeeded
    from heliograph.outbox.send.policy import ThisDelivery
    from heliograph.outbox.work.runner import drain

__all__ = [
    "Again",
    "Dead",
    "DeliveryEvent",
    "Discarded",
    "HandedBack",
    "Snoozed",
    "Succeeded",
    "ThisDelivery",
    "drain",
]

# The module of each public name. It is imported when somebody asks for the name, because Django imports this package
# before there are models.
_MODULES = {
    "DeliveryEvent": "events",
    **dict.fromkeys(("Again", "Dead", "Discarded", "HandedBack", "Snoozed", "Succeeded"), "outcomes"),
    "ThisDelivery": "send.policy",
    "drain": "work.runner",
}

__getattr__ = lazy_names(__name__, _MODULES)
