"""The tables: endpoints, the messages for them, and each attempt to deliver one."""

from __future__ import annotations

import base64
import secrets
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from heliograph.outbox.fields import NameField
from heliograph.recipes.webhooks.addresses import RefusedError, verify_url


def new_secret() -> str:
    """Return a random secret, written as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class Endpoint(models.Model):
    """A URL that gets events, with its secret and its state.

    For code: `url`, `description`, `owner` (whose events it gets, "" for events without an owner), `events` (a list,
    empty for all), `is_active`, `disabled_at` and `disabled_reason`.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    url = models.CharField(max_length=1000, help_text="Where events are POSTed to.")
    description = models.CharField(max_length=255, blank=True)
    owner = NameField(
        max_length=255,
        blank=True,
        db_index=True,
        help_text="Whose events it gets, as owner= of webhook() says; empty: events without an owner.",
    )
    events = models.JSONField(default=list, blank=True, help_text="The events that it gets. None chosen: all of them.")
    secret = models.CharField(max_length=255, default=new_secret, editable=False)
    previous_secret = models.CharField(max_length=255, blank=True, editable=False)
    previous_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when the previous secret signs too."
    )
    is_active = models.BooleanField(default=True, editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=255, blank=True, editable=False)
    first_failure_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when every request has failed."
    )
    paused_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when there is no request, since the last one failed."
    )
    busy_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when no other worker makes a request."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["id"]
        permissions: ClassVar = [("reveal_secret", "Can see the secrets of endpoints")]

    def __str__(self) -> str:
        return self.url.partition("?")[0]  # what follows may be a secret

    def clean(self) -> None:
        super().clean()
        try:
            verify_url(self.url)
        except RefusedError as error:
            raise ValidationError({"url": str(error)}) from error

    def wants(self, event: str) -> bool:
        """Return whether the endpoint gets an event."""
        return not self.events or event in self.events

    @property
    def signing_secrets(self) -> list[str]:
        """The secrets that sign: the present one, and the previous one for as long as it is valid."""
        is_valid = self.previous_until is not None and self.previous_until > timezone.now()
        return [self.secret, self.previous_secret] if is_valid else [self.secret]

    @property
    def state(self) -> str:
        """Whether the endpoint is "active", "failing" or "disabled"."""
        if not self.is_active:
            return "disabled"
        return "active" if self.first_failure_at is None else "failing"


class Message(models.Model):
    """An event for endpoints, with the text that is sent to each of them."""

    id = models.CharField(max_length=64, primary_key=True, help_text="The webhook-id, the same in all attempts.")
    event = models.CharField(max_length=100)
    owner = NameField(max_length=255, blank=True)
    body = models.TextField(help_text="What is sent, as JSON.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["created_at"]
        default_permissions = ("view",)
        indexes: ClassVar = [models.Index(fields=["created_at"], name="heliograph_webhooks_old")]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"


class Attempt(models.Model):
    """A request that was made to deliver a message."""

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="attempts")
    message = models.ForeignKey(Message, models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField(help_text="1 for the first attempt of a delivery.")
    status_code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty if there was no answer.")
    seconds = models.FloatField()
    error = models.CharField(max_length=255, blank=True, help_text="Why it has failed.")
    response = models.TextField(blank=True, help_text="How the answer begins.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.message} to {self.endpoint}: {self.error or 'delivered'}"
