"""The brokers that Celery is measured with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.helpers.brokers import URLS
from tests.helpers.databases import PREFIX
from tools.services import Service, of_url


@dataclass(frozen=True)
class Broker(Service, ABC):
    """A server by its address, as Celery takes it too."""

    url: str

    def queue(self, key: str) -> str:
        """Return the name of the queue of a system."""
        return f"{PREFIX}_outbox_{key}"

    @abstractmethod
    def waiting(self, key: str) -> int:
        """Return how many messages are in a queue."""

    @abstractmethod
    def empty(self, key: str) -> None:
        """Remove the messages of a queue."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove the queue itself."""

    @abstractmethod
    def process(self) -> int | None:
        """Return the process that is the broker, if it is on this machine."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the server."""


class Redis(Broker):
    """Redis, with a list for a queue."""

    @cached_property
    def _client(self) -> Any:
        import redis

        return redis.Redis(host=self.host, port=self.port)

    def waiting(self, key: str) -> int:
        return int(self._client.llen(self.queue(key)))

    def empty(self, key: str) -> None:
        self._client.delete(self.queue(key))

    def remove(self, key: str) -> None:
        bindings = (f"{prefix}.{self.queue(key)}" for prefix in ("_kombu.binding", "_kombu.binding_permanent"))
        self._client.delete(self.queue(key), *bindings)

    def process(self) -> int | None:
        number = int(self._client.info("server")["process_id"])
        return number if _name(number).startswith("redis") else None

    def version(self) -> str:
        return str(self._client.info("server")["redis_version"])


class RabbitMQ(Broker):
    """RabbitMQ, with a queue and an exchange of the same name."""

    def waiting(self, key: str) -> int:
        import amqp

        with self._connection() as connection:
            try:
                return int(connection.channel().queue_declare(self.queue(key), passive=True).message_count)
            except amqp.NotFound:
                return 0

    def empty(self, key: str) -> None:
        import amqp

        with self._connection() as connection, suppress(amqp.NotFound):
            connection.channel().queue_purge(self.queue(key))

    def remove(self, key: str) -> None:
        with self._connection() as connection:
            channel = connection.channel()
            channel.queue_delete(self.queue(key))
            channel.exchange_delete(self.queue(key))

    def process(self) -> int | None:
        numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return next((number for number in numbers if _name(number) == "beam.smp"), None)

    def version(self) -> str:
        with self._connection() as connection:
            return str(connection.server_properties["version"])

    def _connection(self) -> Any:
        import amqp

        return amqp.Connection(f"{self.host}:{self.port}", "guest", "guest")


def _name(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


def _at(kind: type[Broker], key: str) -> Broker:
    service = of_url(key, URLS[key])
    return kind(kind.__name__, service.host, service.port, URLS[key])


REDIS, RABBITMQ = _at(Redis, "redis"), _at(RabbitMQ, "rabbitmq")
