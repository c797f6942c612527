"""The verb `trace`."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, redirect_stdout
from typing import Any

from django.core.management import CommandError

from heliograph.flow.trace import trace
from heliograph.flow.traced_commands import file_to_write, run_under


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb; whatever follows `--` is the command."""
    parser.add_argument("--json", metavar="FILE", help="write the tree as JSON to this file, or to standard output: -")
    parser.add_argument("--sql", action="store_true", help="print the statements too")
    text = "the command with its arguments, after --, such as: -- import_orders today.csv"
    parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Run a management command under a trace, and show the tree, also if the command ends with an error."""
    given, flow = options["command_line"], trace(sql=options["sql"])
    line = given[1:] if given[:1] == ["--"] else given
    if not line:
        raise CommandError("Say which command to trace: manage.py signals trace -- COMMAND ...")
    file = options["json"]
    path = None if file in (None, "-") else file_to_write(file)
    try:
        # The standard output is the JSON alone, so that a program can read it.
        with redirect_stdout(sys.stderr) if file == "-" else nullcontext():
            run_under(flow, line)
    finally:
        if path is not None:
            path.write_text(flow.to_json(indent=1), encoding="utf-8")
        else:
            command.stdout.write(str(flow) if file is None else flow.to_json(indent=1))
