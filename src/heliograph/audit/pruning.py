"""Retention: entries older than they are kept are deleted, and the chain of seals records which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

from django.apps import apps
from django.db.models import Exists, Max, OuterRef

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.chain import locked_chain, rows, seals
from heliograph.audit.conf import audit_settings
from heliograph.audit.models import ChangeSet, Entry, Kind, Link, Seal
from heliograph.audit.partition_drops import drop_partitions
from heliograph.audit.person_entries import kind_numbers_of
from heliograph.audit.pruned_reasons import reason_of
from heliograph.audit.sealing import record_pruned
from heliograph.outbox.clock import DatabaseLater

CHUNK = 1_000  # entries of one transaction

Progress = Callable[[int], object]  # is called with how many entries there were so far


def keeps(using: str, labels: Collection[str] = (), older_than: timedelta | None = None) -> dict[str, timedelta]:
    """Return how long the entries of each model are kept, without models whose entries are kept for ever.

    The labels are those of models that are or were audited; `older_than` takes the place of declarations and settings.
    """
    there = {*rows(Kind, using).values_list("model", flat=True)}
    declared = {one.label: one.keep for one in AUDITED.values()}
    wanted = sorted(there & {*labels} if labels else there)
    if older_than is not None:  # also 0, which keeps nothing
        return dict.fromkeys(wanted, older_than)
    found = {label: declared.get(label) or audit_settings().keep for label in wanted}
    return {label: keep for label, keep in found.items() if keep is not None}


def expired(using: str, keep: dict[str, timedelta]) -> dict[str, int]:
    """Return how many entries of each model are older than they are kept."""
    counts = {label: rows(Entry, using).filter(**_old(using, label, one)).count() for label, one in keep.items()}
    return {label: count for label, count in counts.items() if count}


def prune(using: str, keep: dict[str, timedelta], progress: Progress = lambda count: None) -> int:
    """Delete what is older than it is kept, and return how many entries."""
    count = 0
    for pruned in chain(drop_partitions(using, keep), *(_prune_model(using, *one) for one in keep.items())):
        count += pruned
        progress(count)
    _empty_seals(using)
    _remove_kinds(using)
    return count


def _old(using: str, label: str, keep: timedelta) -> dict[str, Any]:
    """Return the conditions of entries that are older than a duration."""
    old = rows(ChangeSet, using).filter(at__lt=DatabaseLater(-keep.total_seconds()))
    # The highest of the old change sets: the index on it ends the search before the newer entries.
    last = old.aggregate(last=Max("pk"))["last"] or 0
    return {"kind__in": kind_numbers_of(using, [label]), "change_set__lte": last, "change_set__in": old}


def _prune_model(using: str, label: str, keep: timedelta) -> Iterator[int]:
    old, after = _old(using, label, keep), 0
    while True:
        with locked_chain(using):
            entries = rows(Entry, using).filter(**old, pk__gt=after).order_by("pk")
            found = [*entries.values_list("pk", "change_set_id")[:CHUNK]]
            if found:
                _delete(using, found, reason_of({label: keep}))
        if found:
            after = found[-1][0]
            yield len(found)
        if len(found) < CHUNK:
            return


def _delete(using: str, found: list[tuple[int, int]], reason: str) -> None:
    """Delete entries and the change sets that have no others; record those that have a seal."""
    ids, sets = [number for number, _ in found], {of_set for _, of_set in found}
    rows(Entry, using).filter(pk__in=ids)._raw_delete(using)
    empty = rows(ChangeSet, using).filter(~Exists(rows(Entry, using).filter(change_set=OuterRef("pk"))), pk__in=sets)
    rows(ChangeSet, using).filter(pk__in=[*empty.values_list("pk", flat=True)])._raw_delete(using)
    record_pruned(using, ids, reason)


def _empty_seals(using: str) -> None:
    """Remove the leaves of seals whose entries are all pruned."""
    for one in seals(using).filter(link=Link.SEALED).exclude(leaves=b"").order_by("pk").iterator():
        with locked_chain(using):
            if not rows(Entry, using).filter(pk__gte=one.first, pk__lte=one.last).exists():
                rows(Seal, using).filter(pk=one.pk).update(leaves=b"")


def _remove_kinds(using: str) -> None:
    """Remove the kinds without entries of models that are no longer there.

    A kind of another model may be in use by a transaction that is still open, whose entry nobody sees.
    """
    gone = [one for one in {*rows(Kind, using).values_list("model", flat=True)} if not _is_there(one)]
    unused = rows(Kind, using).filter(~Exists(rows(Entry, using).filter(kind=OuterRef("pk"))), model__in=gone)
    numbers = [*unused.values_list("pk", flat=True)]
    if numbers:
        with locked_chain(using):
            rows(Kind, using).filter(pk__in=numbers)._raw_delete(using)


def _is_there(label: str) -> bool:
    try:
        return bool(apps.get_model(label))
    except (LookupError, ValueError):
        return False
