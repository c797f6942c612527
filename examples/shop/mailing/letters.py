"""The letters that the shop writes."""

from datetime import date

from django.core.mail import EmailMessage
from django.template.defaultfilters import pluralize

from store.models import Order, OrderItem


def confirmation(order: Order) -> EmailMessage | None:
    """Return the confirmation of an order, or None if nothing is left to confirm."""
    items = OrderItem.objects.filter(order=order.pk).values_list("cents", "product__title")
    lines = [f"{_money(cents):>9}  {title}" for cents, title in items]
    if not lines:
        return None
    return EmailMessage(
        subject=subject(order.placed_on, order.cds, order.cents),
        body="\n".join([f"Dear {order.customer},", "", "these records are on their way to you:", "", *lines]),
        to=[order.customer.email],
    )


def subject(day: date, cds: int, cents: int) -> str:
    """Return the subject of the confirmation of an order that was placed on this day and came to so much."""
    return f"Your order of {day:%d %b %Y}: {cds} CD{pluralize(cds)} for {_money(cents)}"


def _money(cents: int) -> str:
    return f"${cents / 100:,.2f}"
