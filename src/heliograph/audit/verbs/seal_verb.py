"""The verb `seal`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.audit.models import Seal
from heliograph.audit.sealing import seal
from heliograph.audit.verbs.verb_options import end_progress, entries, progress_of


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    text = "how long to wait for transactions that are still open (default: %(default)s)"
    parser.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help=text)
    text = "append the number and the digest of the newest seal to this file, which should leave this machine"
    parser.add_argument("--head", type=Path, metavar="FILE", help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Seal, and print the newest seal."""
    done = seal(options["database"], options["wait"], progress_of(command, "Sealed"))
    end_progress(command)
    command.stdout.write(f"Sealed {entries(done.entries)}.")
    if done.left:
        command.stdout.write(_left(done.left, done.waits_for))
    if done.head is not None:
        command.stdout.write(f"The head is {head_line(done.head)}")
        if options["head"] is not None:
            with options["head"].open("a", encoding="utf-8") as file:
                file.write(f"{head_line(done.head)}\n")


def head_line(head: Seal) -> str:
    """Return the number and the digest of a seal, as `verify --head` reads them."""
    return f"#{head.pk} {head.digest}"


def _left(count: int, waits_for: int) -> str:
    if not waits_for:
        return f"Left {entries(count)} for the next time: they are newer than this call."
    were = "1 transaction that was" if waits_for == 1 else f"{waits_for:,} transactions that were"
    return f"Left {entries(count)} for the next time: {were} open at the mark has not ended."
