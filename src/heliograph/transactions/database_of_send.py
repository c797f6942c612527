"""Databases: which one the transaction of a send is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import router
from django.db.models import Model

from heliograph.catalogue import CATALOGUE
from heliograph.changes.current import without_wrapper


def alias_of_send(payload: Mapping[str, Any]) -> str | None:
    """Return the alias of the database that a send is about, or None where nothing says it.

    That is what it carries as `using`; else where the instance that it carries is written, or another model's
    instance that it carries, or where its sender is.
    """
    using = payload.get("using")
    if isinstance(using, str):
        return using
    instance = _instance(payload)
    if instance is not None:
        return router.db_for_write(instance.__class__, instance=instance)
    sender = payload.get("sender")
    if isinstance(sender, type) and issubclass(sender, Model) and not sender._meta.abstract:
        return router.db_for_write(sender)
    return None


def _instance(payload: Mapping[str, Any]) -> Any:
    instance = payload.get("instance")
    if not isinstance(instance, Model):  # which it mostly is, and to look further takes its time
        values = (payload.get("sender"), *payload.values())
        instance = next((value for value in values if isinstance(value, Model)), None)
    return without_wrapper(instance)


# The names of the signals in the catalogue that are about a database; of the others, every send is about none.
SIGNALS_WITH_DATABASE = sorted(
    name for name, entry in CATALOGUE.items() if not {"using", "user"}.isdisjoint(entry.carries)
)
