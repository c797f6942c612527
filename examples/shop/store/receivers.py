"""What the store derives from what is stored: slugs, shelves, inventory, what prices were and what orders come to."""

from datetime import date
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models import Count, F, OuterRef, Subquery
from django.utils.text import slugify
from heliograph import Batch, BeforeCommit, Durable, Retry, changed, created, fixed, raw, receiver
from heliograph.outbox.policies import ThisDelivery
from heliograph.signals import m2m_changes, post_delete, post_save, pre_save

from store import catalogue, opening, totals, wholesaler
from store.models import Artist, Genre, Inventory, Order, OrderItem, PriceChange, Product, Restock
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
    on_shelf = Genre.objects.filter(pk=OuterRef("pk")).annotate(count=Count("products")).values("count")
    Genre.objects.filter(pk__in={genre for _, genre in added | removed}).update(albums=Subquery(on_shelf))


@receiver(post_save, sender=Product, when=created & ~raw, bulk=True)
def open_inventory(sender: type[Product], instance: Product, **kwargs: Any) -> None:
    """Give every new product an inventory."""
    Inventory.objects.create(product=instance)


@receiver([post_save, post_delete], sender=Product, when=changed("cents"), bulk=True, delivery=BeforeCommit(batch=True))
def keep_prices(sender: type[Product], batch: Batch, **kwargs: Any) -> None:
    """Keep what products cost before that were repriced, one by one or by a query, and are still there."""
    days = {product.pk: product.priced_on for product in batch.updated}
    PriceChange.objects.bulk_create(
        PriceChange(product_id=key, day=days[key], old=old, new=new) for key, old, new in batch.changes("cents")
    )


@receiver(post_save, sender=Restock, when=created & ~raw, bulk=True)
def receive_stock(sender: type[Restock], instance: Restock, **kwargs: Any) -> None:
    """Put the CDs that came in on the shelf."""
    received = F("received") + instance.quantity
    Inventory.objects.filter(product=instance.product_id).update(received=received)


@receiver(post_save, sender=OrderItem, when=created & ~raw)
def take_from_stock(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Take a sold CD from the shelf; when few are left, say so first."""
    _sell(instance)


@receiver(post_delete, sender=OrderItem)
def return_to_stock(sender: type[OrderItem], instance: OrderItem, **kwargs: Any) -> None:
    """Put the CD of a deleted item back on the shelf."""
    Inventory.objects.filter(product=instance.product_id).update(sold=F("sold") - 1)


@receiver([post_save, post_delete], sender=OrderItem, delivery=BeforeCommit(batch=True))
def total_orders(sender: type[OrderItem], batch: Batch, **kwargs: Any) -> None:
    """Add up the orders whose items have changed; those that were cancelled are gone with their items."""
    others = {item.order_id for item in batch.updated + batch.deleted}
    # The orders of new items are those that the caller has at hand, and sees added up.
    for order in {item.order for item in batch.created} | {*Order.objects.filter(pk__in=others)}:
        totals.add_up(order)


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


def _sell(item: OrderItem) -> None:
    if not _take(pk=item.product_id, sold__lt=F("received") + F("coming") - REORDER_POINT):
        stock_low.send(sender=Product, product=item.product, day=item.order.placed_on)
        _take(pk=item.product_id)


def _expect(product: Product, quantity: int) -> None:
    Inventory.objects.filter(product=product).update(coming=F("coming") + quantity)


def _take(**shelf: Any) -> int:
    """Take a CD from the shelf, and return how many shelves there were of that description."""
    return Inventory.objects.filter(**shelf).update(sold=F("sold") + 1)
