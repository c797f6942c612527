"""The command `audit`: it seals and verifies the audit log, and removes what is too old or must be forgotten."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from heliograph.audit.verbs import VERBS
from heliograph.audit.verbs.verb_options import add_database
from heliograph.command_verbs import add_verbs, escaping


class Command(BaseCommand):
    """Look after the audit log."""

    help = "Seals the audit log, verifies that nobody has altered it, and removes what is old or must be forgotten."

    def add_arguments(self, parser: CommandParser) -> None:
        add_verbs(parser, VERBS, add_database)

    def handle(self, *args: Any, **options: Any) -> None:
        with escaping(self.stdout):
            VERBS[options["verb"]].run(self, options)
