"""The servers that the tests use where they answer: of databases, and brokers."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.helpers.brokers import URLS
from tests.helpers.databases import SERVERS

START = {
    "postgresql": "service postgresql start",
    "mariadb": "service mariadb start",
    "rabbitmq": "service rabbitmq-server start",
    "redis": "service redis-server start",
}


@dataclass(frozen=True)
class Service:
    """A server by its address."""

    name: str
    host: str
    port: int

    def answers(self) -> bool:
        """Whether something listens there."""
        try:
            socket.create_connection((self.host, self.port), timeout=2).close()
        except OSError:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name} on {self.host}:{self.port}"


def of_url(name: str, url: str) -> Service:
    """The broker at an URL."""
    parts = urlsplit(url)
    return Service(name, parts.hostname or "127.0.0.1", parts.port or {"rabbitmq": 5672, "redis": 6379}[name])


DATABASES = tuple(Service(name, server["HOST"], server["PORT"]) for name, server in SERVERS.items())
BROKERS = tuple(of_url(name, url) for name, url in URLS.items())


def silent(services: tuple[Service, ...] = (*DATABASES, *BROKERS)) -> list[Service]:
    """The services that do not answer."""
    return [service for service in services if not service.answers()]


def how_to_start(service: Service) -> str:
    """Say which service is missing, with the command that brings it."""
    return f"{service} does not answer: start it, e.g. `{START[service.name]}`"
