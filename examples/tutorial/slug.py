"""A slug that no other row has."""

from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.utils.text import slugify
from heliograph.recipes import unique_slug

from examples.tutorial.models import Guide


def set_slug(sender, instance, **kwargs):
    if not instance.slug:
        slug, number = slugify(instance.title), 1
        while instance.__class__.objects.filter(slug=slug).exists():
            number += 1
            slug = f"{slugify(instance.title)}-{number}"
        instance.slug = slug


def as_written():
    receiver(pre_save, sender=Guide)(set_slug)


def ours():
    unique_slug(Guide, "slug", source="title")
