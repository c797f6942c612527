"""The command `signals`: what is connected to what, and which methods of Django are patched because of it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from heliograph.flow import listing, patched_methods


class Command(BaseCommand):
    """List signals with their receivers, or the patched methods of Django."""

    help = "Shows the signals of this project with their receivers, or the methods of Django that these need patched."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("patches", help="print the methods of Django that are patched now, with their steps in order")
        of_list = verbs.add_parser("list", help="print every signal with its receivers, in the order of their calls")
        parts = "only receivers whose signal, name or sender contains one of these, such as post_save or shop.Order"
        of_list.add_argument("part", nargs="*", help=parts)
        of_list.add_argument("--all", action="store_true", help="signals without receivers too")

    def handle(self, *args: Any, **options: Any) -> None:
        is_list = options["verb"] == "list"
        lines = listing.lines(options["part"], options["all"]) if is_list else patched_methods.lines()
        # In one piece, so that `signals list | head` ends without an error.
        self.stdout.write("\n".join(lines))
