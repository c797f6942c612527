"""The page that reverts an entry: for whom it is, what it says before, and what it does."""

import re

import pytest
from django.urls import reverse

from heliograph.audit import audit
from heliograph.audit.models import Entry
from tests.app.models import Article, Genre, Novel
from tests.helpers.audit_pages import change, history_of, html, write_entry

pytestmark = pytest.mark.django_db

LOG, REVERT = "heliograph_audit.view_entry", "heliograph_audit.revert_entry"


@pytest.fixture
def article():
    audit(Article)
    return Article.objects.create(title="One")


@pytest.fixture
def reverter(allow):
    """The client of somebody who may revert all changes of articles."""
    verbs = [f"app.{verb}_article" for verb in ("view", "add", "change", "delete")]
    return allow(LOG, REVERT, "app.view_novel", "app.change_novel", *verbs)


def address(entry):
    return reverse("admin:heliograph_audit_revert", args=[entry.pk])


def ask(client, entry):
    return client.get(address(entry))


def confirm(client, entry, **given):
    """Answer the page that asks, as its form would."""
    page = html(ask(client, entry))
    hidden = dict(re.findall('<input type="hidden" name="(seen)" value="(.*?)">', page))
    return client.post(address(entry), {**hidden, **given}, follow=True)


def said(response):
    return [str(message) for message in response.context["messages"]]


def title_of(article):
    return Article.objects.get(pk=article.pk).title


# --- who ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "permissions",
    [
        ("app.view_article", "app.change_article", LOG),
        ("app.view_article", REVERT, LOG),
        ("app.view_article", "app.add_article", "app.delete_article", REVERT),
        (REVERT, LOG),
    ],
)
def test_it_needs_its_permission_and_the_one_for_what_it_does(allow, article, permissions):
    entry = change(article, title="Two")
    client = allow(*permissions)

    assert ask(client, entry).status_code == 403
    assert client.post(address(entry)).status_code == 403
    assert title_of(article) == "Two"
    assert address(entry) not in html(history_of(client, article))


def test_with_both_there_is_a_link(allow, article):
    entry = change(article, title="Two")
    client = allow("app.change_article", REVERT)

    assert f'href="{address(entry)}"' in html(history_of(client, article))
    assert ask(client, entry).status_code == 200


def test_an_object_that_its_admin_does_not_show_cannot_be_reverted(reverter, article):
    assert ask(reverter, change(article, slug="secret")).status_code == 403


def test_an_entry_that_is_not_there_is_not_found(reverter, article):
    assert reverter.get(reverse("admin:heliograph_audit_revert", args=["12345"])).status_code == 404
    assert reverter.get(reverse("admin:heliograph_audit_revert", args=["x"])).status_code == 404


def test_the_form_needs_the_token_against_forgery(reverter, article):
    entry = change(article, title="Two")
    reverter.handler.enforce_csrf_checks = True

    assert 'name="csrfmiddlewaretoken"' in html(ask(reverter, entry))
    assert reverter.post(address(entry)).status_code == 403
    assert title_of(article) == "Two"


# --- what it says and does ------------------------------------------------------------------------------------------


def test_the_page_shows_what_it_would_do_and_does_nothing(reverter, article):
    entry = change(article, title="Two")

    page = html(ask(reverter, entry))

    after = re.sub("<.*?>", "", page[page.index("What reverting it does") :])
    assert "before: Two" in after
    assert "after: One" in after
    assert title_of(article) == "Two"
    assert Entry.objects.last().pk == entry.pk


def test_a_confirmed_page_reverts_and_returns_to_the_history(reverter, article):
    entry = change(article, title="Two")

    answer = confirm(reverter, entry, reason="a mistake")

    assert said(answer) == [f"Reverted entry {entry.pk}."]
    assert answer.request["PATH_INFO"].endswith(f"/history/app.Article/{article.pk}/")
    assert title_of(article) == "One"
    assert Entry.objects.last().changes["title"] == ("Two", "One")


def test_a_deleted_object_comes_back(reverter, article):
    number = article.pk
    article.delete()

    confirm(reverter, Entry.objects.last())

    assert Article.objects.get(pk=number).title == "One"


def test_a_creation_is_undone(reverter, article):
    confirm(reverter, Entry.objects.last())

    assert not Article.objects.exists()


def test_a_relation_is_reverted(reverter):
    audit(Novel)
    novel, genre = Novel.objects.create(), Genre.objects.create(name="Gothic")
    novel.genres.add(genre)

    assert f"Genre object ({genre.pk})" in html(ask(reverter, Entry.objects.last()))
    confirm(reverter, Entry.objects.last())
    assert not novel.genres.exists()


def test_what_came_later_refuses_it_until_somebody_says_so(reverter, article):
    entry = change(article, title="Two")
    later = change(article, title="Three")

    page = html(ask(reverter, entry))
    assert f"entry {later.pk} has changed it later." in page
    assert 'name="force" required' in page

    confirm(reverter, entry)
    assert title_of(article) == "Three"
    confirm(reverter, entry, force="on")
    assert title_of(article) == "One"


def test_a_change_after_the_page_was_made_is_not_lost(reverter, article):
    entry = change(article, title="Two")
    change(article, title="Three")
    page = html(ask(reverter, entry))
    seen = re.search('name="seen" value="(.*?)"', page)[1]
    change(article, title="Four")

    answer = reverter.post(address(entry), {"force": "on", "seen": seen}, follow=True)

    assert said(answer) == ["Nothing was reverted: something has changed since the page was made."]
    assert title_of(article) == "Four"


def test_what_nobody_can_undo_has_no_button(reverter, article):
    entry = Entry.objects.last()
    article.delete()

    page = html(ask(reverter, entry))

    assert "the row is gone already" in page
    assert "It cannot be reverted." in page
    assert 'value="Revert"' not in page


def test_a_forgotten_entry_cannot_be_reverted(reverter, article):
    entry = change(article, title="Two")
    write_entry(entry, changes="", salt="")

    assert ask(reverter, entry).status_code == 403
    assert address(entry) not in html(history_of(reverter, article))


def test_l6_a_masked_value_is_masked_on_the_page_too(reverter):
    audit(Article, mask=["slug"])
    Article.objects.create(title="One", slug="swordfish")

    page = html(ask(reverter, Entry.objects.last()))

    assert "swordfish" not in page
    assert "its values are masked" in page


def test_values_are_escaped(reverter, article):
    change(article, title="<b>Two</b>")

    page = html(ask(reverter, Entry.objects.last()))

    assert "<b>Two</b>" not in page
    assert "&lt;b&gt;Two&lt;/b&gt;" in page
