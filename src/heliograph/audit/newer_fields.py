"""Fields that are newer than a point in time: the first entry that has them came after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db.models import OuterRef, Subquery

from heliograph.audit.models import Action, Entry, Kind
from heliograph.audit.points_in_time import Point


def newer_fields(kinds: Iterable[Any], fields: Iterable[str], point: Point) -> dict[str, str]:
    """Return the fields of a table, of which these are the kinds, that the log has only since after a point.

    Each has the reason. A row that was created or deleted without a field shows that the log did not have the field
    once. This takes no query if there is no such field, and three for all of them.
    """
    names = {kind.pk: {name for name in kind.fields.split(",") if name} for kind in kinds}
    whole = [names[kind.pk] for kind in kinds if kind.action in (Action.CREATED, Action.DELETED)]
    suspected = [name for name in fields if any(name not in one for one in whole)]
    having = {name: [number for number, found in names.items() if name in found] for name in suspected}
    firsts = _first_of_kinds({number for numbers in having.values() for number in numbers}, point)
    first_of = {name: min((firsts[one] for one in having[name] if one in firsts), default=None) for name in suspected}
    return _reasons(first_of, point)


def _first_of_kinds(numbers: Collection[int], point: Point) -> Mapping[int, int]:
    """Return the first entry of each kind that has one.

    The first entry of the kinds from this one on, in the order of kinds, is read at once from the index of the kinds.
    If it was asked for by `kind = ... ORDER BY id`, PostgreSQL may read the whole log for a kind that is rare or new.
    """
    if not numbers:
        return {}
    entries = Entry.objects.using(point.using).filter(kind__gte=OuterRef("pk")).order_by("kind_id", "pk")
    kinds = Kind.objects.using(point.using).filter(pk__in=numbers)
    firsts = [*kinds.annotate(first=Subquery(entries.values("pk")[:1])).values_list("first", flat=True)]
    found = Entry.objects.using(point.using).filter(pk__in=[one for one in firsts if one is not None])
    return dict(found.values_list("kind_id", "pk"))


def _reasons(first_of: Mapping[str, int | None], point: Point) -> dict[str, str]:
    numbers = {first for first in first_of.values() if first is not None}
    after = {*point.entries_after().filter(pk__in=numbers).values_list("pk", flat=True)} if numbers else set()
    newer = {name: f"the log has it only since entry {first}" for name, first in first_of.items() if first in after}
    unheard = {name: "no entry of the log has it" for name, first in first_of.items() if first is None}
    return {**newer, **unheard}
