"""One POST by urllib3: to a verified address, within a time, without redirects, and with little of the answer read.

An endpoint belongs to a stranger. It may send its answer byte by byte, or without an end; point to another host; or
have a certificate of somebody else. None of that costs a worker more than the time of one request.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from http.client import HTTPException
from socket import SHUT_RDWR, socket
from time import monotonic
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from heliograph.recipes.webhooks.addresses import Destination
from heliograph.recipes.webhooks.conf import webhook_settings

# How much of an answer is read and kept, in bytes: enough for an error message.
SNIPPET = 1024


class NoAnswerError(Exception):
    """The host did not answer, or not in time."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request."""

    status: int
    snippet: str  # how its body begins
    retry_after: str  # the header, "" for none


def post(to: Destination, headers: Mapping[str, str], body: str) -> Answer:
    """Send a body to a destination, and return its answer. Raises NoAnswerError if there is none in time."""
    deadline = monotonic() + webhook_settings().timeout
    connection = None
    try:
        connection = _connected(to, deadline)
        with _ended_at(deadline, connection):
            return _answer(connection, to, headers, body, deadline)
    except (HTTPError, HTTPException, OSError) as error:
        if monotonic() >= deadline:
            raise NoAnswerError(f"There was no answer within {webhook_settings().timeout:g} s.") from error
        raise NoAnswerError(_described(error)) from error
    finally:
        if connection is not None:
            connection.close()


def _connected(to: Destination, deadline: float) -> HTTPConnection:
    """Return a connection to the first of the addresses that can be reached; each has its part of the time."""
    *others, last = to.addresses
    for at, address in enumerate(others):
        with suppress(HTTPError, OSError):
            return _connection(to, address, (deadline - monotonic()) / (len(to.addresses) - at))
    return _connection(to, last, deadline - monotonic())


def _connection(to: Destination, address: str, seconds: float) -> HTTPConnection:
    """Connect to an address. The certificate must be that of the host: the address alone proves nothing."""
    timeout = max(seconds, 0.001)
    made: HTTPConnection
    if to.is_secure:
        context = trusting(webhook_settings().ca_file)
        made = HTTPSConnection(address, to.port, timeout=timeout, server_hostname=to.host, ssl_context=context)
    else:
        made = HTTPConnection(address, to.port, timeout=timeout)
    try:
        made.connect()
    except BaseException:
        made.close()
        raise
    return made


@lru_cache(maxsize=8)
def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts the certificates of the system, and those in a file."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _answer(
    connection: HTTPConnection, to: Destination, headers: Mapping[str, str], body: str, deadline: float
) -> Answer:
    headers = {"Host": to.authority, "Content-Type": "application/json", "Connection": "close", **headers}
    connection.timeout = max(deadline - monotonic(), 0.001)
    connection.request("POST", to.target, body.encode(), headers, preload_content=False, decode_content=False)
    response = connection.getresponse()
    if monotonic() >= deadline:  # headers that are cut off look like headers
        raise TimeoutError
    snippet = b""
    with suppress(HTTPError, HTTPException, OSError):  # the status is known, whatever becomes of the rest
        snippet = response.read1(SNIPPET, decode_content=False)
    text = snippet.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return Answer(response.status, text, response.headers.get("Retry-After", ""))


@contextmanager
def _ended_at(deadline: float, connection: HTTPConnection) -> Iterator[None]:
    """End a request at the deadline: the timeout of a socket is for each read, and a server may send single bytes."""
    timer = threading.Timer(max(deadline - monotonic(), 0), partial(_shut, connection.sock))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(sock: Any) -> None:
    """Let a read in another thread end. The method of an SSLSocket would take its TLS away while it is used."""
    with suppress(OSError):  # it is closed already
        socket.shutdown(sock, SHUT_RDWR)


def _described(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
