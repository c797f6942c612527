"""An audit trail of prices: each entry has the old and the new price."""

from django.db.models.signals import pre_save
from django.dispatch import receiver
from heliograph.audit import audit, history

from examples.tutorial.models import PriceChange, Product


def record_price(sender, instance, **kwargs):
    if instance.pk:
        before = Product.objects.get(pk=instance.pk)
        if before.price != instance.price:
            PriceChange.objects.create(product=instance, old=before.price, new=instance.price)


def changes_as_written(product):
    return [*PriceChange.objects.filter(product=product).order_by("pk").values_list("old", "new")]


def as_written():
    receiver(pre_save, sender=Product)(record_price)


def our_changes(product):
    entries = history(product).changing("price").actions("updated")
    return [(entry.changes["price"].old, entry.changes["price"].new) for entry in reversed(entries)]


def ours():
    audit(Product)
