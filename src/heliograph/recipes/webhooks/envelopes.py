"""Envelopes: an event as the text that is sent, and its id."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone


def new_message_id() -> str:
    """Return an id that no other message has."""
    return f"msg_{uuid.uuid4().hex}"


def envelope(event: str, data: Any) -> str:
    """Return the text of an event that happens now. Raises TypeError or ValueError for data that is no JSON."""
    envelope = {"type": event, "timestamp": timezone.now(), "data": data}
    return _encoder.encode(envelope)


_encoder = DjangoJSONEncoder(allow_nan=False, separators=(",", ":"))
