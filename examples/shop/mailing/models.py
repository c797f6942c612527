"""The mails that were sent."""

from django.db import models


class Mail(models.Model):
    """A mail as its reader sees it."""

    to = models.TextField()
    subject = models.TextField()
    body = models.TextField()
    message_id = models.TextField(blank=True, help_text="By this a reader's program knows a mail that was sent twice.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.subject
