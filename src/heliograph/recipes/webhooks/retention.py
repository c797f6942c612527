"""Old messages are deleted, with their attempts."""

from __future__ import annotations

from django.utils import timezone

from heliograph.recipes.webhooks.conf import webhook_settings
from heliograph.recipes.webhooks.endpoints import database
from heliograph.recipes.webhooks.models import Attempt, Message

# How many messages are deleted at a time, so that nobody waits for them long.
CHUNK = 500


def prune(most: int | None = None) -> int:
    """Delete messages that are older than the settings keep them, up to so many; return how many."""
    keep, total = webhook_settings().keep, 0
    if keep is None:
        return 0
    messages = Message.objects.using(database())
    old = messages.filter(created_at__lt=timezone.now() - keep).order_by("created_at").values_list("pk", flat=True)
    while (most is None or total < most) and (keys := [*old[:CHUNK]]):
        Attempt.objects.using(database()).filter(message__in=keys).delete()
        messages.filter(pk__in=keys).delete()
        total += len(keys)
    return total
