"""Points in time: a time, or a transaction of the log, and which entries come after it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Max, Min, Q
from django.utils.timezone import is_naive, now

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.conf import audit_settings
from heliograph.audit.histories import History, sets_of_transaction
from heliograph.audit.models import ChangeSet, Entry, Link, Seal
from heliograph.audit.named_rows import tables_of
from heliograph.audit.pruned_reasons import is_about


class UnknownPastError(LookupError):
    """Nobody knows from the log how a row, a field or a relation was; the message says why."""


@dataclass(frozen=True)
class Point:
    """A point in time, in one database."""

    at: datetime
    after: Q  # the entries that come after it
    shown: str
    using: str | None
    last: int | None = None  # the entry after which they come, if it stands for a transaction

    def entries_after(self) -> History:
        """Return the entries after the point, the oldest first."""
        entries = History(Entry).select_related("kind").order_by("id")
        return entries.using(self.using).filter(self.after)

    def __str__(self) -> str:
        return self.shown


def point_of(point: Any, *, before: bool, using: str | None) -> Point:
    """Return the point that a time, an entry or a change set stands for.

    A time has the transactions that were written until then, and an entry or a change set its whole transaction, with
    all its change sets; `before` leaves them out. Raises TypeError for something else, ValueError for a time without a
    time zone in a project that has time zones, and UnknownPastError for a change set without entries.
    """
    if isinstance(point, datetime):
        return _of_time(point, before, using)
    if isinstance(point, Entry | ChangeSet):
        return _of_transaction(point, before)
    raise TypeError(f"A point in time is a datetime, an entry or a change set of the audit log, and not {point!r}.")


def _of_time(at: datetime, before: bool, using: str | None) -> Point:
    if settings.USE_TZ and is_naive(at):
        raise ValueError(f"{at!r} has no time zone: django.utils.timezone.make_aware() gives it one.")
    after = Q(change_set__at__gte=at) if before else Q(change_set__at__gt=at)
    return Point(at, after, f"{'before ' if before else ''}{at.isoformat(sep=' ')}", using)


def _of_transaction(one: Entry | ChangeSet, before: bool) -> Point:
    using = one._state.db
    sets = sets_of_transaction(one)
    ids = Entry.objects.using(using).filter(change_set__in=sets).aggregate(first=Min("id"), last=Max("id"))
    if ids["first"] is None:
        raise UnknownPastError(f"The log has no entries of the change set {one.pk} any more.")
    last = ids["first"] - 1 if before else ids["last"]
    shown = f"{'before' if before else 'after'} the transaction of {type(one).__name__.lower()} {one.pk}"
    return Point(one.at, Q(id__gt=last), shown, using, last)


def verify_audited(model: Any, point: Point) -> None:
    """Raise TypeError for a model that is not audited, UnknownPastError for a point that its entries do not reach."""
    tables = tables_of(model)
    for table in tables:
        audited = AUDITED.get(table)
        if audited is None:
            raise TypeError(
                f"{table._meta.label} is not audited, so that nobody knows how its rows were: audit({table.__name__})"
                " in models.py lets the log know it from then on."
            )
        keep = audited.keep or audit_settings().keep
        if keep is not None and point.at < now() - keep:
            raise UnknownPastError(f"Entries of {table._meta.label} are kept for {keep}, and {point} is longer ago.")
    _verify_not_pruned([table._meta.label for table in tables], point)


def _verify_not_pruned(labels: Collection[str], point: Point) -> None:
    """Raise UnknownPastError if entries of models after a point may have been pruned, as far as the chain records that.

    Entries are pruned from the oldest one on. So if the first entry that was not pruned is at or before the point, no
    pruned entry is after the point.
    """
    pruned = Seal.objects.using(point.using).filter(is_about(labels), link=Link.PRUNED).order_by("-last").first()
    if pruned is not None and _may_be_after(pruned, point):
        raise UnknownPastError(f"Entries up to {pruned.last} were pruned ({pruned.reason}), and {point} may be before.")


def _may_be_after(pruned: Seal, point: Point) -> bool:
    if point.last is not None:
        return pruned.last > point.last
    younger = Entry.objects.using(point.using).filter(pk__gt=pruned.last).order_by("pk").first()
    if younger is None:
        return point.at <= pruned.at
    return point.entries_after().filter(pk=younger.pk).exists()
