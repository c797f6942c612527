"""A page of the audit log says who changed what, when, why, and from what to what, in words that people read."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from heliograph.audit import audit
from heliograph.audit.audited_models import AUDITED
from heliograph.audit.models import Entry
from tests.app.models import Account, Article, Genre, Novel, Writer
from tests.helpers.audit_pages import (
    articles_in,
    change,
    entries,
    history_of,
    html,
    object_page,
    page_of_entry,
    write_entry,
    write_set,
)

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('no')</script>"
SAFE = "&lt;script&gt;alert(&#x27;no&#x27;)&lt;/script&gt;"


@pytest.fixture
def article():
    audit(Article)
    return Article.objects.create(title="One")


def newest(client, instance):
    """Return the text of the newest entry of an article."""
    return articles_in(history_of(client, instance))[0]


def test_the_newest_change_is_first(auditor, article):
    change(article, title="Two")

    [second, first] = articles_in(history_of(auditor, article))

    assert second.startswith("updated")
    assert first.startswith("created")


def test_the_page_is_an_ordered_list_of_articles(auditor, article):
    assert re.search(r"<ol [^>]*>\s*<li><article ", html(history_of(auditor, article)))


# --- values -------------------------------------------------------------------------------------------------------


def test_short_values_stand_side_by_side(auditor, article):
    change(article, title="Two")

    assert "Title before: One → after: Two" in newest(auditor, article)


def test_a_long_text_has_its_words_marked(auditor, article):
    change(article, title="a dark and stormy night that went on and on, until the very last light of the town")
    change(article, title="a calm and stormy night that went on and on, until the very last light of the city")

    page = html(history_of(auditor, article))

    assert "a <del>dark </del><ins>calm </ins>and stormy night" in page
    assert "of the <del>town</del><ins>city</ins>" in page


def test_json_has_its_lines_marked(auditor, article):
    change(article, labels=["a long label that fills its line well", {"shelf": 7}])
    change(article, labels=["a long label that fills its line well", {"shelf": 8}])

    page = html(history_of(auditor, article))

    assert "<del>    &quot;shelf&quot;: 7\n</del><ins>    &quot;shelf&quot;: 8\n</ins>" in page


def test_a_related_object_has_its_name_and_a_link(auditor, article):
    mary = Writer.objects.create(name="Mary")
    change(article, author=mary)

    assert f'<a href="/admin/app/writer/{mary.pk}/change/">Writer object ({mary.pk})</a>' in html(
        history_of(auditor, article)
    )


def test_a_related_object_has_no_link_for_those_who_may_not_see_it(allow, article):
    client = allow("app.view_article")
    mary = Writer.objects.create(name="Mary")
    change(article, author=mary)

    assert "/admin/app/writer/" not in html(history_of(client, article))
    assert f"Writer object ({mary.pk})" in newest(client, article)


def test_a_related_object_that_is_deleted_has_its_key(auditor, article):
    mary = Writer.objects.create(name="Mary")
    number = mary.pk
    change(article, author=mary)
    mary.delete()

    assert f"Writer {number} (deleted)" in html(history_of(auditor, article))


def test_a_decimal_has_the_places_of_its_field(auditor, article):
    change(article, price=Decimal("12.5"))

    assert "Price before: 0.00 → after: 12.50" in newest(auditor, article)


def test_nothing_and_an_empty_text_are_said_in_words(auditor, article):
    text = newest(auditor, article)

    assert "Slug empty text" in text
    assert "Published nothing" in text


def test_two_times_that_look_the_same_are_written_exactly(auditor, article):
    at = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    change(article, published=at)
    change(article, published=at + timedelta(seconds=1))

    with timezone.override(UTC):
        text = newest(auditor, article)

    assert "before: 2030-01-02 03:04:05+00:00 → after: 2030-01-02 03:04:06+00:00" in text


def test_objects_of_a_relation_are_added_and_removed_by_name(auditor):
    audit(Novel)
    novel, genres = Novel.objects.create(name="One"), [Genre.objects.create(name=name) for name in "abc"]
    novel.genres.set(genres[:2])
    novel.genres.set(genres[1:])

    text = " ".join(articles_in(object_page(auditor, "app.Novel", novel.pk))[:2])

    assert f"added Genre object ({genres[2].pk})" in text
    assert f"removed Genre object ({genres[0].pk})" in text


def test_many_objects_of_a_relation_are_counted(auditor):
    audit(Novel)
    novel, genres = Novel.objects.create(), [Genre.objects.create(name=str(name)) for name in range(25)]
    novel.genres.set(genres)

    assert "and 5 more" in articles_in(object_page(auditor, "app.Novel", novel.pk))[0]


def test_a_row_with_many_fields_shows_the_first_at_once(auditor, article):
    page = html(history_of(auditor, article))

    assert page.index("Updated") < page.index("<summary>1 more field</summary>") < page.index("Words")


def test_a_truth_value_is_the_icon_of_the_admin(allow, ada):
    audit(User)
    change(ada, is_superuser=True)
    client = allow("auth.view_user")

    page = html(object_page(client, "auth.User", ada.pk))

    assert 'alt="True"' in page


def test_a_field_that_is_gone_has_its_name_and_value(auditor, article):
    write_entry(change(article, title="Two"), changes='{"colour": ["red", {"$": "decimal", "value": "1.50"}]}')

    assert "colour before: red → after: 1.50" in newest(auditor, article)


# --- masked, forgotten, altered -------------------------------------------------------------------------------------


def test_l6_a_masked_field_only_says_that_it_has_changed(auditor):
    audit(Article, mask=["title"])
    article = Article.objects.create(title="wonderful")
    change(article, title="marvellous")

    page = html(history_of(auditor, article))

    assert "Title changed, its values are masked" in newest(auditor, article)
    assert "wonderful" not in page
    assert "marvellous" not in page


def test_l6_a_field_that_is_masked_later_is_masked_in_older_entries(auditor, article):
    change(article, title="marvellous")
    AUDITED[Article].disconnect()
    audit(Article, mask=["title"])

    assert "marvellous" not in html(history_of(auditor, article))


def test_l6_a_password_is_masked_even_if_an_entry_has_it(allow, ada):
    audit(User)
    entry = change(ada, first_name="Ada")
    write_entry(entry, changes='{"password": ["swordfish", "sesame"]}')
    client = allow("auth.view_user")

    page = html(object_page(client, "auth.User", ada.pk))

    assert "its values are masked" in page
    assert "swordfish" not in page


def test_l6_secrets_in_the_context_are_masked(auditor, article):
    entry = change(article, title="Two")
    write_set(entry, context=json.dumps({"request": "r-1", "headers": {"api_key": "swordfish"}}))

    page = html(page_of_set_of(auditor, entry))

    assert "r-1" in page
    assert "swordfish" not in page


def page_of_set_of(client, entry):
    return client.get(f"/admin/heliograph_audit/changeset/{entry.change_set_id}/change/")


def test_an_entry_whose_values_were_forgotten_says_so(auditor, article):
    entry = change(article, title="Two")
    write_entry(entry, changes="", salt="")

    assert "The values were forgotten. Changed: Title, Updated." in newest(auditor, article)


@pytest.mark.parametrize("text", ["{", "[1]", '{"title": 7}', '{"title": {"$": "row", "value": 1}}', "[" * 5000, '"x"'])
def test_an_entry_that_somebody_has_altered_can_be_looked_at(auditor, article, text):
    write_entry(change(article, title="Two"), changes=text)

    assert history_of(auditor, article).status_code == 200


@pytest.mark.parametrize("missing", ["change_set_id", "kind_id"])
def test_an_entry_without_its_change_set_or_kind_is_left_out(auditor, article, missing):
    write_entry(change(article, title="Two"), **{missing: 12345})

    assert len(articles_in(entries(auditor))) == 1


# --- who, when, why -----------------------------------------------------------------------------------------------


def test_the_actor_has_a_label_and_a_link_for_those_who_may_see_users(allow, ada, article):
    write_set(Entry.objects.last(), actor=f"auth.User {ada.pk}", actor_label="Ada Lovelace")
    client = allow("app.view_article", "auth.view_user")

    assert f'<a href="/admin/auth/user/{ada.pk}/change/">Ada Lovelace</a>' in html(history_of(client, article))


def test_the_actor_has_no_link_for_others(auditor, ada, article):
    write_set(Entry.objects.last(), actor=f"auth.User {ada.pk}", actor_label="Ada Lovelace")

    page = html(history_of(auditor, article))

    assert "Ada Lovelace ·" in newest(auditor, article)
    assert "/admin/auth/user/" not in page


@pytest.mark.parametrize("actor", ["cron", "gone.User 7", "auth.User 99", "auth.User x", "a.b"])
def test_an_actor_that_is_no_user_is_named(auditor, article, actor):
    write_set(Entry.objects.last(), actor=actor, actor_label="")

    assert f"{actor} ·" in newest(auditor, article)


def test_a_change_of_nobody_says_so(auditor, article):
    assert "nobody ·" in newest(auditor, article)


def test_the_reason_is_shown(auditor, article):
    write_set(Entry.objects.last(), reason="spring prices")

    assert "Reason: spring prices" in newest(auditor, article)


def test_the_time_is_relative_and_exact_in_the_time_zone_of_the_viewer(auditor, article):
    entry = Entry.objects.last()
    write_set(entry, at=timezone.now() - timedelta(hours=3, minutes=5))
    at = Entry.objects.last().change_set.at
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        page = html(history_of(auditor, article))

    exact = at.astimezone(ZoneInfo("Asia/Tokyo")).isoformat(" ", "seconds")[:19]
    assert f'<time class="audit-time" datetime="{at.isoformat()}">3\xa0hours ago ' in page
    assert f"{exact} JST" in page


def test_a_change_of_this_minute_is_just_now(auditor, article):
    assert "just now" in newest(auditor, article)


# --- what somebody has written is never markup ----------------------------------------------------------------------


def test_values_labels_and_reasons_are_escaped(auditor, article):
    long = f"{EVIL} and enough words after it to make a text that is compared by word"
    for value in (EVIL, long, f"{long} again"):
        change(article, title=value, labels=[EVIL])
    for entry in Entry.objects.all():
        write_set(entry, actor=EVIL, actor_label=EVIL, reason=EVIL, context=json.dumps({EVIL: EVIL}))
    write_entry(Entry.objects.first(), changes=json.dumps({EVIL: [EVIL]}))

    pages = [history_of(auditor, article), entries(auditor), page_of_entry(auditor, Entry.objects.last())]
    pages += [page_of_set_of(auditor, Entry.objects.last()), auditor.get("/admin/heliograph_audit/changeset/")]

    for page in pages:
        assert SAFE in html(page)
        assert EVIL not in html(page)


def test_names_of_objects_are_escaped(auditor, ada, article, monkeypatch):
    monkeypatch.setattr(Article, "__str__", lambda one: EVIL)
    monkeypatch.setattr(Writer, "__str__", lambda one: EVIL)
    change(article, author=Writer.objects.create())

    for page in (history_of(auditor, article), entries(auditor)):
        assert SAFE in html(page)
        assert EVIL not in html(page)


def test_filters_in_the_address_are_escaped(auditor, article):
    page = html(entries(auditor, actor=EVIL, field=EVIL, model=EVIL, action=EVIL, since=EVIL))

    assert EVIL not in page


def test_a_page_has_no_script_and_no_style_of_its_own(auditor, article):
    page = html(history_of(auditor, article))
    main = page[page.index('<div id="content"') :]

    assert "style=" not in main
    assert not re.findall(r"<script(?![^>]* src=)", page)
    assert not re.search(r" on\w+=", main)


# --- what a page costs ----------------------------------------------------------------------------------------------


def test_the_queries_of_a_page_do_not_grow_with_its_entries(auditor, article, django_assert_max_num_queries):
    def fill(count):
        for at in range(count):
            other = Article.objects.create(title=f"x{at}", author=Writer.objects.create(name=str(at)))
            write_set(change(other, title=str(at)), actor=f"auth.User {at}", actor_label=str(at))

    fill(2)
    with django_assert_max_num_queries(100) as few:
        entries(auditor)
    fill(12)
    with django_assert_max_num_queries(len(few)):
        entries(auditor)

    assert len(few) <= 12


def test_a_computed_column_is_no_trouble(auditor, allow):
    audit(Account)
    account = Account.objects.create(balance=1)
    change(account, balance=2)
    client = allow("app.view_account", "heliograph_audit.view_entry")

    assert "Balance before: 1 → after: 2" in articles_in(object_page(client, "app.Account", account.pk))[0]
