"""The command `signals`: what is connected to what."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from heliograph.flow.listing import lines


class Command(BaseCommand):
    """List signals and their receivers."""

    help = "Shows the signals of this project: which receivers receive them, from which senders, and in which order."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = verbs.add_parser("list", help="print every signal with its receivers, in the order of their calls")
        parts = "only receivers whose signal, name or sender contains one of these, such as post_save or shop.Order"
        listing.add_argument("part", nargs="*", help=parts)
        listing.add_argument("--all", action="store_true", help="signals without receivers too")

    def handle(self, *args: Any, **options: Any) -> None:
        # In one piece, so that `signals list | head` ends without an error.
        self.stdout.write("\n".join(lines(options["part"], options["all"])))
