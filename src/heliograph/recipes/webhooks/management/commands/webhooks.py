"""The command `webhooks`: it shows how endpoints are doing, and deletes old messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from heliograph.command_verbs import add_options_of_django
from heliograph.recipes.webhooks.endpoints import database
from heliograph.recipes.webhooks.models import Endpoint
from heliograph.recipes.webhooks.retention import prune


class Command(BaseCommand):
    """Show endpoints, or delete old messages."""

    help = "Shows how the endpoints of webhooks are doing, or deletes messages that are older than the settings keep."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        text = "list the endpoints; the exit status is 1 if one fails or is disabled"
        add_options_of_django(verbs.add_parser("status", help=text))
        text = "delete messages that are older than HELIOGRAPH_WEBHOOKS['KEEP']"
        add_options_of_django(verbs.add_parser("prune", help=text))

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")()

    def _status(self) -> None:
        found = [*Endpoint.objects.using(database()).order_by("pk")]
        for line in _lines(found):
            self.stdout.write(line)
        problems = [one for one in found if one.state != "active"]
        if problems:
            raise CommandError(f"Look after {len(problems)} of {len(found)} endpoints.", returncode=1)

    def _prune(self) -> None:
        count = prune()
        self.stdout.write(f"Pruned {count:,} message{'' if count == 1 else 's'}.")


def _lines(endpoints: list[Endpoint]) -> Iterator[str]:
    for one in endpoints:
        yield f"{one.pk}  {one.state:8}  {one}  {_reason(one)}".rstrip()


def _reason(endpoint: Endpoint) -> str:
    if endpoint.state == "disabled":
        return f"since {endpoint.disabled_at:%Y-%m-%d %H:%M} UTC: {endpoint.disabled_reason}"
    return "" if endpoint.state == "active" else f"since {endpoint.first_failure_at:%Y-%m-%d %H:%M} UTC"
