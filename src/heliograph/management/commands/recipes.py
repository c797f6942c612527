"""The command `recipes`: the kept fields of a project beside their truth."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from heliograph.recipes.kept import verbs


class Command(BaseCommand):
    """List, verify and fill kept fields."""

    help = "Shows the kept fields of this project, and compares their values with the rows that they are made of."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="print every declaration with its file and line")
        verify = verbs.add_parser("verify", help="print every value that is not the truth; then the exit status is 1")
        verify.add_argument("--repair", action="store_true", help="mend these values, on a live table; exit status 0")
        backfill = verbs.add_parser("backfill", help="fill the fields of rows that are older than the declaration")
        backfill.add_argument("--after", metavar="FIELD:KEY", help="go on where a backfill was interrupted")
        for verb in (verify, backfill):
            verb.add_argument("label", nargs="*", help="an app, a model or a field, such as blog.Post.comment_count")
            verb.add_argument("--database", default=DEFAULT_DB_ALIAS, help="the alias of the database")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(**options)
        except LookupError as error:
            raise CommandError(str(error)) from error

    def _list(self, **options: Any) -> None:
        self.stdout.write("\n".join(verbs.listed()) or "No field is kept.")

    def _verify(self, *, label: list[str], database: str, repair: bool, **options: Any) -> None:
        fields, count = verbs.chosen(label), 0
        for one in verbs.compare(fields, database, repair=repair):
            count += 1
            self.stdout.write(f"{one}{', and is mended' if repair else ''}")
        self.stdout.write(f"{len(fields)} fields, {count} values {'mended' if repair else 'wrong'}")
        if count and not repair:
            sys.exit(1)

    def _backfill(self, *, label: list[str], database: str, after: str | None, **options: Any) -> None:
        fields = verbs.chosen(label)
        start = None if after is None else verbs.Start.parsed(after)
        count = verbs.backfill(fields, database, start, verbs.on_terminal(), self.stderr.write)
        self.stdout.write(f"{len(fields)} fields, {count} values filled")
