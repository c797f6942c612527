"""The verb `import` of the command `audit`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.importing.foreign_entries import Source
from heliograph.audit.importing.from_auditlog import AuditlogSource
from heliograph.audit.importing.from_snapshots import pghistory_sources, simple_history_source
from heliograph.audit.importing.importing_chunks import Imported, import_from

PACKAGES = {"auditlog": "auditlog", "simple_history": "simple_history", "pghistory": "pghistory"}

HELP = "import the entries of django-auditlog, django-simple-history or django-pghistory"


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("package", choices=PACKAGES, help="the package whose entries are imported")
    parser.add_argument(
        "labels", nargs="*", metavar="LABEL", help="the models, such as shop.Product (default: all that are audited)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say how many entries there are, and write none")


def run(command: Any, options: dict[str, Any]) -> None:
    """Import, and say how many entries that were, what was left out, and what the package does not have."""
    using, package, dry_run = options["database"], options["package"], options["dry_run"]
    if not apps.is_installed(PACKAGES[package]):
        raise CommandError(f"{PACKAGES[package]} is not in INSTALLED_APPS: the import reads its tables by its models.")
    sources = [*_sources(package, using, _models(options["labels"]))]
    if not sources:
        raise CommandError(f"{package} follows none of these models.")
    for source in sources:
        done = import_from(source, using, dry_run=dry_run)
        command.stdout.write(_summary(source, done, "Would import" if dry_run else "Imported"))
    command.stdout.write("\n".join(["It does not have:", *(f"  {one}" for one in _lacks(sources))]))


def _models(labels: Collection[str]) -> list[Any]:
    if not labels:
        return [*AUDITED]
    try:
        return [apps.get_model(label) for label in labels]
    except (LookupError, ValueError) as error:
        raise CommandError(f"{error} Name a model such as shop.Product.") from None


def _sources(package: str, using: str, models: Collection[Any]) -> Iterator[Source]:
    masked = {one: AUDITED[one].masked if one in AUDITED else frozenset[str]() for one in models}
    for model in models if package == "auditlog" else ():
        yield AuditlogSource(using, model, masked[model])
    for model in models if package == "pghistory" else ():
        yield from pghistory_sources(using, model, masked[model])
    for model in models if package == "simple_history" else ():
        source = simple_history_source(using, model, masked[model])
        if source is not None:
            yield source


def _summary(source: Source, done: Imported, verb: str) -> str:
    lines = [f"{verb} {done.entries:,} entries of {source.name}."]
    return "\n".join([*lines, *(f"  Left out: {count:,} {reason}." for reason, count in _counted(done.left_out))])


def _counted(left_out: Counter[str]) -> Iterable[tuple[str, int]]:
    return [(reason, count) for reason, count in left_out.items() if count]


def _lacks(sources: Iterable[Source]) -> list[str]:
    return [*dict.fromkeys(one for source in sources for one in source.lacks)]
