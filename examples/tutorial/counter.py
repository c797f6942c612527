"""The number of items in a cart."""

from django.db.models import Count
from django.db.models.signals import post_save
from django.dispatch import receiver
from heliograph.recipes import keep

from examples.tutorial.models import Cart, Item


def add_one(sender, instance, created, **kwargs):
    if created:
        instance.cart.items_count += 1
        instance.cart.save()


def as_written():
    receiver(post_save, sender=Item)(add_one)


def ours():
    keep(Cart, items_count=Count("items"))
