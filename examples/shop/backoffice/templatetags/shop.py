"""What the templates write: money, shares, covers."""

from dataclasses import dataclass

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from analytics.models import PageViews
from backoffice import covers, formats
from store.models import Product

register = template.Library()

MENU = {
    "home": "Overview",
    "customers": "Customers",
    "orders": "Orders",
    "products": "Products",
    "statistics": "Statistics",
    "activity": "Activity",
    "signals": "Signals",
    "pages:index": "Applications",
}


@dataclass(frozen=True)
class Link:
    """A page in the menu."""

    title: str
    address: str
    here: bool


for write in (formats.money, formats.over, formats.percent, formats.milliseconds):
    register.filter(write)


@register.filter
def breakable(name: str) -> SafeString:
    """Let a dotted name or a path break where it is divided."""
    return mark_safe(escape(name).replace(".", "<wbr>.").replace("/", "/<wbr>"))


@register.inclusion_tag("backoffice/parts/menu.html", takes_context=True)
def menu(context: Context) -> dict[str, list[Link]]:
    """Link to the pages; the page that one is on, or below, is marked."""
    path = context["request"].path
    return {"links": [Link(title, reverse(name), _is_below(path, reverse(name))) for name, title in MENU.items()]}


@register.simple_tag
def cover(product: Product) -> SafeString:
    """Draw the cover of a product, which its title beside it makes needless to describe."""
    drawing = mark_safe(covers.draw(product.slug))  # made of numbers and colours, none of them from a user
    return format_html('<svg class="cover" viewBox="0 0 100 100" aria-hidden="true">{}</svg>', drawing)


@register.simple_tag
def pages_today() -> int:
    """Return how many pages were served today."""
    return PageViews.objects.filter(day=timezone.localdate()).values_list("pages", flat=True).first() or 0


def _is_below(path: str, address: str) -> bool:
    return path == address if address == "/" else path.startswith(address)
