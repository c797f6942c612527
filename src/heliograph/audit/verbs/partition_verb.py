"""The verb `partition`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management import CommandError

from heliograph.audit.partitioning import AHEAD, SIZE, PartitionError, partition


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    text = f"how many ids a new partition has (default: as many as the newest, or {SIZE:,} for the first)"
    parser.add_argument("--size", type=_number, metavar="N", help=text)
    text = "how many empty partitions are ready for the next entries (default: %(default)s)"
    parser.add_argument("--ahead", type=_number, default=AHEAD, metavar="K", help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Partition the table of entries, or make the partitions that are missing."""
    try:
        is_new, count = partition(options["database"], options["size"], options["ahead"])
    except PartitionError as error:
        raise CommandError(str(error)) from error
    if is_new:
        command.stdout.write("The table of entries is partitioned by ranges of ids; what was there is the first.")
    command.stdout.write(f"Made {count} {'partition' if count == 1 else 'partitions'} for the next entries.")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"it takes a whole number from 1, not {text!r}.")
    return int(text)
