"""The verb `list`."""

from __future__ import annotations

from typing import Any

from heliograph.flow import listing, receiver_filters, receiver_json
from heliograph.flow.connected_receivers import connected_receivers


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    receiver_filters.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="signals without receivers too")
    parser.add_argument("--json", action="store_true", help="print a document of JSON, in a format with a version")


def run(command: Any, options: dict[str, Any]) -> None:
    """Print the listing in one piece, so that `signals list | head` ends without an error."""
    filters = receiver_filters.filters_of(options)
    if options["json"]:
        shown = filters.matching(connected_receivers())
        command.stdout.write(receiver_json.text_of([*map(receiver_json.with_source, shown)]))
    else:
        command.stdout.write("\n".join(listing.lines(filters, options["all"])))
