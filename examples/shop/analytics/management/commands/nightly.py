"""The command that a timer calls once a day."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from analytics.reports import close


class Command(BaseCommand):
    """Says that the night has fallen; a worker makes the report of the day."""

    help = "Say that the night has fallen: a worker makes the report of the day."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the days."""
        parser.add_argument("days", nargs="*", type=date.fromisoformat, help="such as 1997-01-31; today by default")

    def handle(self, *, days: list[date], **options: Any) -> None:
        """Close the days."""
        close(days or [timezone.localdate()])
