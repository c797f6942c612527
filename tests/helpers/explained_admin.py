"""A site of the admin whose change pages explain writes."""

from django.contrib import admin
from django.urls import path

from heliograph.flow.explain_admin import ExplainAdminMixin
from tests.app.models import Article, Writer

SITE = admin.AdminSite("admin")


class ArticleAdmin(ExplainAdminMixin, admin.ModelAdmin):
    """Articles have a button "Explain this save"."""

    fields = ("title", "words")


SITE.register(Article, ArticleAdmin)
SITE.register(Writer)

urlpatterns = [path("admin/", SITE.urls)]
