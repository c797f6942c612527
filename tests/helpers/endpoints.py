"""Endpoints of webhooks: HTTP servers on this machine, which keep what they get and answer as a test says."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.helpers.threads import LONG


@dataclass(frozen=True)
class Request:
    """What an endpoint has got."""

    path: str
    headers: dict[str, str]
    body: bytes


class Server(ThreadingHTTPServer):
    """An endpoint. `answer` is called with each request and what writes the answer to it."""

    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.answer = answer_with(200)
        self.host = "127.0.0.1"
        self.scheme = "http" if context is None else "https"
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request, client_address):
        """Print nothing: that a client hangs up is what some tests want."""

    def url(self, host=None, path="/hooks"):
        return f"{self.scheme}://{host or self.host}:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body)
        self.server.requests.append(request)
        self.server.answer(request, self)
        self.close_connection = True

    def log_message(self, *arguments):
        """Log nothing."""


def answer_with(status, text="", **headers):
    """Return what answers with a status."""

    def answer(request, handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


def in_order(*answers):
    """Return what gives one answer after the other."""
    left = iter(answers)
    return lambda request, handler: next(left)(request, handler)


def answer_when(event, status=200):
    """Return what answers once something has happened."""

    def answer(request, handler):
        assert event.wait(LONG)
        answer_with(status)(request, handler)

    return answer


@contextmanager
def serving(context=None):
    """Be an endpoint for the time of the block."""
    server = Server(context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
