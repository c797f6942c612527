"""Filters of a page of entries, and its pages: each entry is on one of them, whatever was written meanwhile."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.utils import timezone

from heliograph.audit import audit, entry_pages
from heliograph.audit.models import ChangeSet, Entry
from tests.app.models import Article, Novel, Writer
from tests.helpers.audit_pages import (
    articles_in,
    change,
    change_sets,
    entries,
    history_of,
    html,
    object_page,
    page_of_set,
    shown_keys,
    write_entry,
    write_set,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def article():
    audit(Article)
    article = Article.objects.create(title="One")
    change(article, title="Two")
    change(article, words=5)
    return article


def numbers():
    return [*Entry.objects.order_by("-pk").values_list("pk", flat=True)]


def all_pages(client, response):
    """Return the numbers on a page and on all older ones."""
    found = shown_keys(response)
    while older := re.search(r'<a href="([^"]*)" rel="next">', html(response)):
        response = client.get(response.request["PATH_INFO"] + unescape(older[1]))
        found += shown_keys(response)
    return found


# --- each filter --------------------------------------------------------------------------------------------------


def test_the_action(auditor, article):
    assert len(shown_keys(history_of(auditor, article, action="updated"))) == 2
    assert len(shown_keys(entries(auditor, action="created"))) == 1


def test_the_field(auditor, article):
    assert [text[:7] for text in articles_in(history_of(auditor, article, field="words"))] == ["updated", "created"]
    assert shown_keys(entries(auditor, field="words", action="updated")) == numbers()[:1]


def test_the_model(auditor, article):
    audit(Writer)
    Writer.objects.create()

    assert shown_keys(entries(auditor, model="app.Writer")) == numbers()[:1]


def test_the_actor_by_the_name_of_the_user(auditor, ada, article):
    entry = Entry.objects.all()[1]
    write_set(entry, actor=f"auth.User {ada.pk}")

    for client_page in (entries(auditor, actor="ada"), history_of(auditor, article, actor=f"auth.User {ada.pk}")):
        assert shown_keys(client_page) == [entry.pk]
    assert [one.of.pk for one in change_sets(auditor, actor="ada").context["sets"]] == [entry.change_set_id]


def test_the_actor_with_a_field(auditor, ada, article):
    for entry in Entry.objects.all():
        write_set(entry, actor="cron")

    assert shown_keys(entries(auditor, actor="cron", field="words", action="updated")) == numbers()[:1]


def test_the_time(auditor, article):
    begin = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for at, entry in enumerate(Entry.objects.all()):
        write_set(entry, at=begin + timedelta(hours=at))

    with timezone.override(UTC):
        for client_page in (entries, change_sets):
            page = client_page(auditor, since="2030-01-01T13:00", until="2030-01-01T14:00")
            found = page.context.get("shown") or page.context["sets"]
            assert len(found) == 1
        assert shown_keys(history_of(auditor, article, since="2030-01-01T13:00")) == numbers()[:2]
        assert shown_keys(history_of(auditor, article, until="2030-01-01")) == []


def test_the_time_is_in_the_time_zone_of_the_viewer(auditor, article):
    for entry in Entry.objects.all():
        write_set(entry, at=datetime(2030, 1, 1, 12, tzinfo=UTC))

    with timezone.override(timezone.get_fixed_timezone(60)):
        assert len(shown_keys(entries(auditor, since="2030-01-01T13:00"))) == 3
        assert len(shown_keys(entries(auditor, since="2030-01-01T13:01"))) == 0


def test_a_clock_that_was_set_back_hides_no_entry(auditor, article):
    begin = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for entry, minutes in zip(Entry.objects.all(), (10, 0, 20), strict=True):
        write_set(entry, at=begin + timedelta(minutes=minutes))

    with timezone.override(UTC):
        assert len(shown_keys(entries(auditor, since="2030-01-01T12:05", until="2030-01-01T12:15"))) == 1
        assert len(shown_keys(entries(auditor, until="2030-01-01T12:05"))) == 1


@pytest.mark.parametrize("filters", [{"since": "yesterday"}, {"action": "stolen"}, {"actor": "a\0b"}])
def test_a_filter_that_cannot_be_read_is_named_and_finds_nothing(auditor, article, filters):
    page = entries(auditor, **filters)

    assert "errorlist" in html(page)
    assert shown_keys(page) == []


def test_a_filter_that_finds_nothing_says_so(auditor, article):
    assert "There are no entries that these filters find." in html(entries(auditor, actor="nobody else"))


def test_the_filters_of_a_history_that_find_nothing_are_no_missing_object(auditor, article):
    number = article.pk
    article.delete()

    assert object_page(auditor, "app.Article", number, actor="nobody else").status_code == 200


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_pages(monkeypatch):
    """Let a page have two entries, and read few at once."""
    for name, value in {"AT_ONCE": 3, "MOST": 6, "BRANCHES": 2, "_SMALL": 2}.items():
        monkeypatch.setattr(entry_pages, name, value)
    monkeypatch.setattr(entry_pages.find, "__defaults__", (2,))


@pytest.mark.parametrize("filters", [{}, {"action": "updated"}, {"field": "words"}, {"actor": "cron"}])
@pytest.mark.parametrize("more", [{}, {"since": "2000-01-01"}, {"actor": "cron"}, {"field": "title"}])
def test_every_entry_is_on_one_page(auditor, small_pages, article, filters, more):
    audit(Novel)
    for at in range(6):
        change(article, title=str(at), words=at % 2)
        Novel.objects.create(name=str(at))
    for at, entry in enumerate(Entry.objects.all()):
        write_set(entry, actor="cron" if at % 2 else "ada")
    given = {**filters, **more}
    conditions = {
        "action": lambda one: one.action == "updated",
        "field": lambda one: given["field"] in one.fields,
        "actor": lambda one: one.actor == "cron",
        "since": lambda one: True,
    }
    wanted = [one.pk for one in Entry.objects.order_by("-pk") if all(conditions[name](one) for name in given)]

    assert all_pages(auditor, entries(auditor, **given)) == wanted
    assert all_pages(auditor, page_of_set(auditor, Entry.objects.first().change_set_id)) == numbers()[-1:]


def test_a_large_change_set_of_an_actor_is_on_several_pages(auditor, small_pages):
    audit(Novel)
    Novel.objects.bulk_create(Novel(name=str(at)) for at in range(7))
    write_set(Entry.objects.first(), actor="cron")
    Novel.objects.create()

    assert ChangeSet.objects.count() == 2
    assert all_pages(auditor, entries(auditor, actor="cron")) == numbers()[1:]
    assert all_pages(auditor, entries(auditor, actor="cron", action="created")) == numbers()[1:]


def test_an_entry_that_is_written_meanwhile_does_not_move_others(auditor, small_pages, article):
    page = entries(auditor)
    change(article, words=6)

    assert all_pages(auditor, page) == numbers()[1:]


def test_a_page_that_has_read_enough_says_so_and_goes_on(auditor, small_pages, article):
    for at in range(10):
        change(article, title=str(at))
    write_set(Entry.objects.first(), actor="cron")

    page = history_of(auditor, article, actor="cron")

    assert "Look further back" in html(page)
    assert all_pages(auditor, page) == numbers()[-1:]


def test_change_sets_have_pages(auditor, article, monkeypatch):
    monkeypatch.setattr("heliograph.audit.change_set_pages.SIZE", 2)

    page = change_sets(auditor)
    older = auditor.get(page.request["PATH_INFO"] + page.context["older"])

    found = [[one.of.pk for one in one_page.context["sets"]] for one_page in (page, older)]
    assert found == [
        [*ChangeSet.objects.order_by("-pk").values_list("pk", flat=True)][:2],
        [ChangeSet.objects.first().pk],
    ]
    assert ">Newest</a>" in html(older)


@pytest.mark.parametrize("before", ["x", "1", "-1-2", "9" * 30 + "-1", "1-2-3", "<script>", "²-1"])
def test_a_cursor_that_is_none_gives_the_newest(auditor, article, before):
    assert shown_keys(entries(auditor, before=before)) == numbers()


def test_other_change_sets_of_the_transaction_are_named(auditor, article):
    first, second, third = ChangeSet.objects.all()
    write_set(Entry.objects.all()[1], first=first.pk)

    for number, other in ((first.pk, second.pk), (second.pk, first.pk)):
        assert f"/admin/heliograph_audit/changeset/{other}/change/" in html(page_of_set(auditor, number))
    assert "Same transaction" not in html(page_of_set(auditor, third.pk))


def test_the_entries_of_an_object_are_not_those_of_another_with_the_same_key(auditor, article):
    audit(Writer)
    Writer.objects.create(pk=article.pk)
    write_entry(Entry.objects.last(), object=str(article.pk))

    assert len(shown_keys(object_page(auditor, "app.Writer", article.pk))) == 1
    assert len(shown_keys(history_of(auditor, article))) == 3
