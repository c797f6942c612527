"""The verb `verify`."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.chain import last_seal
from heliograph.audit.continuity import Continuity
from heliograph.audit.seal_verification import Counts, Verification
from heliograph.audit.verbs.verb_options import end_progress, entries, label_of, progress_of

_SHOWN = 20  # findings

_DIGEST = re.compile(r"[A-Za-z0-9+/]{43}")


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    text = "the number of the seal to begin with: the seals before it are trusted"
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="SEAL", help=text)
    text = "a digest that was kept elsewhere, or a file that `audit seal --head` has written"
    parser.add_argument("--head", type=_heads, action="extend", default=[], metavar="DIGEST", help=text)
    text = "also find writes past Django's ORM: values that no entry explains"
    parser.add_argument("--continuity", action="store_true", help=text)
    text = "the models whose continuity is verified, such as shop.Order (default: all that are audited)"
    parser.add_argument("labels", nargs="*", metavar="LABEL", help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Verify, print what was found, and exit with 1 if anything was."""
    if options["labels"] and not options["continuity"]:
        raise CommandError("A seal has entries of all models: name models only with --continuity.")
    using, first = options["database"], options["first"]
    labels = [_audited_label(using, one) for one in options["labels"]]
    _verify_is_there(using, first)
    verification = Verification(using, first, options["head"], progress_of(command, "Verified"))
    parts = [verification.findings()]
    if options["continuity"]:
        parts.append(Continuity(using, labels).findings())
    count = _show(command, chain.from_iterable(parts))
    end_progress(command)
    command.stdout.write(_summary(verification.counts))
    if count:
        findings = "1 finding" if count == 1 else f"{count:,} findings"
        raise CommandError(f"The audit log is not as it was written: {findings}.", returncode=1)


def _audited_label(using: str, given: str) -> str:
    label = label_of(using, given)
    if all(one.label != label for one in AUDITED.values()):
        raise CommandError(f"{label} is not audited, so that nothing is known about its continuity: audit() it.")
    return label


def _verify_is_there(using: str, first: int) -> None:
    """Raise CommandError for a seal that is newer than all: nothing would be verified, and all would look well."""
    newest = last_seal(using)
    last = 0 if newest is None else newest.pk
    if first > max(last, 1) or first < 1:
        raise CommandError(f"There is no seal #{first}: they are numbered from #1, and the newest is #{last}.")


def _show(command: Any, findings: Iterator[str]) -> int:
    count = 0
    for count, finding in enumerate(findings, 1):
        if count <= _SHOWN:
            command.stderr.write(finding)
    if count > _SHOWN:
        command.stderr.write(f"And {count - _SHOWN:,} more.")
    return count


def _summary(counts: Counts) -> str:
    text = f"Verified {entries(counts.sealed)}; seals: {counts.seals:,}; not sealed yet: {counts.unsealed:,}"
    return f"{text}; forgotten: {counts.forgotten:,}; pruned: {counts.pruned:,}."


def _heads(text: str) -> list[str]:
    """Return the digests that an argument names."""
    if _DIGEST.fullmatch(text):
        return [text]
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"{text!r} is neither a digest of 43 characters nor a file.")
    found = [word for line in path.read_text(encoding="utf-8").splitlines() for word in line.split()[1:2]]
    wrong = [word for word in found if not _DIGEST.fullmatch(word)]
    if wrong or not found:
        raise ArgumentTypeError(f"{text} has lines that `audit seal --head` has not written.")
    return found
