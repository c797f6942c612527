"""A profile for each member."""

from django.db.models.signals import post_save
from django.dispatch import receiver
from heliograph.recipes import ensure_related

from examples.tutorial.models import Member, Profile


def create_profile(sender, instance, created, **kwargs):
    if created:
        Profile.objects.create(member=instance)


def save_profile(sender, instance, **kwargs):
    instance.profile.save()


def as_written():
    receiver(post_save, sender=Member)(create_profile)
    receiver(post_save, sender=Member)(save_profile)


def ours():
    ensure_related(Profile, to="member")
