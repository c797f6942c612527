"""Who may see what of the audit log, and that nobody can edit it."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from heliograph.audit import audit
from heliograph.audit.models import Entry
from tests.app.models import Article, Audiobook, Novel, Ticket, Writer
from tests.helpers.audit_pages import (
    articles_in,
    change,
    change_sets,
    entries,
    history_of,
    html,
    object_page,
    page_of_entry,
    page_of_set,
    write_entry,
)

pytestmark = pytest.mark.django_db

LOG = "heliograph_audit.view_entry"


@pytest.fixture
def article():
    audit(Article)
    return Article.objects.create(title="One")


def statuses(client, instance):
    entry = Entry.objects.last()
    label = type(instance)._meta.label
    pages = (object_page(client, label, instance.pk), entries(client), change_sets(client))
    return [
        page.status_code for page in (*pages, page_of_entry(client, entry), page_of_set(client, entry.change_set_id))
    ]


# --- which pages --------------------------------------------------------------------------------------------------


def test_who_may_see_an_object_may_see_its_history_and_no_list(allow, article):
    client = allow("app.view_article")

    assert history_of(client, article).status_code == 200
    assert statuses(client, article) == [200, 403, 403, 403, 403]


def test_who_may_see_the_log_may_not_see_the_history_of_every_object(allow, article):
    client = allow(LOG)

    assert history_of(client, article).status_code == 403
    assert statuses(client, article) == [403, 200, 200, 200, 200]


def test_who_may_change_an_object_may_see_its_history(allow, article):
    assert history_of(allow("app.change_article"), article).status_code == 200


def test_nobody_else_may_see_anything(allow, article):
    assert history_of(allow(), article).status_code == 403
    assert statuses(allow(), article) == [403] * 5


def test_visitors_are_sent_to_the_login(client, article):
    assert history_of(client, article).status_code == 302
    assert statuses(client, article) == [302] * 5


def test_an_object_that_its_admin_does_not_show_has_no_history(auditor, article):
    change(article, slug="secret")

    assert history_of(auditor, article).status_code == 403
    assert object_page(auditor, "app.Article", article.pk).status_code == 403


def test_an_object_that_its_admin_does_not_list_has_no_history(auditor):
    audit(Writer)
    hidden = Writer.objects.create(name="hidden")

    assert object_page(auditor, "app.Writer", hidden.pk).status_code == 403


def test_a_model_without_an_admin_needs_its_permission(allow):
    audit(Ticket)
    ticket = Ticket.objects.create()

    assert object_page(allow(LOG), "app.Ticket", ticket.pk).status_code == 403
    assert object_page(allow(LOG, "app.view_ticket"), "app.Ticket", ticket.pk).status_code == 200


# --- what lists leave out -----------------------------------------------------------------------------------------


def test_a_list_has_no_entries_of_models_that_the_viewer_may_not_see(allow, article):
    audit(Writer)
    Writer.objects.create(name="Mary")

    assert [text.split()[1] for text in articles_in(entries(allow(LOG, "app.view_article")))] == ["Article"]


def test_a_list_has_no_filter_for_models_that_the_viewer_may_not_see(allow, article):
    audit(Writer)
    Writer.objects.create(name="Mary")

    assert "app.Writer" not in html(entries(allow(LOG, "app.view_article")))


def test_the_page_of_a_change_set_hides_objects_that_the_viewer_may_not_see(allow, article):
    page = page_of_set(allow(LOG), Entry.objects.last().change_set_id)

    assert "An object that you may not see" in html(page)
    assert "One" not in html(page)
    assert str(article) not in html(page)


@pytest.mark.parametrize(("model", "values"), [(Article, {"slug": "secret"}), (Writer, {"name": "hidden"})])
def test_lists_hide_objects_that_the_admin_of_their_model_does_not_show(auditor, model, values):
    audit(model)
    model.objects.create(**values)

    for page in (entries(auditor), page_of_entry(auditor, Entry.objects.last())):
        assert "An object that you may not see" in html(page)
        assert "dd>" not in html(page)


# --- deleted and unknown objects ----------------------------------------------------------------------------------


def test_a_deleted_object_has_a_history_for_those_who_may_see_the_log(auditor, article):
    number = article.pk
    article.delete()

    for page in (
        object_page(auditor, "app.Article", number),
        auditor.get(reverse("admin:app_article_history", args=[number])),
    ):
        assert "This object was deleted." in html(page)
        assert len(articles_in(page)) == 2


def test_a_deleted_object_has_no_history_for_others(allow, article):
    number = article.pk
    article.delete()

    assert object_page(allow("app.view_article"), "app.Article", number).status_code == 403


def test_an_object_that_never_was_is_not_found(auditor):
    assert object_page(auditor, "app.Article", 12345).status_code == 404
    assert auditor.get(reverse("admin:app_article_history", args=[12345])).status_code == 404


@pytest.mark.parametrize("key", ["x", "1_2F2", "_00", "9" * 30])
def test_a_key_that_the_model_cannot_have_is_not_found(auditor, key):
    assert object_page(auditor, "app.Article", key).status_code == 404


def test_a_model_that_is_gone_is_shown_to_those_who_may_see_everything(admin_client, article):
    write_entry(Entry.objects.last(), kind_id=_kind("gone.Model"))

    assert "gone.Model" in html(entries(admin_client))
    assert len(articles_in(object_page(admin_client, "gone.Model", article.pk))) == 1


def test_a_model_that_is_gone_is_hidden_from_others(auditor, article):
    write_entry(Entry.objects.last(), kind_id=_kind("gone.Model"))

    assert articles_in(entries(auditor)) == []
    assert object_page(auditor, "gone.Model", article.pk).status_code == 403


def test_an_unknown_model_is_not_found(admin_client):
    assert object_page(admin_client, "no.Model", 1).status_code == 404
    assert object_page(admin_client, "nonsense", 1).status_code == 404


@pytest.mark.parametrize("name", ["entry", "changeset"])
@pytest.mark.parametrize("number", ["1", "x", "9" * 30, "²"])
def test_a_number_that_is_not_there_is_not_found(auditor, name, number):
    assert auditor.get(reverse(f"admin:heliograph_audit_{name}_change", args=[number])).status_code == 404


def _kind(label):
    from heliograph.audit.models import Kind
    from tests.helpers.audit_log import rows

    rows(Kind, [(77, label, "created", ",title,")])
    return 77


# --- parents ------------------------------------------------------------------------------------------------------


def test_the_history_of_a_child_has_the_entries_of_its_parents(allow):
    audit(Audiobook)
    book = Audiobook.objects.create(name="One", minutes=5)
    change(book, name="Two")
    client = allow("app.view_audiobook")

    texts = articles_in(object_page(client, "app.Audiobook", book.pk))

    assert "Name before: One → after: Two" in texts[0]
    assert len(texts) == 3


# --- nobody edits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["entry", "changeset"])
def test_nobody_can_add_or_delete(admin_client, article, name):
    number = Entry.objects.last().pk
    add = reverse(f"admin:heliograph_audit_{name}_add")
    delete = reverse(f"admin:heliograph_audit_{name}_delete", args=[number])

    for address in (add, delete):
        assert admin_client.get(address).status_code == 403
        assert admin_client.post(address, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("name", ["entry", "changeset"])
def test_nobody_can_change(admin_client, article, name):
    entry = Entry.objects.last()
    address = reverse(f"admin:heliograph_audit_{name}_change", args=[entry.pk])
    admin_client.post(address, {"text": "{}", "reason": "x"})
    admin_client.post(reverse(f"admin:heliograph_audit_{name}_changelist"), {"action": "delete_selected"})

    again = Entry.objects.last()
    assert (again.pk, again.text, again.change_set.reason) == (entry.pk, entry.text, "")


# --- how one comes to the page --------------------------------------------------------------------------------------


def test_the_log_of_the_admin_is_one_link_further(auditor, ada, article):
    LogEntry.objects.create(user=ada, object_id=article.pk, content_type_id=_content_type(Article), action_flag=2)

    assert "?admin-log=1" in html(history_of(auditor, article))
    assert "action_list" in history_of(auditor, article, **{"admin-log": 1}).context


def _content_type(model):
    from django.contrib.contenttypes.models import ContentType

    return ContentType.objects.get_for_model(model).pk


def change_page(client, name, instance):
    return html(client.get(reverse(f"admin:app_{name}_change", args=[instance.pk])))


def test_a_setting_gives_every_audited_model_a_link(auditor, settings):
    settings.HELIOGRAPH = {"AUDIT": {"ADMIN": True}}
    audit(Novel)
    novel = Novel.objects.create(name="One")
    link = f"/admin/heliograph_audit/entry/history/app.Novel/{novel.pk}/"

    assert f'<a href="{link}" class="historylink">Audit log</a>' in change_page(auditor, "novel", novel)
    assert len(articles_in(auditor.get(link))) == 1


def test_without_the_setting_there_is_no_link(auditor):
    audit(Novel)

    assert "Audit log</a></li>" not in change_page(auditor, "novel", Novel.objects.create())


def test_a_model_that_is_not_audited_has_no_link(auditor, settings):
    settings.HELIOGRAPH = {"AUDIT": {"ADMIN": True}}

    assert 'class="historylink">Audit log' not in change_page(auditor, "novel", Novel.objects.create())


def test_a_model_whose_button_leads_to_the_log_has_no_second_link(auditor, settings, article):
    settings.HELIOGRAPH = {"AUDIT": {"ADMIN": True}}

    assert 'class="historylink">Audit log' not in change_page(auditor, "article", article)
