"""The mails that were sent."""

from django.db import models


class Mail(models.Model):
    """A mail as its reader sees it."""

    to = models.TextField()
    subject = models.TextField()
    body = models.TextField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.subject
