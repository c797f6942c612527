"""Acts: by whom, why and in which context something was done, as the columns of a change set have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any

from heliograph.audit.digests import salts_and_digests
from heliograph.context.kept_context import EMPTY, Context

_TEXTS = ("request_id", "correlation_id", "command")
_LONGEST = 255  # characters of the columns of the actor and its label


@dataclass(frozen=True, slots=True)
class Act:
    """The actor, the reason and the rest of a context; two are equal if nothing but their traces differs."""

    actor: str = ""  # such as auth.User 7, or cron for something that is no user
    reason: str = ""
    compared: str = ""  # the values that are compared, as JSON
    label: str = field(default="", compare=False)  # how the actor was called then
    context: str = field(default="", compare=False)  # all values, with the trace, as JSON

    def columns(self) -> list[str]:
        """Return the values of the columns actor, actor_label, reason, context, salts and digests."""
        texts = self.actor, self.label, self.reason, self.context
        return [*texts, *salts_and_digests(*texts[1:])]


NOBODY = Act()


def act_of(context: Context) -> Act:
    """Return the act of a context."""
    if context is EMPTY:
        return NOBODY
    actor, label = _actor_of(context)
    found = {name: value for name in _TEXTS if (value := getattr(context, name))}
    found |= {"values": dict(context.values)} if context.values else {}
    traced = {"traceparent": context.traceparent} if context.traceparent else {}
    return Act(actor, _storable(context.reason), _json(found), label, _json({**found, **traced}))


def _actor_of(context: Context) -> tuple[str, str]:
    actor = context.actor
    if actor is None:
        return "", ""
    return name_of(actor), _storable(actor.label)[:_LONGEST]


def name_of(actor: Any) -> str:
    """Return the text by which change sets name an actor, such as auth.User 7, or cron for one that is no user."""
    return _storable(f"{actor.model} {actor.key}".strip())[:_LONGEST]


def _storable(text: str) -> str:
    """Return a text that every database takes: PostgreSQL refuses "\\0", and UTF-8 has no half of a surrogate pair.

    A text that a client has sent may have them, and a change that it explains must not fail at its commit for them.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _json(values: Mapping[str, Any]) -> str:
    return dumps(values, separators=(",", ":"), sort_keys=True) if values else ""
