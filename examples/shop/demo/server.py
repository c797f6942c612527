"""The shop's pages on the loopback interface."""

import errno
from itertools import count

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

HOST = "127.0.0.1"


class QuietHandler(WSGIRequestHandler):
    """Answers requests without a line for each on the terminal."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def listen(port: int) -> ThreadedWSGIServer:
    """Return a server of the shop on the port, or on the next one that is free."""
    server = next(server for server in map(_try, count(port)) if server)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    return server


def _try(port: int) -> ThreadedWSGIServer | None:
    try:
        return ThreadedWSGIServer((HOST, port), QuietHandler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return None
