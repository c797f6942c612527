"""The shop's addresses."""

from django.conf import settings
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.static import serve

urlpatterns = [
    path("", include("backoffice.urls")),
    path("signals/", include("demo.urls")),
    path("applications/", include("pages.urls")),
    path("people/", include("onboarding.urls")),
    path("books/", include("bookstore.urls")),
    path("payments/", include("payments.urls")),
    path("courses/", include("courses.urls")),
    path("blog/", include("blog.urls")),
    path("comments/", include("comments.urls")),
    path("reports/", include("analytics.urls")),
    # For pages without an icon of their own, such as those of the admin.
    path("favicon.ico", RedirectView.as_view(url=static("backoffice/logo.svg"))),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
    path("admin/", admin.site.urls),
]
