"""The pages of the audit log: a timeline with filters, for the history of an object and for the lists of the admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from heliograph.audit.audit_viewers import Viewer
from heliograph.audit.entry_filters import EntryFilters, Scope, kinds_about, wanted_of
from heliograph.audit.entry_pages import MOST, Found, find
from heliograph.audit.models import Entry
from heliograph.audit.named_objects import name_of
from heliograph.audit.named_rows import key_or_none, named
from heliograph.audit.stored_changes import model_labelled
from heliograph.audit.timeline import timeline

_NONE = Found((), None)


@dataclass(frozen=True)
class Subject:
    """The object whose history is shown."""

    model: Any  # None if the project does not have it any more
    label: str
    key: str
    using: str
    instance: Any = None  # None if it was deleted

    @property
    def name(self) -> str:
        """The name of the object for people."""
        if self.instance is not None:
            return name_of(self.instance)
        return f"{self.label if self.model is None else capfirst(self.model._meta.verbose_name)} {self.key}"

    @property
    def labels(self) -> dict[str, str]:
        """The keys of its entries by the labels of the models: a row of a child has entries of its parents too."""
        if self.instance is None and (self.model is None or key_or_none(self.model, self.key) is None):
            return {self.label: self.key}
        rows = named((self.model, self.key), self.using) if self.instance is None else named(self.instance)
        return {row.label: row.key for row in rows}


def subject_of(label: str, key: str) -> Subject:
    """Return the object of an address."""
    if "\0" in key or "\0" in label:
        raise Http404("There is no such object.")
    model = model_labelled(label)
    if model is None:
        return Subject(None, label, key, router.db_for_read(Entry))
    using = router.db_for_read(model)
    found = key_or_none(model, key)
    instance = None if found is None else model._base_manager.using(using).filter(pk=found).first()
    return Subject(model, model._meta.label, key, using, instance)


def verify_access(viewer: Viewer, subject: Subject) -> None:
    """Raise PermissionDenied unless the viewer may see the history of an object.

    Nobody can ask the admin of a model about an object that is deleted, so that its history needs the permission for
    the whole log too.
    """
    is_seen = viewer.may_see_model(subject.label)
    if is_seen and subject.instance is None:
        is_seen = viewer.may_see_log
    elif is_seen:
        keys = viewer.seen_keys(subject.model, [subject.instance.pk])
        is_seen = viewer.may_see(subject.instance) and (keys is None or subject.instance.pk in keys)
    if not is_seen:
        raise PermissionDenied


def history_page(request: HttpRequest, site: AdminSite, subject: Subject, **more: Any) -> TemplateResponse:
    """Return the history of an object; Http404 if there is neither an object nor an entry."""
    viewer = Viewer(request, site)
    verify_access(viewer, subject)
    labels = subject.labels
    scope = Scope(subject.using, kinds_about(subject.using, labels), labels)
    filters = EntryFilters(request.GET, scope.kinds, without=["model"])
    found = found_in(scope, filters, request)
    if subject.instance is None and not found.rows and not filters.query:
        raise Http404("There is no such object, and there are no entries of one.")
    context = {"title": f"History of {subject.name}", "subject": subject, **_frame(viewer, subject), **more}
    own = subject.label if subject.model is None else subject.model._meta.concrete_model._meta.label
    return page(viewer, "history", scope.using, filters, found, context, own)


def _frame(viewer: Viewer, subject: Subject) -> dict[str, Any]:
    """Return the template that has the way from the list of a model to its object, and its context."""
    admin = None if subject.model is None else viewer.admin_of(subject.model)
    options = Entry._meta if admin is None else admin.opts
    if admin is None or subject.instance is None:
        is_listed = admin is not None or viewer.may_see_log
        facts = {"opts": options, "original": f"History of {subject.name}", "has_view_permission": is_listed}
        return {"base_template": "admin/change_form.html", **facts}
    facts = {"opts": options, "module_name": str(capfirst(options.verbose_name_plural)), "object": _Named(subject)}
    return {"base_template": "admin/object_history.html", **facts}


class _Named:
    """The object of a page for a template of the admin, which asks for its key, and for its name as `str()`."""

    def __init__(self, subject: Subject) -> None:
        self.pk, self._name = subject.instance.pk, subject.name

    def __str__(self) -> str:
        return self._name


def found_in(scope: Scope, filters: EntryFilters, request: HttpRequest) -> Found:
    """Return the entries of a page."""
    wanted = wanted_of(scope, filters, request.GET.get("before", ""))
    return _NONE if wanted is None else find(wanted)


def page(
    viewer: Viewer,
    template: str,
    using: str,
    filters: EntryFilters,
    found: Found,
    context: dict[str, Any],
    subject: str | None = None,
) -> TemplateResponse:
    """Return a page with entries."""
    shown = timeline(viewer, using, [row.id for row in found.rows], subject)
    has_pages = viewer.site.is_registered(Entry) and using == router.db_for_read(Entry)
    facts = {"shown": shown, "has_log": has_pages, "may_see_log": viewer.may_see_log}
    return rendered(viewer, template, {**addresses(viewer, filters, found), **facts, **context})


def addresses(viewer: Viewer, filters: EntryFilters, found: Found) -> dict[str, Any]:
    """Return the addresses of other pages, and the filters."""
    query = filters.query
    return {
        "filters": filters,
        "is_filtered": bool(query),
        "older": f"?{urlencode({**query, 'before': found.older})}" if found.older else "",
        "newest": f"?{urlencode(query)}" if "before" in viewer.request.GET else "",
        "looked": f"{MOST:,}" if found.is_cut else "",
    }


def rendered(viewer: Viewer, template: str, context: dict[str, Any]) -> TemplateResponse:
    """Return a page of the admin, in the time zone of the viewer and without a script of its own."""
    viewer.request.current_app = viewer.site.name
    whole = {**viewer.site.each_context(viewer.request), "is_popup": False, "site_name": viewer.site.name, **context}
    return TemplateResponse(viewer.request, f"admin/heliograph_audit/{template}.html", whole)
