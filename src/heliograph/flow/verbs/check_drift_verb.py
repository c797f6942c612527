"""The verb `check-drift`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from heliograph.flow import drift, receiver_json
from heliograph.flow.connected_receivers import connected_receivers
from heliograph.flow.traced_commands import file_to_write


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("file", metavar="FLOW.json", help="the file that remembers who receives what")
    parser.add_argument("--write", action="store_true", help="write the file anew instead of comparing with it")


def run(command: Any, options: dict[str, Any]) -> None:
    """Print the differences from a file, with exit status 1 if there are any; or write the file."""
    path, records = Path(options["file"]), drift.records_to_compare(connected_receivers())
    if options["write"]:
        file_to_write(options["file"]).write_text(f"{receiver_json.text_of(records)}\n")
        command.stdout.write(f"{path} has {len(records)} connections now.")
        return
    found = drift.differences(_remembered(path), records)
    command.stdout.write("\n".join(map(str, found)) or f"The {len(records)} connections are those of {path}.")
    if found:
        command.stderr.write(f"If this is meant: manage.py signals check-drift --write {path}")
        sys.exit(1)


def _remembered(path: Path) -> list[drift.Record]:
    how = f"Write it: manage.py signals check-drift --write {path}"
    try:
        return drift.verified(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise CommandError(f"{path} does not exist. {how}") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be compared: {error} {how}") from error
