"""The payment beside a purchase."""

from typing import Any

from django import template
from django.template import Context

from bookstore.models import Purchase
from payments.forms import CardForm

register = template.Library()


@register.inclusion_tag("payments/parts/payment.html", takes_context=True)
def payment(context: Context, purchase: Purchase) -> dict[str, Any]:
    """Show how far the payment of a purchase has come, or a form to pay it."""
    form = CardForm(auto_id=f"%s-of-{purchase.pk}")
    return {"csrf_token": context.get("csrf_token"), "purchase": purchase, "form": form}
