"""Reading the log where entries are pruned, values are masked since, keys have another type, and a name fails."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils.timezone import now

from heliograph.audit import RevertRefused, UnknownPastError, as_of, audit, history, revert, sealing
from heliograph.audit.models import ChangeSet, Entry
from tests.app.models import Article, Desk, Ticket, Writer
from tests.audit.logs import command
from tests.helpers.audit_pages import change, html
from tests.helpers.threads import LONG

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def article():
    """An article with the titles a, b and c since 90, 60 and 30 days."""
    audit(Article)
    article = Article.objects.create(title="a")
    change(article, title="b")
    change(article, title="c")
    for entry, days in zip(history(article).order_by("id"), (90, 60, 30), strict=True):
        shift(entry, days)
    return article


def shift(entry, days):
    """Let a change set have been written some days ago."""
    ChangeSet._base_manager.filter(pk=entry.change_set_id).update(at=now() - timedelta(days=days))


def ago(days):
    return now() - timedelta(days=days)


# --- entries that are not there any more --------------------------------------------------------------------------


def test_l9_a_time_before_the_entries_that_the_settings_keep_is_refused(article):
    with (
        override_settings(HELIOGRAPH={"AUDIT": {"KEEP": timedelta(days=45)}}),
        pytest.raises(UnknownPastError, match=r"Entries of app\.Article are kept for 45 days, .* and .* is longer ago"),
    ):
        as_of(article, ago(50))


def test_l9_a_time_before_entries_that_were_pruned_by_hand_is_refused_and_a_later_one_is_known(article):
    sealing.seal("default", wait=LONG)
    command("prune", "app.Article", "--older-than", "45d")

    with pytest.raises(UnknownPastError, match=r"Entries up to \d+ were pruned \(app\.Article is kept for 45 days"):
        as_of(article, ago(75))  # it was a; the oldest entry that is left would say b
    assert as_of(article, ago(29)).title == "c"


def test_l9_a_moment_after_which_nothing_was_pruned_is_known(article):
    other = Article.objects.create(title="other")
    shift(history(other).get(), 40)
    change(other, title="changed")
    sealing.seal("default", wait=LONG)
    command("prune", "app.Article", "--older-than", "35d")

    [entry] = history(other)
    assert as_of(other, entry, before=True).title == "other"
    with pytest.raises(UnknownPastError, match="were pruned"):
        as_of(other, ago(50))


def test_l9_entries_of_another_model_that_were_pruned_say_nothing(article):
    audit(Ticket)
    shift(history(Ticket.objects.create()).get(), 100)
    sealing.seal("default", wait=LONG)
    command("prune", "app.Ticket", "--older-than", "45d")

    assert as_of(article, ago(75)).title == "a"


def test_l9_where_all_entries_were_pruned_only_a_moment_since_then_is_known(article):
    sealing.seal("default", wait=LONG)
    command("prune", "app.Article", "--older-than", "1d")

    with pytest.raises(UnknownPastError, match="were pruned"):
        as_of(article, ago(2))
    assert as_of(article, now() + timedelta(days=1)).title == "c"


# --- values that are masked since ---------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["latest", "earliest"])
def test_l6_a_preview_does_not_show_a_field_that_is_masked_since_the_entry_was_written(of):
    handle = audit(Article)
    article = Article.objects.create(title="secret-a")
    change(article, title="secret-b", words=3)
    handle.disconnect()
    audit(Article, mask=["title"])

    text = str(revert(getattr(history(article), of)(), preview=True))

    assert "title: masked" in text
    assert "words: 3 -> " in text
    assert "secret" not in text


# --- keys that are none of the model's any more -------------------------------------------------------------------


def rename_key(entry, text):
    """Let the key of a row have had another type, as before a migration."""
    Entry._base_manager.filter(pk=entry.pk).update(object=text)


def test_l10_a_revert_is_refused_if_the_model_has_keys_of_another_type_now(article):
    for entry in history(article):
        rename_key(entry, "no number")
        with pytest.raises(RevertRefused, match="the model has keys of another type now"):
            revert(Entry.objects.get(pk=entry.pk))


def test_l9_a_deleted_row_whose_key_is_none_of_the_models_any_more_is_told():
    audit(Article)
    made = change(Article(title="a"), words=1)
    Article.objects.get().delete()
    rename_key(history(Article).latest(), "no number")

    with pytest.raises(UnknownPastError, match="had a row with the key 'no number', which is no key of the model"):
        [*as_of(Article, made)]


def test_l9_a_number_that_is_too_large_for_the_database_is_no_row():
    audit(Article)

    assert as_of((Article, 10**30), now()) is None
    assert not history((Article, 10**30)).exists()


# --- names that fail ----------------------------------------------------------------------------------------------


@pytest.mark.urls("tests.helpers.audit_pages")
@pytest.mark.parametrize(
    "page",
    [
        "heliograph_audit/entry/",
        "heliograph_audit/entry/{entry}/change/",
        "heliograph_audit/entry/{entry}/revert/",
        "heliograph_audit/entry/history/app.Article/{key}/",
        "app/article/{key}/history/",
    ],
)
def test_a_page_names_an_object_whose_name_fails_by_its_model_and_key(admin_client, monkeypatch, page):
    audit(Article)
    entry = change(Article(author=Writer.objects.create()), title="a")

    def fail(self):
        raise RuntimeError("no name")

    monkeypatch.setattr(Article, "__str__", fail)
    monkeypatch.setattr(Writer, "__str__", fail)
    shown = html(admin_client.get(f"/admin/{page.format(entry=entry.pk, key=entry.object)}"))

    assert f"Writer {Writer.objects.get().pk}" in shown


# --- what was right -----------------------------------------------------------------------------------------------


def test_l10_a_deletion_is_not_reverted_without_the_row_that_it_refers_to():
    audit(Desk)
    desk = Desk.objects.create(branch_id=_branch().pk)
    key, branch = desk.pk, desk.branch
    desk.delete()
    branch.delete()

    with pytest.raises(RevertRefused, match="branch"):
        revert(history((Desk, key)).latest())
    assert not Desk.objects.exists()


def _branch():
    return Desk._meta.get_field("branch").related_model.objects.create(code="x", city="y")


def test_l10_a_second_revert_of_an_update_does_nothing(article):
    entry = history(article).latest()
    revert(entry)
    count = Entry.objects.count()

    assert revert(entry).steps[0].changes == {}
    assert Entry.objects.count() == count
