"""Which hosts may be called: an endpoint of a stranger must not reach what only this network can reach.

The addresses of a host are asked for once for each request, and all of them are verified. The request then goes to one
of exactly these addresses: a name server that gives another answer a moment later has no effect.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from heliograph.recipes.webhooks.conf import WebhookSettings, webhook_settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"https": 443, "http": 80}

# The networks of IPv4 that are no part of the internet, as IANA registers them. `is_global` of Python knows others with
# each release.
_SPECIAL = [
    *map(ipaddress.IPv4Network, ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")),
    *map(ipaddress.IPv4Network, ("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16")),
    *map(ipaddress.IPv4Network, ("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")),
]

# The addresses of IPv6 that are part of the internet, and the networks among them that are not: those of protocols, of
# documentation, and those that stand for an IPv4 address.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_UNICAST = [*map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))]

# A gateway sends what is for these addresses to the IPv4 address that they end with.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class RefusedError(Exception):
    """A URL that is not called, with the reason."""


class UnknownHostError(Exception):
    """A host without an address."""


@dataclass(frozen=True)
class Destination:
    """A URL that may be called, with the verified addresses of its host."""

    is_secure: bool
    host: str
    port: int
    target: str  # path and query
    addresses: Sequence[str]

    @property
    def authority(self) -> str:
        """The host, and the port if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == _PORTS["https" if self.is_secure else "http"]
        return host if is_usual else f"{host}:{self.port}"


def destination(url: str) -> Destination:
    """Resolve the host of a URL.

    Raises RefusedError for a URL that must not be called, UnknownHostError for a host without an address.
    """
    settings = webhook_settings()
    parts, host, port = verify_url(url)
    addresses = (settings.resolve or addresses_of)(host, port)
    if not addresses:
        raise UnknownHostError(f"{host} has no address.")
    for text in addresses:
        _verify_address(host, text, settings)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme == "https", host, port, target, addresses)


def verify_url(url: str) -> tuple[SplitResult, str, int]:
    """Return the parts of a URL, its host and its port. Raises RefusedError for a URL that no endpoint may have."""
    if not url.isascii() or not url.isprintable() or " " in url:
        raise RefusedError("A URL has no spaces, and only ASCII characters: write a host as IDNA, and others as %XX.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedError(f"This is no URL: {error}.") from error
    _verify_scheme(parts.scheme)
    if not parts.hostname:
        raise RefusedError("The URL has no host.")
    if parts.username is not None or parts.password is not None:
        raise RefusedError("The URL has a user or a password: put what identifies you into its path.")
    if parts.fragment:
        raise RefusedError("The URL has a #fragment, which is never sent: leave it out.")
    return parts, parts.hostname, port or _PORTS[parts.scheme]


def _verify_scheme(scheme: str) -> None:
    if scheme == "http" and not webhook_settings().allow_http:
        raise RefusedError("The URL must begin with https, so that nobody on the way can read what is sent.")
    if scheme not in _PORTS:
        raise RefusedError("The URL must begin with https.")


def addresses_of(host: str, port: int) -> list[str]:
    """Ask the resolver of the system for the addresses of a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHostError(f"{host} has no address: {error}.") from error
    return [*dict.fromkeys(str(one[4][0]) for one in found)]


# --- private addresses --------------------------------------------------------------------------------------------


def _verify_address(host: str, text: str, settings: WebhookSettings) -> None:
    """Raise RefusedError for an address that is not public, unless the settings allow it."""
    address = ipaddress.ip_address(text)
    if is_public(address) or host.lower() in settings.hosts:
        return
    meant = _within(address) or address
    if any(meant in network or address in network for network in settings.networks):
        return
    raise RefusedError(
        f"{host} has the address {text}, which is not public. HELIOGRAPH_WEBHOOKS['ALLOW_PRIVATE'] has the hosts and"
        " networks that may be called all the same."
    )


def is_public(address: Address) -> bool:
    """Return whether an address is one of the internet, or stands for one."""
    address = _within(address) or address
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL)
    return address in _UNICAST and not any(address in network for network in _SPECIAL_UNICAST)


def _within(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped
