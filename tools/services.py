"""The database servers that the tests use where they answer."""

import socket
from dataclasses import dataclass

from tests.databases import SERVERS

START = {"postgresql": "service postgresql start", "mariadb": "service mariadb start"}


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


SERVICES = tuple(Service(name, server["HOST"], server["PORT"]) for name, server in SERVERS.items())


def silent(services: tuple[Service, ...] = SERVICES) -> list[Service]:
    """The services that do not answer."""
    return [service for service in services if not service.answers()]


def how_to_start(service: Service) -> str:
    """What is missing, with the command that brings it."""
    return f"{service} does not answer: start it, e.g. `{START[service.name]}`"
