"""A story as JSON: chapters with their receivers, in both orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from heliograph.flow.listing import extras
from heliograph.flow.stories.chapters import Chapter, Chapters
from heliograph.flow.stories.expected_receivers import Expected

# The version of the format.
VERSION = 1


def json_of(story: Chapters) -> dict[str, Any]:
    """Return a story as values of JSON."""
    asked = story.asked
    return {
        "version": VERSION,
        "model": asked.model._meta.label,
        "operation": asked.operation,
        "using": asked.using,
        "pk": None if asked.pk is None else str(asked.pk),
        "set": sorted(asked.values),
        "autocommit": [*map(_chapter, story.autocommit)],
        "atomic": [*map(_chapter, story.atomic)],
        "on_rollback": _receivers(story.on_rollback),
        "remarks": [*story.remarks],
    }


def _chapter(chapter: Chapter) -> dict[str, Any]:
    return {
        "kind": chapter.kind,
        "title": chapter.title,
        "text": chapter.text,
        "receivers": _receivers(chapter.receivers),
    }


def _receivers(receivers: Iterable[Expected]) -> list[dict[str, Any]]:
    return [
        {
            "receiver": one.full_name,
            "where": one.where,
            "signal": one.signal_name,
            "sender": one.sender._meta.label,
            "connected_to": one.connected_to,
            "verdict": one.verdict.value,
            "reason": one.reason,
            "policy": repr(one.policy),
            "async": one.is_async,
            "options": [extras({name: value}) for name, value in one.options.items()],
            "declared": one.declared,
            "writes": [*one.writes],
        }
        for one in receivers
    ]
