"""The file of a product, which goes with the product."""

from django.db.models.signals import post_delete
from django.dispatch import receiver
from heliograph.recipes import clean_up_files

from examples.tutorial.models import Product


def delete_file(sender, instance, **kwargs):
    instance.image.delete(save=False)


def as_written():
    receiver(post_delete, sender=Product)(delete_file)


def ours():
    clean_up_files(Product, "image")
