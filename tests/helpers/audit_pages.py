"""A site of the admin whose models are audited, and what its pages say."""

import re
from datetime import datetime
from html import unescape

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db import connection
from django.urls import path, reverse

from heliograph.audit.admin import AuditHistoryMixin, ChangeSetAdmin, EntryAdmin
from heliograph.audit.models import ChangeSet, Entry
from tests.app.models import Article, Novel, Writer

SITE = admin.AdminSite("admin")


class ArticleAdmin(AuditHistoryMixin, admin.ModelAdmin):
    """The button "History" leads to the audit log; articles of the slug "secret" are not for everybody."""

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) and (obj is None or obj.slug != "secret")


class WriterAdmin(admin.ModelAdmin):
    """Writers by the name "hidden" are not listed."""

    def get_queryset(self, request):
        return super().get_queryset(request).exclude(name="hidden")


SITE.register(Article, ArticleAdmin)
SITE.register(Writer, WriterAdmin)
SITE.register(Novel)
SITE.register(User, UserAdmin)
SITE.register(Entry, EntryAdmin)
SITE.register(ChangeSet, ChangeSetAdmin)

urlpatterns = [path("admin/", SITE.urls)]


def history_of(client, instance, **filters):
    """Return the page to which the button "History" of an article leads."""
    return client.get(reverse("admin:app_article_history", args=[instance.pk]), filters)


def object_page(client, label, key, **filters):
    return client.get(reverse("admin:heliograph_audit_object", args=[label, key]), filters)


def entries(client, **filters):
    return client.get(reverse("admin:heliograph_audit_entry_changelist"), filters)


def change_sets(client, **filters):
    return client.get(reverse("admin:heliograph_audit_changeset_changelist"), filters)


def page_of_set(client, number):
    return client.get(reverse("admin:heliograph_audit_changeset_change", args=[number]))


def page_of_entry(client, entry):
    return client.get(reverse("admin:heliograph_audit_entry_change", args=[entry.pk]))


def change(instance, **values):
    """Save some values, and return the entry."""
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save()
    return Entry.objects.order_by("pk").last()


def html(response):
    return response.content.decode()


def articles_in(response):
    """Return the text of each entry of a page, without its markup."""
    found = re.findall("<article.*?</article>", html(response), re.DOTALL)
    return [re.sub(r"\s+", " ", unescape(re.sub("<.*?>", "", one))).strip() for one in found]


def shown_keys(response):
    """Return the numbers of the entries of a page, in its order."""
    return [one.entry.pk for one in response.context["shown"]]


def write_set(entry, **values):
    """Write columns of the change set of an entry, past the models, which refuse to."""
    _update(ChangeSet, entry.change_set_id, values)


def write_entry(entry, **values):
    """Write columns of an entry, past its model, which refuses to."""
    _update(Entry, entry.pk, values)


def _update(model, number, values):
    quote = connection.ops.quote_name
    columns = ", ".join(f"{quote(name)} = %s" for name in values)
    adapted = [_adapted(value) for value in values.values()]
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {columns} WHERE id = %s", [*adapted, number])


def _adapted(value):
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
