"""The command `recipes`: the declarations of a project, and what differs from what they promise."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from heliograph.command_verbs import add_options_of_django, escaping
from heliograph.recipes import verbs


class Command(BaseCommand):
    """List declarations, verify what they keep right, and fill what is older."""

    help = "Shows the recipes that this project has declared, and compares what they keep right with its truth."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = verbs.add_parser("list", help="print every declaration with its file and line")
        verify = verbs.add_parser("verify", help="print all that differs from its truth; then the exit status is 1")
        verify.add_argument("--repair", action="store_true", help="mend it, on a live table; exit status 0 if all is")
        backfill = verbs.add_parser("backfill", help="mend all that is older than its declaration")
        backfill.add_argument("--after", metavar="LABEL:KEY", help="go on where a backfill was interrupted")
        for verb in (verify, backfill):
            verb.add_argument("label", nargs="*", help="an app, a model or a field, such as blog.Post.comment_count")
            verb.add_argument("--database", default=DEFAULT_DB_ALIAS, help="the alias of the database")
        for verb in (listing, verify, backfill):
            add_options_of_django(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with escaping(self.stdout):
                getattr(self, f"_{options['verb']}")(**options)
        except LookupError as error:
            raise CommandError(str(error)) from error

    def _list(self, **options: Any) -> None:
        self.stdout.write("\n".join(verbs.listed()) or "No recipe is declared.")

    def _verify(self, *, label: list[str], database: str, repair: bool, **options: Any) -> None:
        subjects, tally = verbs.chosen(label), verbs.Tally()
        for one in verbs.compare(subjects, database, repair=repair):
            is_mended = repair and not one.remedy
            tally.add(is_mended=is_mended)
            self.stdout.write(f"{one}{', and is mended' if is_mended else ''}")
        self.stdout.write(f"{len(subjects)} verified, {tally.text('mended') if repair else f'{tally.left} wrong'}")
        if tally.left:
            sys.exit(1)

    def _backfill(self, *, label: list[str], database: str, after: str | None, **options: Any) -> None:
        subjects = verbs.chosen(label)
        start = None if after is None else verbs.Start.parsed(after)
        tally = verbs.backfill(subjects, database, start, verbs.on_terminal(), self.stderr.write)
        self.stdout.write(f"{len(subjects)} verified, {tally.text('filled')}")
        if tally.left:
            sys.exit(1)
