"""What a type checker makes of declared signals: each ignored error must be one, or mypy says so."""

from heliograph import (
    UNKNOWN,
    Batch,
    BeforeCommit,
    BeforeWrite,
    Change,
    OnCommit,
    Signal,
    capture,
    changed,
    changes_of,
    created,
    mute,
    raw,
    receiver,
)
from heliograph.signals import post_save, pre_save, request_finished


@Signal.define
def order_shipped(sender: object, *, order: int, carrier: str = "DHL") -> None:
    """An order left the warehouse."""


@receiver(order_shipped, order=1)
def receives(sender: object, order: int, **kwargs: object) -> str:
    return str(order)


book_read = Signal()
order_shipped.send(sender=None, order=1)
order_shipped.send(None, order=1, carrier="DHL")
order_shipped.send(None, order="one")  # type: ignore[arg-type]
order_shipped.send(None)  # type: ignore[call-arg]
order_shipped.send_robust(None, order=1, courier="DHL")  # type: ignore[call-arg]
book_read.send(None, anything=1)
receiver(order_shipped, orders=1)  # type: ignore[call-arg]
response: str = receives(None, 1)

with mute(order_shipped), capture(order_shipped) as sent:
    first: object = sent[0].kwargs["order"]


async def sends() -> None:
    await order_shipped.asend(None, order=1)
    await order_shipped.asend_robust(None)  # type: ignore[call-arg]


def is_loud(**payload: object) -> bool:
    return True


@receiver(pre_save, when=is_loud & created & ~raw | changed("name", to="Ada"), using="default", fetch="always")
def watches(instance: object, changes: dict[str, Change], **kwargs: object) -> bool:
    return changes["name"].old is UNKNOWN or "name" in changes_of(instance)


@receiver(pre_save, delivery=BeforeCommit(batch=True))
def adds_up(batch: Batch, **kwargs: object) -> list[Change]:
    return [event.changes["name"] for event in batch.events if event.kind == "updated"]


@receiver(pre_save, bulk=True, when=created | changed("name"), fetch="lock", delivery=BeforeWrite())
def locks(batch: Batch, using: str, **kwargs: object) -> list[object]:
    return [event.new("name") for event in batch.events]


receiver(pre_save, delivery=BeforeWrite(attempts=2))
receiver(pre_save, delivery=BeforeWrite(attempts="2"))  # type: ignore[arg-type]
receiver(pre_save, delivery=BeforeWrite(batch=True))  # type: ignore[call-arg]
receiver(pre_save, delivery=OnCommit)  # type: ignore[arg-type]
receiver(pre_save, delivery=OnCommit(batch="yes"))  # type: ignore[arg-type]
receiver(pre_save, delivery="later")  # type: ignore[arg-type]
receiver(pre_save, fetch="sometimes")  # type: ignore[arg-type]
receiver(pre_save, writes=[1])  # type: ignore[list-item]
changed(1)  # type: ignore[arg-type]

post_save.connect(watches, sender="app.Order", when=created | changed("name"), order=1, bulk=True)
post_save.connect(watches, sender=["app.Order", "app.Line"], delivery=OnCommit())
post_save.connect(watches, wehn=created)  # type: ignore[call-arg]
post_save.connect(watches, fetch="sometimes")  # type: ignore[arg-type]
post_save.disconnect(watches, sender="app.Order", subclasses=True)
request_finished.connect(watches, order=-1, when=is_loud)
request_finished.connect(watches, bulk=True)  # type: ignore[call-arg]
