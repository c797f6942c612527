"""The title of a product in the cache."""

from django.core.cache import cache
from django.db.models.signals import post_save
from django.dispatch import receiver
from heliograph.recipes import cached, invalidate

from examples.tutorial.models import Product


def delete_key(sender, instance, **kwargs):
    cache.delete(f"product:{instance.pk}")


def title_as_written(pk):
    title = cache.get(f"product:{pk}")
    if title is None:
        title = Product.objects.get(pk=pk).title
        cache.set(f"product:{pk}", title)
    return title


def as_written():
    receiver(post_save, sender=Product)(delete_key)


def our_title(pk):
    return cached(f"product:{pk}", lambda: Product.objects.get(pk=pk).title)


def ours():
    invalidate(Product, lambda product: [f"product:{product.pk}"])
