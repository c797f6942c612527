"""The settings of webhooks, read from Django's."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class WebhookSettings:
    """The settings; each is a key of HELIOGRAPH_WEBHOOKS, in capitals."""

    allow_private: Sequence[str] = ()  # hosts, or networks such as "10.1.0.0/16", that may be private
    allow_http: bool = False
    timeout: float = 15.0  # seconds for a whole request
    disable_after: timedelta | None = timedelta(days=5)  # how long an endpoint may fail
    rotation: timedelta = timedelta(hours=24)  # how long a secret signs beside its successor
    keep: timedelta | None = timedelta(days=30)  # how long messages are kept, None for ever
    ca_file: str | None = None  # certificates to trust beside those of the system
    resolver: str | Callable[[str, int], Sequence[str]] | None = None  # in place of the resolver of the system
    backend: str = "default"  # an alias of HELIOGRAPH_OUTBOX

    @property
    def networks(self) -> list[Network]:
        """The private networks that may be called."""
        return [found for one in self.allow_private if (found := _network(one)) is not None]

    @property
    def hosts(self) -> set[str]:
        """The hosts that may have private addresses."""
        return {one.lower() for one in self.allow_private if _network(one) is None}

    @property
    def resolve(self) -> Callable[[str, int], Sequence[str]] | None:
        """The function that returns the addresses of a host; None for the resolver of the system."""
        found: Any = import_string(self.resolver) if isinstance(self.resolver, str) else self.resolver
        return found  # type: ignore[no-any-return]


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def webhook_settings() -> WebhookSettings:
    """Return the settings. Raises ImproperlyConfigured, with what to do, for what makes no sense."""
    given = getattr(settings, "HELIOGRAPH_WEBHOOKS", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"HELIOGRAPH_WEBHOOKS must be a dict of settings, not {given!r}.")
    known = {one.name.upper(): one.name for one in fields(WebhookSettings)}
    unknown = sorted({*given} - {*known})
    if unknown:
        raise ImproperlyConfigured(f"HELIOGRAPH_WEBHOOKS has no {unknown[0]!r}: it takes {', '.join(known)}.")
    found = WebhookSettings(**{known[key]: value for key, value in given.items()})
    _verify(found)
    return found


def _verify(found: WebhookSettings) -> None:
    timeout: Any = found.timeout
    if isinstance(found.allow_private, str):
        raise _wrong("ALLOW_PRIVATE", "a list of hosts and networks", found.allow_private)
    if not isinstance(timeout, int | float) or not 0 < timeout <= 300:
        raise _wrong("TIMEOUT", "seconds, up to 300", timeout)
    for name in ("disable_after", "rotation", "keep"):
        value = getattr(found, name)
        is_duration = isinstance(value, timedelta) and value > timedelta(0)
        if not is_duration and not (value is None and name != "rotation"):
            raise _wrong(name.upper(), "a timedelta of more than nothing", value)


def _wrong(key: str, takes: str, value: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"HELIOGRAPH_WEBHOOKS[{key!r}] takes {takes}, not {value!r}.")


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for settings that make no sense."""
    try:
        _ = webhook_settings().resolve
    except (ImproperlyConfigured, ImportError) as error:
        return [Error(str(error), id="heliograph.E203")]
    return []
