"""The pages of the payments: choose a card, and see what became of it."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST
from django.views.generic import ListView

from bookstore.models import Purchase
from payments import services
from payments.forms import CardForm
from payments.models import Charge

SHOWN = 20  # purchases of the visitor, and charges


class PaymentsView(ListView):
    """The last lines in the book of the payment service, and the visitor's purchases with their payments."""

    template_name = "payments/payments.html"
    queryset = Charge.objects.all()[:SHOWN]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the purchases of whoever is signed in."""
        user = self.request.user
        mine = Purchase.objects.filter(reader=user) if user.is_authenticated else Purchase.objects.none()
        return super().get_context_data(purchases=mine.select_related("book", "payment")[:SHOWN], **kwargs)


@require_POST
@login_required
def pay(request: HttpRequest, pk: int) -> HttpResponse:
    """Pay a purchase of the user with a card; a worker charges it."""
    purchase, form = get_object_or_404(Purchase, pk=pk, reader=request.user), CardForm(request.POST)
    if not form.is_valid():
        messages.error(request, "With which card? Choose one of the list.")
        return redirect("payments:payments")
    try:
        payment = services.pay(purchase, form.cleaned_data["card"])
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, f"{payment}. A worker asks the payment service.")
    return redirect("payments:payments")
