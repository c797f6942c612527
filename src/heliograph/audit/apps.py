"""The app that has the tables of the audit log."""

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import register

from heliograph.audit import checks
from heliograph.audit.audit_declarations import declare_settings
from heliograph.audit.log_tables import TABLES
from heliograph.model_senders import when_models_are_loaded


class AuditConfig(AppConfig):
    """The audit log as a Django app."""

    name = "heliograph.audit"
    label = "heliograph_audit"
    verbose_name = "Audit log"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Not in ready(): a receiver of pre_migrate may be connected before that.
        TABLES.follow_migrations(self)

    def ready(self) -> None:
        checks.register_all(register)
        when_models_are_loaded(declare_settings)
        if apps.is_installed("heliograph.outbox"):
            from heliograph.audit.sealing_chore import add  # which needs the models

            add()
