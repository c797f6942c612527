"""Viewers: the permissions of a user of the admin on the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.http import HttpRequest

from heliograph.audit.stored_changes import model_labelled

# The permission for the model that a user needs to revert an entry, by the action of the entry.
_UNDOING = {"created": "delete", "updated": "change", "related": "change", "deleted": "add"}


class Viewer:
    """A user at a site of the admin. Answers are remembered for a page."""

    def __init__(self, request: HttpRequest, site: AdminSite) -> None:
        self.request = request
        self.site = site
        self._models: dict[str, bool] = {}

    @property
    def may_see_log(self) -> bool:
        """Whether the lists of entries and of change sets may be seen, and entries of objects that are deleted."""
        return self._has("heliograph_audit.view_entry")

    @property
    def may_revert(self) -> bool:
        """Whether there are changes that may be reverted."""
        return self._has("heliograph_audit.revert_entry")

    def may_see_model(self, label: str) -> bool:
        """Return whether objects of a model may be seen; the project may not have it any more."""
        if label not in self._models:
            self._models[label] = self._sees_model(label)
        return self._models[label]

    def may_see(self, instance: Any) -> bool:
        """Return whether an object may be seen: by its model, and by the admin of the model for this object."""
        admin = self.admin_of(type(instance))
        if admin is None:
            return self.may_see_model(instance._meta.label)
        return bool(admin.has_view_permission(self.request, instance))

    def seen_keys(self, model: Any, keys: Iterable[Any]) -> set[Any] | None:
        """Return the primary keys that the admin of a model lists for this user; None if it lists all."""
        admin = self.admin_of(model)
        if admin is None or type(admin).get_queryset is ModelAdmin.get_queryset:
            return None
        return {*admin.get_queryset(self.request).filter(pk__in=[*keys]).values_list("pk", flat=True)}

    def may_undo(self, model: Any, action: str, instance: Any) -> bool:
        """Return whether a change may be reverted, which also needs the permission for what reverting it does."""
        if model is None or not self.may_revert:
            return False
        verb, admin = _UNDOING[action], self.admin_of(model)
        if admin is None:
            return self._has(f"{model._meta.app_label}.{verb}_{model._meta.model_name}")
        arguments = (self.request,) if verb == "add" else (self.request, instance)
        return bool(getattr(admin, f"has_{verb}_permission")(*arguments))

    def admin_of(self, model: Any) -> Any:
        """Return the admin of a model at this site; None if it is not registered."""
        return self.site.get_model_admin(model) if self.site.is_registered(model) else None

    def _sees_model(self, label: str) -> bool:
        model = model_labelled(label)
        admin = None if model is None else self.admin_of(model)
        if admin is not None:
            return bool(admin.has_view_permission(self.request))
        app, _, name = label.lower().partition(".")
        return self._has(f"{app}.view_{name}") or self._has(f"{app}.change_{name}")

    def _has(self, permission: str) -> bool:
        return bool(self.request.user.has_perm(permission))
