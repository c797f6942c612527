"""While `migrate` runs: whether the table of deliveries is there yet."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_migrate, pre_migrate

from heliograph.outbox.installed_tables import delivery_model, is_there

# The aliases of the databases that `migrate` works on.
MIGRATING: set[str] = set()


def follow_migrations(app_config: Any) -> None:
    """Connect to the signals of `migrate`, from its start until the app of the outbox has been migrated."""
    pre_migrate.connect(_begin, dispatch_uid=__name__)
    post_migrate.connect(_end, sender=app_config, dispatch_uid=__name__)


def has_table(using: str) -> bool:
    """Return whether a database has the table of deliveries by now."""
    return is_there(using, delivery_model())


def _begin(using: str, **kwargs: Any) -> None:
    MIGRATING.add(using)


def _end(using: str, **kwargs: Any) -> None:
    if has_table(using):
        MIGRATING.discard(using)
