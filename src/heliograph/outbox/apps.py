"""The app that has the table of deliveries."""

from typing import Any

from django.apps import AppConfig
from django.core.checks import register

from heliograph.installed import check_entry
from heliograph.outbox import checks
from heliograph.outbox.installed_tables import DELIVERIES


class OutboxConfig(AppConfig):
    """The outbox as a Django app."""

    name = "heliograph.outbox"
    label = "heliograph_outbox"
    verbose_name = "Outbox"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Not in ready(): a receiver of pre_migrate may be connected before that.
        DELIVERIES.follow_migrations(self)

    def ready(self) -> None:
        register(check_entry)
        checks.register_all(register)
