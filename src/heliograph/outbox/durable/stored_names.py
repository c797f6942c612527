"""The names that a delivery has of its signal and its sender, and whether another process finds these by them."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.base import ModelBase

from heliograph.catalogue import entry_of
from heliograph.dispatch.names import found_name

LONGEST_NAME = 255  # characters, in the table


def name_of(signal: Any) -> str:
    """Return the name of a signal, also if another dispatcher runs it."""
    entry = entry_of(signal)
    if entry is not None:
        return entry.path
    return str(getattr(signal, "name", None) or found_name(signal) or repr(signal))


def label_of(sender: Any) -> str:
    """Return the name of a sender in the table: the label of a model or an app, the name of a class, "" for None."""
    labelled = sender if isinstance(sender, AppConfig) else getattr(sender, "_meta", None)
    label = getattr(labelled, "label", None) or getattr(sender, "__qualname__", None)
    return str(label or ("" if sender is None else sender))[:LONGEST_NAME]


def is_of_app(sender: Any) -> bool:
    """Return whether a worker can find a sender: it is no model, or an abstract one, or a model of an app."""
    meta = getattr(sender, "_meta", None) if isinstance(sender, ModelBase) else None
    return meta is None or meta.abstract or apps.all_models[meta.app_label].get(meta.model_name) is sender
