"""The pages of change sets: a list of them, and all that one actor has changed in one transaction."""

from __future__ import annotations

from typing import Any

from django.db import router
from django.http import Http404, HttpResponse

from heliograph.audit.audit_pages import addresses, page, rendered
from heliograph.audit.audit_viewers import Viewer
from heliograph.audit.entry_filters import EntryFilters, actor_of
from heliograph.audit.entry_pages import SIZE, Cursor, Found, Wanted, cursor_of, find, times_between
from heliograph.audit.histories import sets_of_transaction
from heliograph.audit.models import ChangeSet
from heliograph.audit.timeline import shown_context, with_actors

_OF_ENTRIES = ("model", "action", "field")


def change_sets_page(viewer: Viewer, options: Any) -> HttpResponse:
    """Return the list of change sets."""
    using = router.db_for_read(ChangeSet)
    filters = EntryFilters(viewer.request.GET, without=_OF_ENTRIES)
    rows = _rows(using, filters, cursor_of(viewer.request.GET.get("before", "")))
    older = Cursor(rows[SIZE - 1].pk, 0) if len(rows) > SIZE else None
    context = {
        "title": "Change sets",
        "opts": options,
        "cl": {"opts": options},
        **addresses(viewer, filters, Found((), older)),
        "sets": with_actors(viewer, using, rows[:SIZE]),
    }
    return rendered(viewer, "change_sets", context)


def _rows(using: str, filters: EntryFilters, before: Cursor) -> list[Any]:
    if not filters.is_valid():
        return []
    given, sets = filters.given, ChangeSet.objects.using(using).filter(pk__lt=before.change_set)
    if "actor" in given:
        sets = sets.filter(actor=actor_of(given["actor"]))
    if "since" in given or "until" in given:
        times = times_between(using, given.get("since"), given.get("until"))
        sets = sets.filter(pk__range=times.sets, **times.conditions)
    return [*sets.order_by("-pk")[: SIZE + 1]]


def change_set_page(viewer: Viewer, options: Any, number: int) -> HttpResponse:
    """Return the page of a change set, with its entries."""
    using = router.db_for_read(ChangeSet)
    found = ChangeSet.objects.using(using).filter(pk=number).first()
    if found is None:
        raise Http404("There is no such change set.")
    before = cursor_of(viewer.request.GET.get("before", ""))
    entries = find(Wanted(using, [{"change_set_id": number}], before=before))
    [shown] = with_actors(viewer, using, [found])
    context = {
        "title": f"Change set {number}",
        "opts": options,
        "original": f"Change set {number}",
        "change_set": shown,
        "context": shown_context(found.context),
        "has_view_permission": True,
        "others": _others(using, found),
    }
    filters = EntryFilters({}, without=_OF_ENTRIES)
    return page(viewer, "change_set", using, filters, entries, context)


def _others(using: str, change_set: Any) -> list[Any]:
    """Return the other change sets of the same transaction."""
    numbers = {*sets_of_transaction(change_set)} - {change_set.pk}
    return [*ChangeSet.objects.using(using).filter(pk__in=numbers)]
