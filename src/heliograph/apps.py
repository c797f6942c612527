"""The app that adopts Django's signals."""

import sys
from collections.abc import Callable
from typing import Any

from django.apps import AppConfig
from django.core.checks import register

from heliograph.conf import setting


class HeliographConfig(AppConfig):
    """Heliograph as a Django app; it has no tables."""

    name = "heliograph"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Not in ready(): receivers are connected while models are imported, with options that need adoption.
        if setting("ADOPT_DJANGO_SIGNALS"):
            from heliograph.adoption import adopt

            adopt()

    def ready(self) -> None:
        from heliograph.changes.tracking import watch_anew
        from heliograph.context.of_command import begin_command
        from heliograph.discovery import autodiscover
        from heliograph.dispatch.reentrancy import identify_by
        from heliograph.model_senders import models_are_loaded
        from heliograph.transactions.row_identity import identity_of, namespace_of

        watch_anew()
        identify_by(identity_of, namespace_of)
        for check in _checks():
            register(check)
        models_are_loaded()
        autodiscover()
        begin_command(sys.argv)


def _checks() -> tuple[Callable[..., Any], ...]:
    from heliograph import checks
    from heliograph.discovery import check_modules
    from heliograph.flow.source_checks import check_sources
    from heliograph.installed import check_entry
    from heliograph.lost_receivers import check_lost_receivers
    from heliograph.outbox.checks import check_installed

    return (
        checks.check_settings,
        check_entry,
        check_modules,
        check_lost_receivers,
        checks.check_conditions,
        checks.check_relations,
        checks.check_deletions,
        checks.check_batches,
        checks.check_database_deletes,
        check_sources,
        check_installed,
    )
