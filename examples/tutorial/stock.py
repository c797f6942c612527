"""The stock of a product, from which each line of an order takes something."""

from django.db.models.signals import post_save
from django.dispatch import receiver
from heliograph.recipes import reserve

from examples.tutorial.models import OrderLine


def subtract_and_save(sender, instance, created, **kwargs):
    product = instance.product
    if product.stock < instance.quantity:
        raise ValueError("out of stock")
    product.stock -= instance.quantity
    product.save()


def as_written():
    receiver(post_save, sender=OrderLine)(subtract_and_save)


def ours():
    reserve(OrderLine, "quantity", from_="product.stock")
