"""The verb `record`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management import CommandError

from heliograph.flow.recording.recorded_facts import Recording, recording_of
from heliograph.flow.recording.written_tests import written_test
from heliograph.flow.trace import trace
from heliograph.flow.traced_commands import file_to_write, run_under


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb; whatever follows `--` is the command, behind which the options may be, too."""
    _add_options(parser)
    text = "the command with its arguments, after --, such as: -- import_orders today.csv"
    parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help=text)


def _add_options(parser: Any) -> None:
    parser.add_argument("--as-test", metavar="FILE", help="the file to write; it must not be there yet")
    text = "assert the values of this name, too, wherever they were sent; may be given several times"
    parser.add_argument("--with-values", metavar="NAME", action="append", help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Run a management command, and write a test that asserts what it has sent, called and enqueued."""
    asked, line = _asked(options)
    path, wanted = _free_path(asked.as_test), asked.with_values or []
    flow = trace()
    run_under(flow, line)
    recording = recording_of(flow.events, wanted)
    _verify(recording, wanted)
    path.write_text(written_test(recording, line[0], line[1:]), encoding="utf-8")
    count = len(recording.facts)
    command.stdout.write(f"{path} has a test with {count} {'assertion' if count == 1 else 'assertions'}.")


def _asked(options: dict[str, Any]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options of the verb, from before and behind the command, and the command with its arguments."""
    given, line = argparse.Namespace(**options), options["command_line"]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_options(parser)
    asked, rest = parser.parse_known_args(line[1:] if line[:1] == ["--"] else line, given)
    if not rest:
        raise CommandError("Say which command to record: manage.py signals record --as-test FILE -- COMMAND ...")
    return asked, rest


def _free_path(file: str | None) -> Path:
    if file is None:
        raise CommandError("Say where to write the test: --as-test tests/test_orders.py")
    if Path(file).exists():
        raise CommandError(f"{file} is there already: name another file, or remove it.")
    return file_to_write(file)


def _verify(recording: Recording, wanted: list[str]) -> None:
    if not recording.facts:
        raise CommandError(
            "There is nothing to assert: the command has sent nothing that a receiver of the project has received."
        )
    asserted = {name for fact in recording.facts for name, _ in fact.values}
    for name in wanted:
        if name not in asserted:
            raise CommandError(
                f"No send has had a value {name!r} that can be written in a test. There were: "
                f"{', '.join(recording.names) or 'none'}."
            )
