"""Webhooks: events of the site are POSTed to the endpoints of others, signed as Standard Webhooks says.

`webhook()` connects a signal. What it sends becomes a *message*: an event, with data as JSON, that is made in the
transaction of the send. A worker of the outbox writes the message down, with one delivery for each *endpoint* that
wants the event. Each *attempt* is one request, and a row. An endpoint that answers "410 Gone", or fails for days, is
*disabled*, and says why.

    webhook(post_save, sender=Order, when=changed("status", to="paid"), event="order.paid", payload=as_json)

    order.save()              # in its transaction: one delivery of the outbox, with the JSON
    manage.py outbox run      # a message; for each endpoint a delivery; for each delivery a request

The rooms: `declared_events` (the recipe), `models`, `delivering` (the receivers that a worker calls), `endpoints` (what
becomes of an endpoint), `addresses` (which hosts may be called), `posting` (the HTTP client), `signing`, `retention`.
"""

from typing import TYPE_CHECKING

from heliograph.lazy_names import lazy_names

if TYPE_CHECKING:
    from heliograph.recipes.webhooks.declared_events import webhook
    from heliograph.recipes.webhooks.endpoints import disable, enable, rotate_secret, send_again, send_test
    from heliograph.recipes.webhooks.signals import endpoint_disabled

__all__ = ["disable", "enable", "endpoint_disabled", "rotate_secret", "send_again", "send_test", "webhook"]

# The module of each public name. It is imported when somebody asks for the name, because Django imports this package
# before there are models.
_MODULES = {
    **dict.fromkeys(("disable", "enable", "rotate_secret", "send_again", "send_test"), "endpoints"),
    "endpoint_disabled": "signals",
    "webhook": "declared_events",
}

__getattr__ = lazy_names(__name__, _MODULES)
