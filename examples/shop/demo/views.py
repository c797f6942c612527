"""The page that shows what the signals did in the replay, and the way to the deliveries in the admin."""

from typing import Any

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from django.views.generic import RedirectView, TemplateView

from demo import visitors
from demo.beside import BESIDE
from demo.recording import Recording


class SignalsView(TemplateView):
    """What every signal sent, and which receivers ran."""

    template_name = "demo/signals.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the recording of the last replay."""
        return super().get_context_data(recording=Recording.load(), **kwargs)


@require_POST
def worker(request: HttpRequest) -> HttpResponse:
    """Kill or start the worker beside the pages, and show the index."""
    if BESIDE.is_offered:
        act = BESIDE.kill if request.POST.get("action") == "kill the worker" else BESIDE.start
        act()
    return redirect("pages:index")


class InAdminView(RedirectView):
    """Signs in a user who may look at deliveries and the audit log, and change nothing, and shows them in the admin."""

    query_string = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign the visitor in, who needs no password, and lead on."""
        if not request.user.is_authenticated:
            login(request, visitors.visitor())
        return super().get(request, *args, **kwargs)
