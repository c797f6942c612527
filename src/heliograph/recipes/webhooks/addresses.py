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

# Networks whose addresses contain an IPv4 address that a gateway may forward to.
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
    """Return the parts of a URL, its host and its port. Raises RefusedError if it cannot be that of an endpoint."""
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
    if any(meant in network for network in settings.networks for meant in (address, *_within(address))):
        return
    raise RefusedError(
        f"{host} has the address {text}, which is not public. HELIOGRAPH_WEBHOOKS['ALLOW_PRIVATE'] has the hosts and"
        " networks that may be called all the same."
    )


def is_public(address: Address) -> bool:
    """Return whether an address is one of the public internet, also if it contains another address."""
    within = _within(address)
    if within:
        return all(is_public(one) for one in within)
    is_site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_site_local)


def _within(address: Address) -> list[Address]:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
