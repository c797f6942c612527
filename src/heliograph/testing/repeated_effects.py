"""The effects of a second attempt that the first has had already: mails, requests and programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.parser import BytesParser
from typing import Any

from heliograph.flow.effects.seen_effects import Effect

# The methods of HTTP that a server may be asked twice: its specification calls them idempotent.
_IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}


def repeated(first: Sequence[Effect], second: Sequence[Effect]) -> Iterator[str]:
    """Yield a line for each effect of the second attempt that the outside cannot recognize as a repetition."""
    yield from _mails(first, second)
    yield from _requests(first, second)
    yield from _connections(first, second)
    yield from _programs(first, second)


def _mails(first: Sequence[Effect], second: Sequence[Effect]) -> Iterator[str]:
    sent = {_message_id(one.about) for one in first if one.kind == "mail"}
    for one in second:
        if one.kind == "mail" and sent and (_message_id(one.about) or "") not in sent:
            yield f"{one.text} is sent again, with no Message-ID that both attempts give it"


def _message_id(message: Any) -> str | None:
    """Return the Message-ID that a receiver gives a mail; without one, each attempt has one of its own."""
    headers = {name.lower(): str(value) for name, value in message.extra_headers.items()}
    return headers.get("message-id")


def _requests(first: Sequence[Effect], second: Sequence[Effect]) -> Iterator[str]:
    sent = {(one.text, _key(one.about)) for one in _of_network(first) if one.about is not None}
    for one in _of_network(second):
        if one.about is None or one.text.split()[0] in _IDEMPOTENT:
            continue
        if (key := _key(one.about)) is None or (one.text, key) not in sent:
            yield f"{one.text} is requested again, with no Idempotency-Key that both attempts give it"


def _connections(first: Sequence[Effect], second: Sequence[Effect]) -> Iterator[str]:
    """Yield a line for each connection that is made twice, and on which no request of HTTP was seen."""
    made = {one.text for one in _of_network(first) if one.about is None}
    asked = {_address(one) for one in _of_network(second) if one.about is not None}
    for one in _of_network(second):
        if one.about is None and one.text in made and _address(one) not in asked:
            yield f"{one.text} is made again, and what it sends cannot be seen: compare what it leaves with also="


def _of_network(effects: Sequence[Effect]) -> list[Effect]:
    return [one for one in effects if one.kind == "network"]


def _address(effect: Effect) -> str:
    return effect.text.rpartition(" to ")[2]


def _key(head: bytes) -> str | None:
    """Return the Idempotency-Key of a request."""
    return BytesParser().parsebytes(head.partition(b"\r\n")[2]).get("Idempotency-Key")


def _programs(first: Sequence[Effect], second: Sequence[Effect]) -> Iterator[str]:
    started = {one.text for one in first if one.kind == "process"}
    for one in second:
        if one.kind == "process" and one.text in started:
            yield f"{one.text} again: compare what it leaves with also="
