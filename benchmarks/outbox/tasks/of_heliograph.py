"""The receivers."""

from typing import Any

from django.db.models.signals import post_save

from benchmarks.outbox.shop import bodies
from benchmarks.outbox.shop.models import Item, Order, Parcel
from heliograph import Durable, Signal, receiver


@Signal.define
def add_one(sender: Any, *, pk: int) -> None:
    """Something is to be counted."""


@Signal.define
def note(sender: Any, *, number: int) -> None:
    """The time is to be noted."""


@receiver(add_one, delivery=Durable())
def count(pk: int, **kwargs: Any) -> None:
    bodies.add_one(pk)


@receiver(post_save, sender=Item, delivery=Durable())
def count_for(instance: Item, **kwargs: Any) -> None:
    bodies.add_one(instance.pk)


@receiver(note, delivery=Durable())
def write_down(number: int, **kwargs: Any) -> None:
    bodies.note(number)


@receiver(post_save, sender=Order, delivery=Durable())
def receive(instance: Order, **kwargs: Any) -> None: ...


def _receive(name: str) -> Any:
    def function(instance: Parcel, **kwargs: Any) -> None: ...

    function.__name__ = function.__qualname__ = name
    return receiver(post_save, sender=Parcel, delivery=Durable())(function)


# Each is in the module under its name, as those are that somebody writes.
globals().update({f"receive_{number}": _receive(f"receive_{number}") for number in range(bodies.RECEIVERS)})
