"""The command `signals`: what is connected to what, what a write would cause, and what a command has caused."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from heliograph.command_verbs import add_verbs, escaping
from heliograph.flow.verbs import VERBS


class Command(BaseCommand):
    """Show the signals of the project with their receivers."""

    help = "Shows the signals of this project with their receivers, and what happens when something is written."

    def add_arguments(self, parser: CommandParser) -> None:
        add_verbs(parser, VERBS)

    def handle(self, *args: Any, **options: Any) -> None:
        with escaping(self.stdout):
            VERBS[options["verb"]].run(self, options)
