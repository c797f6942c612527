"""The activity log, written by receivers."""

from django.db import models


class Entry(models.Model):
    """Something that happened in the shop."""

    class Kind(models.TextChoices):
        """What sort of thing happened."""

        JOINED = "joined"
        PLACED = "placed"
        CANCELLED = "cancelled"
        RESTOCKED = "restocked"
        REPRICED = "repriced"

    day = models.DateField()
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.CharField(max_length=200)
    path = models.CharField(max_length=200, blank=True, help_text="Where to read more.")

    class Meta:
        ordering = ["-day", "-pk"]
        indexes = [
            models.Index(fields=["-day", "-id"], name="entry_by_day"),
            models.Index(fields=["kind", "-day", "-id"], name="entry_by_kind"),
        ]
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return self.text
