"""Signatures of Standard Webhooks, by the package of that name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.views.decorators.debug import sensitive_variables
from standardwebhooks import Webhook


@sensitive_variables("signing_secrets")
def signed_headers(signing_secrets: Sequence[str], message: str, at: datetime, body: str) -> dict[str, str]:
    """Return the headers of a request: with several secrets, as while one replaces another, it has a signature each."""
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(one).sign(message, at, body) for one in signing_secrets),
    }
