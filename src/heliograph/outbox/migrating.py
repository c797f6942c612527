"""While `migrate` runs: whether the table of deliveries is there yet."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_migrate, pre_migrate

from heliograph.outbox.installed_tables import delivery_model, is_there

# The aliases of the databases that `migrate` works on.
_migrating: set[str] = set()


def follow_migrations(app_config: Any) -> None:
    """Connect to the signals of `migrate`, from its start until the app of the outbox has been migrated."""
    pre_migrate.connect(_begin, dispatch_uid=__name__)
    post_migrate.connect(_end, sender=app_config, dispatch_uid=__name__)


def has_table(using: str) -> bool:
    """Return whether deliveries can be written; the database is asked only while `migrate` runs."""
    return using not in _migrating or _is_there(using)


def _begin(using: str, **kwargs: Any) -> None:
    _migrating.add(using)


def _end(using: str, **kwargs: Any) -> None:
    if _is_there(using):
        _migrating.discard(using)


def _is_there(using: str) -> bool:
    return is_there(using, delivery_model())
