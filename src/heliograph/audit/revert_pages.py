"""The page that shows what reverting an entry would do and what refuses it, and reverts it when somebody says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import router
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from heliograph.audit.audit_pages import rendered
from heliograph.audit.audit_viewers import Viewer
from heliograph.audit.models import Entry
from heliograph.audit.named_objects import NamedObjects
from heliograph.audit.reversals import Reversal, RevertRefused
from heliograph.audit.reverting import revert
from heliograph.audit.timeline import Line, Shown, lines_of, timeline, want_named
from heliograph.context import acting

_SALT = "heliograph.audit.revert"

_VERBS = {
    "set": "These values are set again.",
    "create": "The object is created again, with its key.",
    "delete": "The object is deleted.",
    "relate": "These objects are added and removed.",
}


@dataclass(frozen=True)
class ShownStep:
    """The change that a revert makes to one row, as the page shows it."""

    verb: str
    lines: Sequence[Line]


def revert_page(viewer: Viewer, options: Any, number: int) -> HttpResponse:
    """Return the page that asks, or revert the entry and return to the history of its object."""
    shown = _shown(viewer, number)
    if viewer.request.method == "POST":
        return _reverted(viewer, options, shown)
    return _asked(viewer, options, shown, revert(shown.entry, preview=True))


def _shown(viewer: Viewer, number: int) -> Shown:
    if not viewer.may_revert:
        raise PermissionDenied
    found = timeline(viewer, router.db_for_write(Entry), [number])
    if not found:
        raise Http404("There is no such entry.")
    if found[0].is_hidden or not found[0].may_revert:
        raise PermissionDenied
    return found[0]


def _reverted(viewer: Viewer, options: Any, shown: Shown) -> HttpResponse:
    """Revert an entry, unless something else refuses it now than the page has said."""
    request, force = viewer.request, "force" in viewer.request.POST
    if force and request.POST.get("seen") != _seen(revert(shown.entry, preview=True)):
        messages.warning(request, "Nothing was reverted: something has changed since the page was made.")
        return redirect(request.path)
    try:
        with acting(request.user, reason=request.POST.get("reason", "").strip()[:200]):
            revert(shown.entry, force=force)
    except RevertRefused as refused:
        return _asked(viewer, options, shown, refused.reversal)
    messages.success(request, f"Reverted entry {shown.entry.pk}.")
    return redirect(_after(viewer, shown))


def _after(viewer: Viewer, shown: Shown) -> str:
    if not viewer.may_see_log:  # the object may be gone now
        return f"{viewer.site.name}:index"
    arguments = [shown.entry.kind.model, quote(shown.entry.object)]
    return reverse(f"{viewer.site.name}:heliograph_audit_object", args=arguments)


def _seen(reversal: Reversal) -> str:
    """Return the refusals as a signed text, so that the form cannot be sent with other refusals."""
    return signing.Signer(salt=_SALT).signature("\n".join(map(str, reversal.refusals)))


def _asked(viewer: Viewer, options: Any, shown: Shown, reversal: Reversal) -> HttpResponse:
    title = f"Revert entry {shown.entry.pk}"
    context = {
        "title": title,
        "opts": options,
        "original": title,
        "has_view_permission": viewer.may_see_log,
        "shown": [shown],
        "has_log": False,
        "steps": _steps(shown, reversal),
        "refusals": reversal.refusals,
        "can_revert": not reversal.not_forced(True),
        "must_force": bool(reversal.refusals),
        "seen": _seen(reversal),
        "is_nothing": not any(step.changes or step.verb != "set" for step in reversal.steps),
    }
    return rendered(viewer, "revert", context)


def _steps(shown: Shown, reversal: Reversal) -> list[ShownStep]:
    objects = NamedObjects(shown.viewer, shown.entry._state.db)
    for step in reversal.steps:
        want_named(step.entry.model, step.changes, objects)
    objects.find()
    return [
        ShownStep(_VERBS.get(step.verb, ""), lines_of(step.entry.model, step.changes, objects))
        for step in reversal.steps
    ]
