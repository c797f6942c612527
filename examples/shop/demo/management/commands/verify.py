"""The command that checks the shop's statistics against the file of purchases."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper

from demo import expected, purchases
from demo.comparison import Check
from demo.verification import verify

SHOWN = 10


class Command(BaseCommand):
    """Checks every statistic of the shop against the file that was replayed."""

    help = "Check every statistic of the shop against the file of purchases that was replayed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file."""
        parser.add_argument("--data", type=Path, default=purchases.PATH, help="file of purchases (CDNOW's by default)")

    def handle(self, *, data: Path, **options: Any) -> None:
        """Print a line for every check; end with an error if any number differs."""
        checks = list(verify(expected.from_file(data)))
        for check in checks:
            show(check, self.stdout)
        if failed := sum(bool(check.differences) for check in checks):
            raise CommandError(f"{failed} of {len(checks)} checks found differences.")


def show(check: Check, out: OutputWrapper) -> None:
    """Print a check, and its first differences."""
    out.write(f"{'DIFFERS' if check.differences else 'ok'}  {check.name}: {check.scope}")
    for difference in check.differences[:SHOWN]:
        out.write(f"    {difference}")
    if len(check.differences) > SHOWN:
        out.write(f"    and {len(check.differences) - SHOWN} more")
