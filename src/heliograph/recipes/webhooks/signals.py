"""The signals of webhooks: one for projects, and three by which a message comes to its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliograph import Signal

if TYPE_CHECKING:
    from heliograph.recipes.webhooks.models import Endpoint


@Signal.define
def endpoint_disabled(sender: Any, *, endpoint: Endpoint, reason: str) -> None:
    """An endpoint was disabled: it has answered "410 Gone", or has failed for days, or code has called `disable()`.

    `endpoint` is the `Endpoint`, `reason` a text for people. An error of a receiver is logged.
    """


@Signal.define
def event_happened(sender: Any, *, using: str, event: str, message: str, owner: str, body: str) -> None:
    """An event is to be sent to all endpoints that want it."""


@Signal.define
def message_due(sender: Any, *, using: str, endpoint: int, message: str) -> None:
    """A message is to be sent to one endpoint."""


@Signal.define
def retry_due(sender: Any, *, using: str, endpoint: int, message: str, error: str, wait: float) -> None:
    """A message is to be sent to an endpoint again.

    `error` says why the first request has failed, "" if there was none; `wait` is for how many seconds the endpoint
    has asked.
    """
