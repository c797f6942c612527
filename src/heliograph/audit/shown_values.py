"""The values of an entry as HTML, each as the admin shows a value of its field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.admin.utils import display_for_field, display_for_value
from django.db.models import BooleanField, CharField, DecimalField, FloatField, IntegerField, TextField
from django.utils.hashable import make_hashable
from django.utils.html import format_html, format_html_join

from heliograph.audit.named_objects import NamedObjects
from heliograph.audit.stored_changes import MASKED, CutText
from heliograph.audit.word_differences import Piece
from heliograph.changes.values import NO_ROW, UNKNOWN, Mark
from heliograph.outbox.readable import local

# A longer text is compared by word with the text before it; a shorter one stands beside it.
SHORT = 60

_MARKS = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
_WORDS = '<span class="audit-quiet">{}</span>'


def shown(field: Any, value: Any, objects: NamedObjects) -> str:
    """Return a value as HTML; `field` is None if the model does not have the field any more."""
    words = _in_words(value)
    if words:
        return format_html(_WORDS, words)
    if target := target_of(field):
        return objects.shown(*target, value)
    if isinstance(value, CutText):
        return format_html("{}… {}", str(value), format_html(_WORDS, "(cut)"))
    if is_json(value):
        return format_html('<pre class="audit-code" tabindex="0">{}</pre>', pretty(value))
    return format_html("{}", _of_field(field, value))


def _in_words(value: Any) -> str:
    """Return the words for a value that has no text of its own."""
    if value is None:
        return "nothing"
    if value == "":
        return "empty text"
    return _WORDS_OF_MARKS.get(value, "") if isinstance(value, Mark) else ""


_WORDS_OF_MARKS: dict[Any, str] = {UNKNOWN: "not known", NO_ROW: "no row", MASKED: "masked"}


def target_of(field: Any) -> tuple[Any, str] | None:
    """Return the model that a foreign key refers to and the field that has its values; None for other fields."""
    if field is None or not (field.many_to_one or field.one_to_one) or not field.concrete:
        return None
    return field.related_model, field.target_field.attname


def is_json(value: Any) -> bool:
    """Return whether a value is shown as JSON."""
    return isinstance(value, dict | list | tuple)


def pretty(value: Any) -> str:
    """Return a value as JSON on several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def is_text(field: Any, value: Any) -> bool:
    """Return whether a value is a text that somebody has written, and not one of several choices."""
    is_of_text = field is None or isinstance(field, CharField | TextField)
    return isinstance(value, str) and is_of_text and not getattr(field, "flatchoices", None)


def _of_field(field: Any, value: Any) -> Any:
    if field is None:
        return display_for_value(value, "-")
    if getattr(field, "flatchoices", None):
        choices = dict(make_hashable(field.flatchoices))
        return choices.get(make_hashable(value), value)  # a value that is no choice any more is shown as it is
    if isinstance(field, BooleanField) and not isinstance(value, bool):
        return str(value)
    if isinstance(field, DecimalField | FloatField | IntegerField) and isinstance(value, str):
        return value
    try:
        return display_for_field(value, field, "-", avoid_link=True)
    except Exception:  # a field of the project may raise any error for a value of an earlier version of it
        return display_for_value(value, "-")


def exactly(value: Any) -> str:
    """Return a value as it is written in a program, a time in the current time zone."""
    text = local(value).isoformat(" ") if isinstance(value, datetime) else value
    return format_html("{}", text)


def marked(pieces: Sequence[Piece]) -> str:
    """Return pieces of two texts, with the removed and added ones marked."""
    return format_html_join("", "{}", ((format_html(_MARKS[piece.kind], piece.text),) for piece in pieces))
