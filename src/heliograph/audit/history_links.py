"""The link from the change page of an object to its entries, if `HELIOGRAPH["AUDIT"]["ADMIN"]` asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.sites import all_sites
from django.contrib.admin.utils import quote
from django.urls import reverse

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.change_texts import key_text
from heliograph.audit.conf import audit_settings
from heliograph.audit.models import Entry


def history_link(context: Mapping[str, Any]) -> str:
    """Return the address of the history of the object on a page of the admin; empty if there is no link to it."""
    instance, name = context.get("original"), getattr(context.get("request"), "current_app", None)
    if not audit_settings().admin or not is_audited(type(instance)):
        return ""
    if not any(site.name == name and _has_page(site, type(instance)) for site in all_sites):
        return ""
    arguments = [type(instance)._meta.label, quote(key_text(instance.pk))]  # type: ignore[union-attr]
    return reverse(f"{name}:heliograph_audit_object", args=arguments)


def _has_page(site: AdminSite, model: Any) -> bool:
    """Return whether a site has the history of objects, and the button of the model does not lead to it already."""
    if not site.is_registered(Entry) or not site.is_registered(model):
        return False
    return not getattr(site.get_model_admin(model), "has_audit_history", False)


def is_audited(model: Any) -> bool:
    """Return whether the log has entries of a model, or of its parents."""
    options = getattr(model, "_meta", None)
    return options is not None and any(one in AUDITED for one in (model, *options.all_parents))
