"""The addresses of the reports, and of the webhooks about them."""

from django.urls import path

from analytics import views

app_name = "analytics"
urlpatterns = [
    path("", views.ReportsView.as_view(), name="reports"),
    path("fall/", views.fall, name="fall"),
    path("webhooks/", views.WebhooksView.as_view(), name="webhooks"),
    path("webhooks/receive/", views.receive, name="receive"),
]
