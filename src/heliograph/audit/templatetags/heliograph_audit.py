"""The tags of the templates of the audit log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.contrib.admin.utils import quote
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince

from heliograph.audit.history_links import history_link
from heliograph.outbox.readable import local

register = template.Library()


@register.simple_tag(takes_context=True)
def audit_styles(context: Any) -> str:
    """Return the link to the style sheet, with the nonce of the page's Content-Security-Policy if it has one."""
    nonce = context.get("csp_nonce")
    attribute = "" if nonce is None else format_html(' nonce="{}"', nonce)
    return format_html('<link rel="stylesheet" href="{}"{}>', static("heliograph_audit/admin.css"), attribute)


@register.simple_tag
def audit_time(at: datetime) -> str:
    """Return how long ago a time is, and the time to the second in the time zone of the viewer."""
    shown = local(at)
    exact = f"{shown.isoformat(' ', 'seconds')[:19]} {shown.tzname() or ''}".strip()
    return format_html(_TIME, at.isoformat(), _ago(at), exact)


_TIME = '<time class="audit-time" datetime="{}">{} <span class="audit-quiet">{}</span></time>'


def _ago(at: datetime) -> str:
    age = (timezone.now() if timezone.is_aware(at) else datetime.now()) - at
    return "just now" if age < timedelta(minutes=1) else f"{timesince(at, depth=1)} ago"


@register.simple_tag
def audit_history(site_name: str, entry: Any) -> str:
    """Return the address of the history of an entry's object."""
    return reverse(f"{site_name}:heliograph_audit_object", args=[entry.kind.model, quote(entry.object)])


@register.simple_tag(takes_context=True)
def audit_history_link(context: Any) -> str:
    """Return the address of the history of the object on a page of the admin; empty if there is no link to it."""
    return history_link(context)
