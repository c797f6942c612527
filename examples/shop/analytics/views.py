"""The pages of the reports, and of the webhooks about them."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.generic import ListView, TemplateView

from analytics import received, reports
from analytics.models import Report
from backoffice.charts import bars

SHOWN = 31  # days of the chart


class ReportsView(ListView):
    """The reports of days, the last ones as a chart."""

    template_name = "analytics/reports.html"
    paginate_by = SHOWN

    def get_queryset(self) -> QuerySet[Report]:
        """Return the reports, the latest first."""
        return Report.objects.all()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the chart of the reports on this page, the earliest first."""
        context = super().get_context_data(**kwargs)
        return context | {"chart": bars.of_days(list(context["object_list"])[::-1])}


@require_POST
def fall(request: HttpRequest) -> HttpResponse:
    """Let the night fall early."""
    reports.close([timezone.localdate()])
    messages.success(request, "The night has fallen. A worker makes the report of today.")
    return redirect("analytics:reports")


class WebhooksView(TemplateView):
    """The last requests that were received, and whether their signatures are right."""

    template_name = "analytics/webhooks.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the requests."""
        return super().get_context_data(received=list(received.LAST), **kwargs)


@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    """Receive a webhook; 400 is for whoever does not know the secret."""
    return HttpResponse(status=204 if received.receive(request).is_verified else 400)
