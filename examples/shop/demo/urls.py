"""The addresses of the recording, of the worker, and of what a visitor sees in the admin."""

from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import path

from demo import views


def in_admin(model: str) -> Callable[..., HttpResponseBase]:
    """Return the view that leads to the rows of a model in the admin."""
    return views.InAdminView.as_view(pattern_name=f"admin:{model}_changelist")


urlpatterns = [
    path("", views.SignalsView.as_view(), name="signals"),
    path("worker/", views.worker, name="worker"),
    path("deliveries/", in_admin("heliograph_outbox_delivery"), name="deliveries"),
    path("changes/", in_admin("heliograph_audit_entry"), name="changes"),
]
