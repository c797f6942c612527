"""The rows that belong to a user: a profile, preferences, and the activity log."""

from django.conf import settings
from django.db import models


class Profile(models.Model):
    """How a user appears to others."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")
    name = models.CharField(max_length=150)
    about = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name


class Preferences(models.Model):
    """The preferences of a user."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences")
    newsletter = models.BooleanField(default=False)
    mails_of_mentions = models.BooleanField("mails when somebody mentions me", default=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user}"


class Activity(models.Model):
    """Something that a user has done."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="activities")
    text = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "activities"

    def __str__(self) -> str:
        return self.text
