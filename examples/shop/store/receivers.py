"""What the store derives from what is stored: slugs, shelves, the inventory and what orders come to."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.db.models import Count, F, OuterRef, Subquery
from django.utils.text import slugify
from heliograph import Batch, BeforeCommit, action, created, raw, receiver
from heliograph.signals import m2m_changed, post_delete, post_save, pre_save

from store import catalogue, totals
from store.models import Artist, Genre, Inventory, Order, OrderItem, Product, Restock
from store.signals import stock_low

OPENING_STOCK = 40
REORDER_POINT = 10
REORDER_QUANTITY = 50


# The slug comes first: another app's pre_save receiver may already want to build an address from it.
@receiver(pre_save, sender=[Artist, Genre, Product], order=-10, writes=["slug"])
def set_slug(sender: type, instance: Artist | Genre | Product, **kwargs: Any) -> None:
    """Name a new row in addresses; an address that was given once stays."""
    if not instance.slug:
        instance.slug = slugify(str(instance))


@receiver(m2m_changed, sender=Product.genres.through, when=action("post_add", "post_remove", "post_clear"))
def count_albums(sender: type, **kwargs: Any) -> None:
    """Count the albums of every shelf; there are so few of them that it does not matter which ones changed."""
    on_shelf = Genre.objects.filter(pk=OuterRef("pk")).annotate(count=Count("products")).values("count")
    Genre.objects.update(albums=Subquery(on_shelf))


@receiver(post_save, sender=Product, when=~raw)
def open_inventory(sender: type[Product], instance: Product, **kwargs: Any) -> None:
    """Give every product an inventory."""
    Inventory.objects.get_or_create(product=instance)


@receiver(post_save, sender=Restock, when=created & ~raw)
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
def reorder(sender: type[Product], product: Product, day: date, **kwargs: Any) -> None:
    """Restock a product that ran low; the wholesaler delivers within the day."""
    Restock.objects.create(product=product, day=day, quantity=REORDER_QUANTITY)


def stock_catalogue(sender: AppConfig, apps: Apps = installed, **kwargs: Any) -> None:
    """Fill an empty shop with the catalogue and its opening stock; connected to post_migrate by the app."""
    if "product" in apps.all_models["store"] and not Product.objects.exists():  # no table after `migrate store zero`
        _stock(catalogue.read())


def _sell(item: OrderItem) -> None:
    if not _take(pk=item.product_id, on_hand__gt=REORDER_POINT):
        stock_low.send(sender=Product, product=item.product, day=item.order.placed_on)
        _take(pk=item.product_id)


def _take(**shelf: Any) -> int:
    """Take a CD from the shelf, and return how many shelves there were of that description."""
    return Inventory.objects.filter(**shelf).update(sold=F("sold") + 1)


def _stock(albums: Iterable[catalogue.Album]) -> None:
    for album in albums:
        artist, _ = Artist.objects.get_or_create(name=album.artist)
        product = Product.objects.create(artist=artist, title=album.title, year=album.year)
        product.genres.set([Genre.objects.get_or_create(name=name)[0] for name in album.genres])
        Restock.objects.create(product=product, day=catalogue.OPENING_DAY, quantity=OPENING_STOCK)
