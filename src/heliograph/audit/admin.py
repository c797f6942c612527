"""The admin of the audit log: the history of each object, all entries and change sets, which nobody can edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from heliograph.audit import audit_pages
from heliograph.audit.audit_viewers import Viewer
from heliograph.audit.change_set_pages import change_set_page, change_sets_page
from heliograph.audit.change_texts import key_text
from heliograph.audit.entry_filters import EntryFilters, Scope, kinds_about
from heliograph.audit.models import ChangeSet, Entry
from heliograph.audit.revert_pages import revert_page
from heliograph.audit.timeline import timeline
from heliograph.read_only_admin import ReadOnlyAdmin


class AuditHistoryMixin:
    """A base class for a ModelAdmin: its button "History" leads to the entries of the object in the audit log.

    The log of the admin, which has only changes that were made in the admin, is one link further.
    """

    has_audit_history = True

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Return the history of an object, also of one that was deleted."""
        if "admin-log" in request.GET:
            response: HttpResponse = super().history_view(request, object_id, extra_context)  # type: ignore[misc]  # of the ModelAdmin
            return response
        own: Any = self
        found, key = own.get_object(request, unquote(object_id)), unquote(object_id)
        subject = audit_pages.subject_of(own.model._meta.label, key) if found is None else _subject_of(found)
        more = {"has_admin_log": found is not None, **(extra_context or {})}
        return audit_pages.history_page(request, own.admin_site, subject, **more)


def _subject_of(instance: Any) -> audit_pages.Subject:
    model = type(instance)
    using = instance._state.db or router.db_for_read(model)
    return audit_pages.Subject(model, model._meta.label, key_text(instance.pk), using, instance)


class LogAdmin(ReadOnlyAdmin):
    """An admin whose pages show rows of the audit log; they need the permission to view entries."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("heliograph_audit.view_entry"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def _viewer(self, request: HttpRequest) -> Viewer:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return Viewer(request, self.admin_site)

    def _number(self, text: str) -> int:
        number = unquote(text)
        if not (number.isascii() and number.isdecimal() and len(number) < 19):
            raise Http404("There is no such number in the audit log.")
        return int(number)


@admin.register(Entry)
class EntryAdmin(LogAdmin):
    """A timeline of all entries, a page for each, and the history of each object."""

    def get_urls(self) -> list[Any]:
        of_object, reverting = (self.admin_site.admin_view(view) for view in (self.object_view, self.revert_view))
        return [
            path("history/<str:label>/<path:key>/", of_object, name="heliograph_audit_object"),
            path("<str:object_id>/revert/", reverting, name="heliograph_audit_revert"),
            *super().get_urls(),
        ]

    def object_view(self, request: HttpRequest, label: str, key: str) -> HttpResponse:
        """Return the history of an object of any model, for those who may see the object."""
        return audit_pages.history_page(request, self.admin_site, audit_pages.subject_of(label, unquote(key)))

    def revert_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what reverting an entry would do; do it for a form that was sent."""
        return revert_page(Viewer(request, self.admin_site), self.opts, self._number(object_id))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        viewer, using = self._viewer(request), router.db_for_read(Entry)
        kinds = kinds_about(using)
        seen = [kind for kind in kinds if viewer.may_see_model(kind.model)]
        scope = Scope(using, seen, is_all=len(seen) == len(kinds))
        filters = EntryFilters(request.GET, scope.kinds)
        found = audit_pages.found_in(scope, filters, request)
        context = {"title": "Audit log", "opts": self.opts, "cl": {"opts": self.opts}}
        return audit_pages.page(viewer, "entries", using, filters, found, context)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        viewer = self._viewer(request)
        shown = timeline(viewer, router.db_for_read(Entry), [self._number(object_id)])
        return audit_pages.rendered(viewer, "entry", _one(self, shown, f"Entry {object_id}"))


def _one(of: admin.ModelAdmin[Any], shown: Sequence[Any], title: str) -> dict[str, Any]:
    if not shown:
        raise Http404("There is no such entry.")
    return {
        "title": title,
        "opts": of.opts,
        "original": title,
        "shown": shown,
        "has_view_permission": True,
        "has_log": True,
        "may_see_log": True,
    }


@admin.register(ChangeSet)
class ChangeSetAdmin(LogAdmin):
    """A list of change sets, and a page for each: all that one actor has changed in one transaction."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return change_sets_page(self._viewer(request), self.opts)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        return change_set_page(self._viewer(request), self.opts, self._number(object_id))
