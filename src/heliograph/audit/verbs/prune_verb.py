"""The verb `prune`."""

from __future__ import annotations

from typing import Any

from heliograph.audit.pruning import expired, keeps, prune
from heliograph.audit.verbs.verb_options import duration_with_unit, end_progress, entries, label_of, progress_of


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    text = "delete entries that are older than this, such as 90d, in place of what models and settings say"
    parser.add_argument("--older-than", type=duration_with_unit, metavar="DURATION", help=text)
    parser.add_argument("--dry-run", action="store_true", help="say how many entries there are, and do nothing")
    parser.add_argument("labels", nargs="*", metavar="LABEL", help="only the entries of these models")


def run(command: Any, options: dict[str, Any]) -> None:
    """Delete what is too old, and say how much that was."""
    using = options["database"]
    labels = [label_of(using, one) for one in options["labels"]]
    keep = keeps(using, labels, options["older_than"])
    if options["dry_run"]:
        counts = expired(using, keep)
        for label, count in counts.items():
            command.stdout.write(f"Would prune {entries(count)} of {label}, kept for {keep[label]}.")
        if not counts:
            command.stdout.write(f"Would prune {entries(0)}.")
        return
    count = prune(using, keep, progress_of(command, "Pruned"))
    end_progress(command)
    command.stdout.write(f"Pruned {entries(count)}.")
