"""The shop's addresses."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("backoffice.urls")),
    path("signals/", include("demo.urls")),
    path("admin/", admin.site.urls),
]
