"""The last requests that came to the small receiver of webhooks, as a customer's own server would have it."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from heliograph.recipes.webhooks.models import Endpoint
from standardwebhooks import Webhook, WebhookVerificationError

DESCRIPTION = "The receiver of the demonstration"


@dataclass(frozen=True)
class Received:
    """A request: its message, if the signature was right, and when it came."""

    webhook_id: str
    message: dict[str, Any] | None
    at: datetime

    @property
    def is_verified(self) -> bool:
        """Whether the signature was right."""
        return self.message is not None


LAST: deque[Received] = deque(maxlen=20)


def receive(request: HttpRequest) -> Received:
    """Verify a request by the secret of the endpoint, and keep it."""
    webhook_id = request.headers.get("webhook-id", "")
    received = Received(webhook_id, _verified(request), timezone.now())
    LAST.appendleft(received)
    return received


def _verified(request: HttpRequest) -> dict[str, Any] | None:
    """Return the message of a request; None if nobody who knows the secret has signed it."""
    endpoint = Endpoint.objects.filter(description=DESCRIPTION).first()
    if endpoint is None:
        return None
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        return Webhook(endpoint.secret).verify(request.body, headers)  # of the body as it came, before it is parsed
    except WebhookVerificationError:
        return None


def offer(url: str) -> None:
    """Let events be POSTed to the receiver at this URL, and forget an earlier one."""
    Endpoint.objects.update_or_create(
        description=DESCRIPTION, defaults={"url": url, "events": ["report.made", "report.changed"]}
    )
