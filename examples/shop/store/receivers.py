"""The receivers that derive values from the store's rows: slugs, shelves, inventory and earlier prices."""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models import Count, F, OuterRef, Subquery
from django.utils.text import slugify
from heliograph import Batch, BeforeCommit, Durable, Retry, changed, fixed, receiver
from heliograph.outbox import ThisDelivery
from heliograph.signals import m2m_changes, post_delete, post_save, pre_save

from store import catalogue, opening, wholesaler
from store.locks import lock
from store.models import Artist, Genre, Inventory, OrderItem, PriceChange, Product, Restock
from store.signals import stock_low

REORDER_POINT = 10
REORDER_QUANTITY = 50

Pairs = frozenset[tuple[int, int]]  # the keys of products, each with that of a genre


# The slug comes first: another app's pre_save receiver may already want to build an address from it.
@receiver(pre_save, sender=[Artist, Genre, Product], order=-10, writes=["slug"], bulk=True)
def set_slug(sender: type, instance: Artist | Genre | Product, **kwargs: Any) -> None:
    """Name a new row in addresses; an address that was given once stays."""
    if not instance.slug:
        instance.slug = slugify(str(instance))


@receiver(m2m_changes, sender=Product.genres.through)
def count_albums(sender: type, added: Pairs, removed: Pairs, **kwargs: Any) -> None:
    """Count the albums of the shelves on which some were put, or from which some were taken."""
    shelves = Genre.objects.filter(pk__in={genre for _, genre in added | removed})
    lock(shelves)
    on_shelf = Genre.objects.filter(pk=OuterRef("pk")).annotate(count=Count("products")).values("count")
    shelves.update(albums=Subquery(on_shelf))


@receiver([post_save, post_delete], sender=Product, when=changed("cents"), bulk=True, delivery=BeforeCommit(batch=True))
def keep_prices(sender: type[Product], batch: Batch, **kwargs: Any) -> None:
    """Keep the earlier prices of products that were repriced, by saves or by a query, and still exist."""
    days = {product.pk: product.priced_on for product in batch.updated}
    PriceChange.objects.bulk_create(
        PriceChange(product_id=key, day=days[key], old=old, new=new) for key, old, new in batch.changes("cents")
    )


@receiver([post_save, post_delete], sender=OrderItem, bulk=True, delivery=BeforeCommit(batch=True))
def take_from_stock(sender: type[OrderItem], batch: Batch, **kwargs: Any) -> None:
    """Take sold CDs from their shelves, and put CDs of deleted items back; send `stock_low` first if few are left."""
    sold = Counter(item.product_id for item in _sold(batch))
    sold.subtract(item.product_id for item in batch.deleted)
    items = {item.product_id: item for item in batch.created}
    shelves = lock(Inventory.objects.filter(pk__in=sold))
    for shelf in shelves:
        shelf.sold += sold[shelf.pk]
        _reorder_for(shelf, items.get(shelf.pk))
    Inventory.objects.bulk_update(shelves, ["sold"])


@receiver(stock_low, sender=Product)
def expect_stock(sender: type[Product], product: Product, **kwargs: Any) -> None:
    """Count the CDs that will be ordered, so that the next sale does not order them again."""
    _expect(product, REORDER_QUANTITY)


@receiver(stock_low, sender=Product, delivery=Durable(queue="wholesale", retry=Retry(attempts=5, backoff=fixed(0.5))))
def reorder(sender: type[Product], product: Product, day: date, delivery: ThisDelivery, **kwargs: Any) -> None:
    """Restock a product that ran low, in a worker, which calls again if the wholesaler's line is busy."""
    wholesaler.call(delivery.attempt)
    Restock.objects.create(product=product, day=day, quantity=REORDER_QUANTITY)
    _expect(product, -REORDER_QUANTITY)


def stock_catalogue(sender: AppConfig, apps: Apps = installed, **kwargs: Any) -> None:
    """Fill an empty shop with the catalogue and its opening stock; connected to post_migrate by the app."""
    if "product" in apps.all_models["store"] and not Product.objects.exists():  # no table after `migrate store zero`
        opening.stock(list(catalogue.read()))


def _sold(batch: Batch) -> Iterator[OrderItem]:
    """Yield the new items, except items of a fixture, which has the inventory too."""
    return (event.instance for event in batch.events if event.kind == "created" and not event.kwargs.get("raw"))


def _reorder_for(shelf: Inventory, item: OrderItem | None) -> None:
    """Send `stock_low`, for the item that was sold last, as often as it takes until enough CDs are coming."""
    missing = shelf.sold - (shelf.received + shelf.coming - REORDER_POINT)
    for _ in range(0, missing if item else 0, REORDER_QUANTITY):
        stock_low.send(sender=Product, product=item.product, day=item.order.placed_on)


def _expect(product: Product, quantity: int) -> None:
    Inventory.objects.filter(product=product).update(coming=F("coming") + quantity)
