"""A system check, off by default: receivers whose source has effects in the middle of a save, such as a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning

from heliograph.conf import setting
from heliograph.dispatch.policies import Inline
from heliograph.flow.connected_receivers import ConnectedReceiver, connected_receivers, is_of_library, short_signal
from heliograph.flow.source_reading import Source, SourceCall, source_of

# What a call does, by its dotted name.
_EFFECTS = {
    "sends mail": re.compile(r"django\.core\.mail\.(\w+\.)*(send_mail|send_mass_mail|mail_\w+|Email\w+\.send)"),
    "makes an HTTP request": re.compile(
        r"(requests|httpx)\.(.+\.)?(get|post|put|patch|delete|head|options|request|send|stream)"
        r"|urllib\.request\.urlopen"
    ),
    "starts a task of Celery": re.compile(r"(?!instance\.|self\.).+\.(delay|apply_async)"),
}

_SAVES = ("pre_save", "post_save")


def check_sources(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each receiver that has effects outside of the transaction, or saves its own instance again.

    Only if settings.HELIOGRAPH["CHECK_SOURCES"] is true. A receiver whose source cannot be read has no warning.
    """
    if not setting("CHECK_SOURCES"):
        return []
    found: dict[tuple[str, str], CheckMessage] = {}
    for one in connected_receivers():
        for warning in _warnings_of(one):
            # A receiver of several senders has each warning once.
            found.setdefault((str(warning.id), f"{one.name} {warning.msg}"), warning)
    return [*found.values()]


def _warnings_of(one: ConnectedReceiver) -> Iterator[CheckMessage]:
    is_inline = isinstance(one.connection.options.delivery, Inline)
    source = source_of(one.receiver) if is_inline and not is_of_library(one.name) else None
    if source is not None:
        yield from _effects(one, source)
        yield from _own_saves(one, source)


def _effects(one: ConnectedReceiver, source: Source) -> Iterator[CheckMessage]:
    for call in source.calls():
        for effect, pattern in _EFFECTS.items():
            if pattern.fullmatch(call.name):
                yield _effect(one, call, effect)


def _effect(one: ConnectedReceiver, call: SourceCall, effect: str) -> CheckMessage:
    return Warning(
        f"The receiver {effect} in the middle of the send, at {call.file}:{call.line}: a rollback does not undo it, and"
        " the sender waits for it.",
        hint="Connect the receiver with delivery=OnCommit(), or with Durable() if it must not be lost.",
        obj=one.name,
        id="heliograph.W401",
    )


def _own_saves(one: ConnectedReceiver, source: Source) -> Iterator[CheckMessage]:
    is_of_save = one.is_of_models and short_signal(one.signal_name) in _SAVES
    if not is_of_save or one.connection.options.when is not None:
        return
    for call in source.calls():
        if call.name == "instance.save" and call.is_certain:
            yield Warning(
                f"The receiver saves its own instance whenever the instance is saved, at {call.file}:{call.line}: each"
                " save is two, and the second one sends the signal again.",
                hint="Set the fields on pre_save with writes=[...], or connect it with a condition: when=changed(...).",
                obj=one.name,
                id="heliograph.W402",
            )
