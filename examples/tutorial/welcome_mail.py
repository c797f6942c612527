"""A mail that welcomes a new member."""

from django.core.mail import send_mail
from django.db.models.signals import post_save
from django.dispatch import receiver
from heliograph import created
from heliograph.recipes import mail

from examples.tutorial.models import Member


def welcome(sender, instance, created, **kwargs):
    if created:
        send_mail("Welcome", f"Hello {instance.name}!", None, [instance.email])


def as_written():
    receiver(post_save, sender=Member)(welcome)


def ours():
    mail(Member, when=created, to="email", template="tutorial/welcome")
