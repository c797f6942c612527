"""Who writes the activity log."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.template.defaultfilters import pluralize
from django.urls import reverse
from heliograph import Batch, BeforeCommit, created, raw, receiver, update_fields
from heliograph.signals import post_save, post_update, pre_delete

from activity.models import Entry
from store.models import Customer, Order, OrderItem, Product, Restock
from store.signals import order_placed


@receiver(post_save, sender=Customer, when=created & ~raw)
def log_customer(sender: type[Customer], instance: Customer, **kwargs: Any) -> None:
    """Log a new customer."""
    _log(Entry.Kind.JOINED, instance.joined_on, f"{instance} joined", instance.get_absolute_url())


@receiver(post_save, sender=Restock, when=created & ~raw, bulk=True)
def log_restock(sender: type[Restock], instance: Restock, **kwargs: Any) -> None:
    """Log CDs that came in."""
    _log(Entry.Kind.RESTOCKED, instance.day, f"{instance} came in", instance.product.get_absolute_url())


@receiver(post_update, sender=Product, when=update_fields("cents"))
def log_prices(sender: type[Product], batch: Batch, **kwargs: Any) -> None:
    """Log the prices that a query has changed, all of them in one entry."""
    if changes := batch.changes("cents"):
        _, old, new = zip(*changes, strict=True)
        text = f"{len(changes)} CD{pluralize(changes)} went from {_mean(old)} to {_mean(new)} on average"
        _log(Entry.Kind.REPRICED, batch.updated[0].priced_on, text, reverse("products"))


@receiver(order_placed, delivery=BeforeCommit(batch=True))
def log_orders(sender: type[Order], batch: Batch, **kwargs: Any) -> None:
    """Log the orders of a transaction, all of them by one statement; one that is cancelled already has no key."""
    orders = [order for event in batch.events if (order := event.kwargs["order"]).pk]
    prices = _prices(orders)
    Entry.objects.bulk_create(order_entry(order, prices[order.pk]) for order in orders)


def order_entry(order: Order, prices: Sequence[int]) -> Entry:
    """Return the entry of an order whose items cost so many cents each."""
    text = f"{order.customer} ordered {_contents(prices)}"
    return Entry(kind=Entry.Kind.PLACED, day=order.placed_on, text=text, path=order.get_absolute_url())


@receiver(pre_delete, sender=Order)
def log_cancellation(sender: type[Order], instance: Order, **kwargs: Any) -> None:
    """Log an order that is cancelled, and whose page goes, while its items are there."""
    Entry.objects.filter(kind=Entry.Kind.PLACED, path=instance.get_absolute_url()).update(path="")
    text = f"{instance.customer} cancelled {_contents(_prices([instance])[instance.pk])}"
    _log(Entry.Kind.CANCELLED, instance.placed_on, text, instance.customer.get_absolute_url())


def _prices(orders: Sequence[Order]) -> Mapping[int, list[int]]:
    """Return the cents of the items, by the keys of the orders: their own totals are right after the transaction."""
    prices = defaultdict[int, list[int]](list)
    for key, cents in OrderItem.objects.filter(order__in=orders).values_list("order", "cents"):
        prices[key].append(cents)
    return prices


def _contents(prices: Sequence[int]) -> str:
    return f"{len(prices)} CD{pluralize(len(prices))} for ${sum(prices) / 100:,.2f}"


def _mean(prices: Sequence[int]) -> str:
    return f"${sum(prices) / len(prices) / 100:.2f}"


def _log(kind: Entry.Kind, day: date, text: str, path: str) -> None:
    Entry.objects.create(kind=kind, day=day, text=text, path=path)
