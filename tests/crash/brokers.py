"""Brokers that can be stopped."""

import socket
import threading
import uuid
from contextlib import suppress
from urllib.parse import urlsplit

from kombu import Connection

from tests.crash.servers import Redis, free_port
from tests.helpers.brokers import URLS
from tests.helpers.databases import PREFIX

REFUSED = (OSError, *Connection("amqp://").connection_errors)


class Broker:
    """A broker, as the processes know it, with a queue of its own."""

    def __init__(self, server, url):
        self.server = server
        self.url = url
        self.queue = f"{PREFIX}_crash_{uuid.uuid4().hex[:8]}"
        self.start, self.stop = server.start, server.stop

    @property
    def variables(self):
        return {"HELIOGRAPH_CRASH_BROKER": self.url, "HELIOGRAPH_CRASH_QUEUE": self.queue}

    def empty(self):
        """Throw away all that waits there, and return how much that was."""
        with Connection(self.url) as connection:
            return connection.default_channel.queue_purge(self.queue)

    def remove(self):
        with suppress(*REFUSED), Connection(self.url) as connection:
            connection.default_channel.queue_delete(self.queue)
        self.server.remove()


class Gate:
    """A way to a server that is not ours, which can be closed: for who comes this way, the server has stopped then."""

    def __init__(self, target):
        self.target = target
        self.port = free_port()
        self.open = []
        self.listener = None
        self.start()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def stop(self):
        listener, self.listener = self.listener, None
        _close(listener)
        while self.open:
            _close(self.open.pop())

    def remove(self):
        if self.listener:
            self.stop()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            self.open += [client, server]
            if self.listener is not listener:  # it was closed meanwhile
                _close(client)
                _close(server)
                continue
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=[source, sink], daemon=True).start()


def _pump(source, sink):
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
    _close(source)
    _close(sink)


def _close(one):
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
    one.close()


def redis():
    """Return a Redis of our own, which forgets everything when it stops."""
    server = Redis()
    return Broker(server, f"redis://127.0.0.1:{server.port}/0")


def rabbitmq():
    """Return the way to the machine's RabbitMQ."""
    parts = urlsplit(URLS["rabbitmq"])
    gate = Gate((parts.hostname, parts.port or 5672))
    user, at, _ = parts.netloc.rpartition("@")
    return Broker(gate, parts._replace(netloc=f"{user}{at}127.0.0.1:{gate.port}").geturl())
