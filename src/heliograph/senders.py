"""Senders that are named before they are loaded: "app.Model"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models.options import Options
from django.db.models.utils import make_model_tuple


def when_loaded(operation: Callable[[Any], Any], sender: Any, apps: Any = None) -> Any:
    """Do something with a sender; with one that is named "app.Model", as soon as it is loaded."""
    if not isinstance(sender, str):
        return operation(sender)
    return (apps or Options.default_apps).lazy_model_operation(operation, make_model_tuple(sender))
