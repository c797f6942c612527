"""The table of documents."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from heliograph.outbox.fields import NameField


class SearchDocument(models.Model):
    """The text by which `search()` finds a row."""

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    model = NameField(max_length=255, help_text="The label of the row's model.")
    key = NameField(max_length=255, help_text="The primary key of the row.")
    text = models.TextField()

    class Meta:
        default_permissions = ("view",)
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "key"], name="heliograph_search_row")]

    def __str__(self) -> str:
        return f"{self.model} {self.key}"
