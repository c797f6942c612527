"""The page that shows what the signals did in the replay, and the way to the deliveries in the admin."""

from typing import Any

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.views.generic import RedirectView, TemplateView

from demo import visitors
from demo.recording import Recording


class SignalsView(TemplateView):
    """What every signal sent, and which receivers ran."""

    template_name = "demo/signals.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the recording of the last replay."""
        return super().get_context_data(recording=Recording.load(), **kwargs)


class DeliveriesView(RedirectView):
    """Signs in a user who may look at deliveries, and change nothing, and shows them in the admin."""

    pattern_name = "admin:heliograph_outbox_delivery_changelist"
    query_string = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign the visitor in, who needs no password, and lead on."""
        if not request.user.is_authenticated:
            login(request, visitors.visitor())
        return super().get(request, *args, **kwargs)
