"""The settings of the audit log: `HELIOGRAPH["AUDIT"]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

from heliograph.conf import setting

KEYS = ("MODELS", "TEXT_LIMIT", "KEEP", "ADMIN")


@dataclass(frozen=True)
class AuditSettings:
    """The settings of the audit log."""

    models: tuple[str, ...] = ()  # labels of models, such as auth.User, and apps, such as shop.*
    text_limit: int | None = None  # how many characters of a text an entry has; None for all
    keep: timedelta | None = None  # how long entries are kept whose model has no `keep` of its own; None for ever
    admin: bool = False  # whether the change page of each audited model links to the history of the object


def audit_settings() -> AuditSettings:
    """Return the settings; ImproperlyConfigured for settings that make no sense."""
    given = _given()
    unknown = sorted(map(str, {*given} - {*KEYS}))
    if unknown:
        raise ImproperlyConfigured(
            f"HELIOGRAPH['AUDIT'] has no {', '.join(map(repr, unknown))}: it takes {', '.join(KEYS)}."
        )
    keep = verified_keep(given.get("KEEP"), "HELIOGRAPH['AUDIT']")
    return AuditSettings(_models(given), _text_limit(given), keep, _admin(given))


def verified_keep(value: Any, of: str) -> timedelta | None:
    """Return how long entries are kept; ImproperlyConfigured for anything but None and a time of more than nothing."""
    if value is None or (isinstance(value, timedelta) and value > timedelta(0)):
        return value
    raise ImproperlyConfigured(f"{of}: KEEP takes a timedelta of more than nothing, or None for ever, not {value!r}.")


def text_limit() -> int | None:
    """Return how many characters of a text an entry has: the one setting that is asked for at each write."""
    return _text_limit(_given())


def _given() -> Mapping[str, Any]:
    given = setting("AUDIT")
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"HELIOGRAPH['AUDIT'] must be a dict, not {given!r}.")
    return given


def _models(given: Mapping[str, Any]) -> tuple[str, ...]:
    models = given.get("MODELS", ())
    are_labels = isinstance(models, list | tuple) and all(map(_is_label, models))
    if not are_labels:
        raise ImproperlyConfigured(
            f"HELIOGRAPH['AUDIT']['MODELS'] takes a list of labels such as 'shop.Order' and 'shop.*', not {models!r}."
        )
    return tuple(models)


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and value.count(".") == 1 and all(value.split("."))


def _text_limit(given: Mapping[str, Any]) -> int | None:
    limit: int | None = given.get("TEXT_LIMIT")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ImproperlyConfigured(
            f"HELIOGRAPH['AUDIT']['TEXT_LIMIT'] takes a number of characters, or None for all, not {limit!r}."
        )
    return limit


def _admin(given: Mapping[str, Any]) -> bool:
    is_on = given.get("ADMIN", False)
    if not isinstance(is_on, bool):
        raise ImproperlyConfigured(f"HELIOGRAPH['AUDIT']['ADMIN'] takes True or False, not {is_on!r}.")
    return is_on


def models_of_settings() -> list[Any]:
    """Return the models that the settings name; LookupError for a name that is not there."""
    found: dict[Any, None] = {}
    for label in audit_settings().models:
        app, _, name = label.partition(".")
        config = apps.get_app_config(app)
        models = config.get_models() if name == "*" else [config.get_model(name)]
        found |= {one._meta.concrete_model: None for one in models if not one._meta.swapped}
    return [*found]
