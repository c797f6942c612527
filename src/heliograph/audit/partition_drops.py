"""Retention by partitions: a partition whose entries have all expired is dropped, and the chain of seals records it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.db import OperationalError, connections
from django.db.models import Exists, Max, Min, OuterRef

from heliograph.audit.chain import locked_chain, rows
from heliograph.audit.models import ChangeSet, Entry, Kind
from heliograph.audit.partitioning import TABLE
from heliograph.audit.person_entries import kind_numbers_of
from heliograph.audit.pruned_reasons import reason_of
from heliograph.audit.sealing import record_pruned
from heliograph.databases import database_of
from heliograph.databases.pieces import Partition
from heliograph.outbox.clock import DatabaseLater


def drop_partitions(using: str, keep: Mapping[str, timedelta]) -> Iterator[int]:
    """Drop the partitions whose entries are all older than they are kept; yield how many entries each had."""
    connection = connections[using]
    database = database_of(connection)
    ranges = [one for one in database.partitions(connection, TABLE) if one.end is not None]
    for one in ranges if keep else ():
        # A partition for ids that no entry has yet stays, though it may be empty.
        if one.end is not None and one.end <= database.last_id(connection, TABLE):
            yield _drop_if_old(using, one, keep)


def _drop_if_old(using: str, one: Partition, keep: Mapping[str, timedelta]) -> int:
    """Drop a partition, and return how many entries it had; 0 if it stays, also if another transaction uses it."""
    database = database_of(connections[using])
    try:
        with locked_chain(using):
            database.freeze_partition(connections[using], one.name)
            return 0 if _has_kept(using, one, keep) else _drop(using, one, keep)
    except OperationalError as error:
        if not database.is_lock_timeout(error):
            raise
        return 0


def _range(one: Partition) -> dict[str, int | None]:
    bounds = {"pk__gte": one.first, "pk__lt": one.end}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _has_kept(using: str, one: Partition, keep: Mapping[str, timedelta]) -> bool:
    """Return whether a partition has an entry that is kept: for ever, or for longer than until now."""
    entries = rows(Entry, using).filter(**_range(one))
    if entries.exclude(kind__in=kind_numbers_of(using, [*keep])).exists():
        return True
    labels = defaultdict(list)
    for label, duration in keep.items():
        labels[duration].append(label)
    return any(
        entries.filter(~_is_old(using, duration), kind__in=kind_numbers_of(using, some)).exists()
        for duration, some in labels.items()
    )


def _is_old(using: str, duration: timedelta) -> Any:
    sets = rows(ChangeSet, using).filter(pk=OuterRef("change_set_id"))
    return Exists(sets.filter(at__lt=DatabaseLater(-duration.total_seconds())))


def _drop(using: str, one: Partition, keep: Mapping[str, timedelta]) -> int:
    """Record and drop a partition, with the change sets that have no entries elsewhere."""
    entries = rows(Entry, using).filter(**_range(one))
    ids = [*entries.order_by("pk").values_list("pk", flat=True)]
    labels = sorted({*rows(Kind, using).filter(pk__in=entries.values("kind")).values_list("model", flat=True)})
    _delete_sets(using, one)
    record_pruned(using, ids, reason_of({label: keep[label] for label in labels}))
    database_of(connections[using]).drop_partition(connections[using], one.name)
    return len(ids)


def _delete_sets(using: str, one: Partition) -> None:
    entries = rows(Entry, using)
    ends = entries.filter(**_range(one)).aggregate(first=Min("change_set"), last=Max("change_set"))
    if ends["first"] is not None:
        elsewhere = entries.filter(change_set=OuterRef("pk")).exclude(**_range(one))
        sets = rows(ChangeSet, using).filter(~Exists(elsewhere), pk__gte=ends["first"], pk__lte=ends["last"])
        sets._raw_delete(using)
