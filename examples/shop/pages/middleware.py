"""Each action of a visitor is traced, and its flow is shown on the page that comes next."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from heliograph import trace

from pages.flow import branches

FLOW = "flow"  # the key in the session


class FlowMiddleware:
    """Keeps the flow of each POST in the session, for `{% flow_panel %}` on the next page.

    Do not copy this into a site: a trace keeps every statement of the request in memory.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, and trace it if it may change something."""
        if request.method != "POST":
            return self.get_response(request)
        with trace() as flow:
            response = self.get_response(request)
        request.session[FLOW] = {"action": request.POST.get("action", ""), "branches": branches(flow)}
        return response
