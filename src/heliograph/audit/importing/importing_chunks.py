"""Imports are written in chunks, each in a transaction, and a second run doubles nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min

from heliograph.audit.chain import rows
from heliograph.audit.digests import digest_of, new_salts, number_of, salts_and_digests
from heliograph.audit.importing.foreign_entries import ForeignEntry, Found, Source
from heliograph.audit.models import ChangeSet, Entry, Kind

# The numbers of imported rows begin here and stay below zero: they come before those that the log has written itself.
FIRST = -1_000_000_000_000


@dataclass
class Imported:
    """The result of an import: how many entries it has written, or would write."""

    entries: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # how many rows of theirs, by the reason


def import_from(
    source: Source, using: str, *, dry_run: bool = False, progress: Callable[[int], None] = lambda count: None
) -> Imported:
    """Import what a source has behind the last entry that was imported of it."""
    done = Imported()
    since: dict[str, datetime | None] = {}
    for found in source.chunks(_last_position(source, using)):
        entries = _before_own(found, using, since)
        done.left_out += found.left_out
        done.entries += len(entries)
        if entries and not dry_run:
            with transaction.atomic(using=using):
                _write(using, entries)
        progress(done.entries)
    return done


def _last_position(source: Source, using: str) -> Any:
    """Return the position behind the last imported row of a source; None if there is none."""
    sets = rows(ChangeSet, using).filter(pk__lt=0, context__startswith=f'{{"imported": "{source.name} ')
    last = sets.order_by("-pk").first()
    return None if last is None else source.position(json.loads(last.context)["imported"], last.at)


def _before_own(found: Found, using: str, since: dict[str, datetime | None]) -> list[ForeignEntry]:
    """Return the entries from before the time since which the log has their models itself."""
    for label in {one.label for one in found.entries} - {*since}:
        own = rows(Entry, using).filter(kind__in=rows(Kind, using).filter(model=label), pk__gt=0)
        since[label] = own.aggregate(first=Min("change_set__at"))["first"]
    own_sets = _own_changes([one for one in found.entries if _is_near(one, since)], using)
    entries = [one for one in found.entries if _is_before(one, since) and not _is_own(one, own_sets)]
    found.left_out["made since this log itself has recorded the model"] += len(found.entries) - len(entries)
    return entries


# Other packages store the time of the write, and this log the time of the commit: within this span, a change may be in
# both logs.
_LONGEST_TRANSACTION = timedelta(minutes=10)

Since = Mapping[str, datetime | None]
Changes = Mapping[str, Any]


def _is_before(one: ForeignEntry, since: Since) -> bool:
    limit = since[one.label]
    return limit is None or one.at < limit


def _is_near(one: ForeignEntry, since: Since) -> bool:
    limit = since[one.label]
    return limit is not None and limit - _LONGEST_TRANSACTION <= one.at < limit


def _own_changes(entries: Collection[ForeignEntry], using: str) -> dict[tuple[str, str], list[Changes]]:
    """Return the changes of the rows of entries that the log has itself, by the label and the key."""
    found: dict[tuple[str, str], list[Changes]] = {}
    if entries:
        kinds = rows(Kind, using).filter(model__in={one.label for one in entries})
        own = rows(Entry, using).filter(kind__in=kinds, object__in={one.key for one in entries}, pk__gt=0)
        for one in own.select_related("kind").exclude(text=""):
            found.setdefault((one.kind.model, one.object), []).append(json.loads(one.text))
    return found


def _is_own(one: ForeignEntry, own: Mapping[tuple[str, str], list[Changes]]) -> bool:
    """Return whether the log has a change itself: the same row, and the same values of all fields that both have."""
    return any(
        (shared := {*changes} & {*one.changes}) and all(changes[name] == one.changes[name] for name in shared)
        for changes in own.get((one.label, one.key), ())
    )


def _write(using: str, entries: Sequence[ForeignEntry]) -> None:
    _write_kinds(using, entries)
    numbers = _next(ChangeSet, using), _next(Entry, using)
    rows(ChangeSet, using).bulk_create([_change_set(numbers[0] + at, one) for at, one in enumerate(entries)])
    salts = new_salts(len(entries))
    rows(Entry, using).bulk_create(
        [
            _entry(numbers[1] + at, numbers[0] + at, one, salt)
            for at, (one, salt) in enumerate(zip(entries, salts, strict=True))
        ]
    )


def _write_kinds(using: str, entries: Collection[ForeignEntry]) -> None:
    columns = {_kind(one) for one in entries}
    kinds = [Kind(id=number_of(one), model=one[0], action=one[1], fields=one[2]) for one in columns]
    rows(Kind, using).bulk_create(kinds, ignore_conflicts=True)


def _kind(one: ForeignEntry) -> tuple[str, str, str]:
    return one.label, str(one.action), f",{','.join(sorted(one.changes))},"


def _change_set(number: int, one: ForeignEntry) -> ChangeSet:
    author = one.author
    context = json.dumps({"imported": one.origin, **{name: value for name, value in one.context.items() if value}})
    salts, digests = salts_and_digests(author.label[:255], author.reason, context)
    return ChangeSet(
        id=number,
        at=one.at,
        actor=author.actor[:255],
        actor_label=author.label[:255],
        reason=author.reason,
        context=context,
        salts=salts,
        digests=digests,
    )


def _entry(number: int, change_set: int, one: ForeignEntry, salt: str) -> Entry:
    text = json.dumps({name: one.changes[name] for name in sorted(one.changes)}, separators=(",", ":"))
    return Entry(
        id=number,
        change_set_id=change_set,
        kind_id=number_of(_kind(one)),
        object=one.key,
        text=text,
        salt=salt,
        digest=digest_of(salt, text),
    )


def _next(model: Any, using: str) -> int:
    last = rows(model, using).filter(pk__lt=0).aggregate(last=Max("pk"))["last"]
    return FIRST if last is None else last + 1
