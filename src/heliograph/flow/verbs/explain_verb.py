"""The verb `explain`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Any

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, Error

from heliograph.flow.analyzing.analysis import Analysis, analyze
from heliograph.flow.asked_writes import OPERATIONS, AskedWrite, asked_write, parsed
from heliograph.flow.explain import story_of


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("model", help="the model, such as shop.Order")
    parser.add_argument("operation", nargs="?", default="save", metavar="OPERATION", help=", ".join(OPERATIONS))
    parser.add_argument("--pk", help="the primary key of the row that is written")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="values", help="set a field before the write"
    )
    parser.add_argument("--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="the alias of the database")
    parser.add_argument("--analyze", action="store_true", help="run the write, and roll it back: show what ran")
    parser.add_argument("--sql", action="store_true", help="with --analyze, show the statements too")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(command: Any, options: dict[str, Any]) -> None:
    """Print the story of a write, or with `--analyze` what ran."""
    if options["sql"] and not options["analyze"]:
        raise CommandError("--sql shows the statements of a write that was run: add --analyze.")
    try:
        values, using = parsed(options["values"]), options["database"]
        asked = asked_write(options["model"], options["operation"], pk=options["pk"], values=values, using=using)
        found = _analyzed(asked, options["sql"]) if options["analyze"] else story_of(asked)
    except (LookupError, TypeError, ValueError, Error) as error:
        raise CommandError(str(error)) from error
    command.stdout.write(found.to_json(indent=2) if options["json"] else str(found))


def _analyzed(asked: AskedWrite, sql: bool) -> Analysis:
    """Analyze a write; receivers print on the error stream meanwhile, so that a program can read the output."""
    with redirect_stdout(sys.stderr):
        return analyze(asked, sql=sql, hook=True)  # the hook stays in the process, which ends with the command
