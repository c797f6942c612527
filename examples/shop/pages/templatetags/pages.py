"""Tags and filters of the templates of the applications: the menu, the flow panel, stars, changes."""

from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from heliograph import NO_ROW
from heliograph.audit.models import Entry

from backoffice.templatetags.shop import Link
from demo import workers
from demo.beside import BESIDE
from pages.applications import APPLICATIONS
from pages.middleware import FLOW

register = template.Library()


@register.inclusion_tag("backoffice/parts/menu.html", takes_context=True)
def applications_menu(context: Context) -> dict[str, list[Link]]:
    """Link to the index and to each application; the page that one is on, or below, is marked."""
    path, index = context["request"].path, reverse("pages:index")
    links = [Link("Applications", index, path == index)]
    for one in APPLICATIONS:
        address = reverse(one.page)
        links.append(Link(one.title, address, path.startswith(address)))
    return {"links": links}


@register.simple_tag(takes_context=True)
def what_happens(context: Context) -> str:
    """Link to the stories of the application that the page belongs to."""
    path = context["request"].path
    for one in APPLICATIONS:
        if path.startswith(reverse(one.page)):
            address = reverse("pages:actions", args=[one.name])
            return format_html('<a id="what-happens" href="{}">What happens when …?</a>', address)
    return ""


@register.inclusion_tag("pages/parts/flow.html", takes_context=True)
def flow_panel(context: Context) -> dict[str, Any]:
    """Show the flow of the action that has led here, once."""
    session = getattr(context["request"], "session", None)
    return {"flow": session.pop(FLOW, None) if session is not None and FLOW in session else None}


@register.inclusion_tag("pages/parts/worker.html", takes_context=True)
def worker_panel(context: Context) -> dict[str, Any]:
    """Show whether the worker beside the pages runs, how much waits for it, and a button."""
    return {"worker": BESIDE, "waiting": workers.waiting(), "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("pages/parts/stars.html")
def stars(rating: float | None, count: int | None = None) -> dict[str, Any]:
    """Draw a rating from one to five, which is also said in words."""
    full = 0 if rating is None else round(rating)
    return {"rating": rating, "full": "★" * full, "empty": "☆" * (5 - full), "count": count}


@register.filter
def lines(entry: Entry) -> list[dict[str, Any]]:
    """Return what an entry of the audit log says of each field."""
    return [_line(name, change) for name, change in entry.changes.items()]


def _line(name: str, change: Any) -> dict[str, Any]:
    if hasattr(change, "added"):
        return {"field": name, "added": sorted(change.added), "removed": sorted(change.removed)}
    return {"field": name, "old": _shown(change.old), "new": _shown(change.new)}


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.2f}"
    return "" if value is NO_ROW else str(value)
