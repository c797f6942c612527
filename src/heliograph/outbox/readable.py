"""The texts of a delivery for people to read, also if somebody has written nonsense into its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware, localtime

from heliograph.outbox.charset import storable


def indented(payload: str) -> str:
    """Return JSON on several lines; a text that is no JSON, or is nested too deeply, as it is."""
    try:
        return storable(json.dumps(json.loads(payload), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return storable(payload)


def events_in(history: str) -> list[dict[str, Any]]:
    """Return the events of a history, the first one first; an unreadable line is its text under "unreadable"."""
    return [_event(line) for line in history.splitlines()]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    return event if isinstance(event, dict) else {"unreadable": line}


def facts_of(event: Mapping[str, Any]) -> tuple[str, str | datetime, str, str]:
    """Return what happened at an event, when, by whom, and why."""
    if "unreadable" in event:
        return "-", "", "", _text(event["unreadable"])
    what, who, why = ("operation", "by", "reason") if "operation" in event else ("attempt", "worker", "error")
    return _text(event.get(what)), _time(event.get("at")), _text(event.get(who)), _text(event.get(why))


def _text(value: Any) -> str:
    return "" if value is None else storable(str(value))


def _time(value: Any) -> str | datetime:
    try:
        return parse_datetime(value) or _text(value)
    except (ValueError, TypeError):
        return _text(value)


def local(at: datetime) -> datetime:
    """Return a time in the current time zone, or as it is if that zone has no such time."""
    try:
        return localtime(at) if is_aware(at) else at
    except OverflowError:  # at the end of all times, or at their beginning
        return at
