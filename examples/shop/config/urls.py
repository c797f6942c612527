"""The shop's addresses."""

from django.urls import include, path

urlpatterns = [
    path("", include("backoffice.urls")),
    path("signals/", include("demo.urls")),
]
