"""The verb `forget`."""

from __future__ import annotations

from typing import Any

from heliograph.audit.forgetting import Forgetting, Forgotten
from heliograph.audit.person_entries import Person
from heliograph.audit.verbs.verb_options import end_progress, entries, label_of, progress_of


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("label", metavar="LABEL", help="the model of the person, such as shop.Customer")
    parser.add_argument("key", metavar="KEY", help="the primary key of the person")
    parser.add_argument("--reason", default="", help="the reason, which a seal stores: name no person in it")
    text = "also remove the reason and context of change sets that are about other rows too"
    parser.add_argument("--shared", action="store_true", help=text)
    parser.add_argument("--dry-run", action="store_true", help="say how many entries there are, and do nothing")


def run(command: Any, options: dict[str, Any]) -> None:
    """Forget a person, and say how much that was."""
    person = Person(options["database"], label_of(options["database"], options["label"]), options["key"])
    progress = progress_of(command, "Found" if options["dry_run"] else "Forgot")
    done = Forgetting(person, options["reason"], options["shared"], options["dry_run"], progress).run()
    end_progress(command)
    command.stdout.write(_summary(done, "Would forget" if options["dry_run"] else "Forgot"))
    if done.shared:
        command.stdout.write(
            f"The reasons of {_sets(len(done.shared))} stay, which are about other rows too: read them, beginning with"
            f" #{min(done.shared)}, or use --shared."
        )


def _summary(done: Forgotten, verb: str) -> str:
    labels, reasons = len(done.labels), len(done.reasons)
    return f"{verb} {entries(len(done.entries))}, the label of {_sets(labels)}, and the reason of {_sets(reasons)}."


def _sets(count: int) -> str:
    return f"{count:,} change {'set' if count == 1 else 'sets'}"
