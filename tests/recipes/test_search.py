"""Search: words find the rows of a model by the full text search of their own database."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import Q

from heliograph import mute
from heliograph.databases import GENERAL, database_of
from heliograph.outbox import drain
from heliograph.outbox.models import Delivery
from heliograph.recipes import search_index
from heliograph.recipes.declarations import check_rows
from heliograph.recipes.search import DocumentIndex, search
from heliograph.recipes.search.models import SearchDocument
from tests.app.models import Account, Article, Audiobook, Branch, Novel, Reprint, Voucher, Writer
from tests.helpers.attempts import at_once as retry_at_once
from tests.helpers.attempts import wait_over
from tests.helpers.threads import at_once

# InnoDB finds words of transactions that were committed.
pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)


@pytest.fixture
def articles():
    return search_index(Article, ["title", "author.name"], when=Q(words__gt=0))


def article(title="a", **values):
    return Article.objects.create(**{"title": title, "words": 1, **values})


def found(words, rows=Article):
    return [one.title for one in search(rows, words)]


def test_r12_words_find_the_rows_that_have_all_of_them(articles):
    ada = Writer.objects.create(name="Ada Lovelace")
    article("Signals of Django", author=ada)
    article("Signals of ships")
    drain()
    assert {*found("signals")} == {"Signals of Django", "Signals of ships"}
    assert found("DJANGO signals") == ["Signals of Django"]
    assert found("lovelace django") == ["Signals of Django"]
    assert found("trains") == found("signals trains") == found("") == found(" ?! ") == []


def test_r12_rows_that_are_changed_and_deleted_are_found_by_what_they_are_now(articles):
    one, other = article("morning"), article("evening")
    drain()
    Article.objects.filter(pk=one.pk).update(title="midnight")
    other.delete()
    drain()
    assert found("morning") == found("evening") == []
    assert found("midnight") == ["midnight"]
    Article.objects.update(words=0)
    drain()
    assert found("midnight") == []
    assert not SearchDocument.objects.exists()


def test_r12_a_row_that_has_a_word_more_often_comes_first(articles):
    article("telegraph and a lot of other words that nobody asks for")
    article("telegraph telegraph telegraph")
    article("nothing of the kind")
    drain()
    assert found("telegraph")[0] == "telegraph telegraph telegraph"
    assert len(found("telegraph")) == 2


@pytest.mark.parametrize(
    "words", ["+-\"'*()", "signals AND", 'signals"', "NEAR(signals", "signals*", "(signals", "%s signals"]
)
def test_what_a_visitor_types_is_no_syntax(articles, words):
    article("signals s and near")
    drain()
    found(words)
    assert not re.search(r"signals", words) or found("signals") == ["signals s and near"]


def test_short_and_common_words_hide_no_row(articles):
    article("the signals of a ship")
    drain()
    assert found("the signals of a ship") == ["the signals of a ship"]


def test_a_query_is_searched_and_stays_a_query(articles):
    article("signals", slug="a")
    article("signals", slug="b")
    drain()
    rows = search(Article.objects.filter(slug="b"), "signals")
    assert [one.slug for one in rows] == ["b"]
    assert rows.count() == 1
    assert [one.slug for one in search(Article, "signals").exclude(slug="b")] == ["a"]


def test_a_search_is_one_query(articles, django_assert_num_queries):
    article("signals")
    drain()
    with django_assert_num_queries(1):
        assert found("signals") == ["signals"]


KEYS = {
    "uuid": (lambda: Voucher.objects.create(code="signals"), ["code"]),
    "text": (lambda: Branch.objects.create(code="Abc", city="signals"), ["city"]),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_rows_may_be_of_other_kinds(kind):
    make, fields = KEYS[kind]
    model = type(one := make())
    search_index(model, fields)
    one.save()
    drain()
    assert [*search(model, "signals")] == [one]
    model.objects.all().delete()
    drain()
    assert not SearchDocument.objects.exists()


def test_indexes_of_several_models_do_not_mix(articles):
    search_index(Voucher, ["code"])
    search_index(Novel, ["name"])
    article("signals")
    novel = Novel.objects.create(name="signals")
    Voucher.objects.create(code="signals")
    drain()
    assert found("signals") == ["signals"]
    assert [*search(Novel, "signals")] == [novel]
    assert [*search(Reprint, "signals")] == [Reprint.objects.get()]
    assert search(Voucher, "signals").count() == 1


def test_a_child_by_inheritance_has_an_index_of_its_own():
    search_index(Audiobook, ["name"])
    one = Audiobook.objects.create(name="signals")
    drain()
    assert [*search(Audiobook, "signals")] == [one]


def test_documents_are_in_the_database_of_their_rows(articles):
    Article.objects.using("other").create(title="signals", words=1)
    drain("other")
    assert found("signals") == []
    assert found("signals", Article.objects.using("other")) == ["signals"]


def test_documents_of_many_rows_are_written(articles):
    with transaction.atomic():
        Article.objects.bulk_create([Article(title=str(n), words=1) for n in range(20)])
    drain()
    assert SearchDocument.objects.count() == 20


def test_r12_workers_at_once_leave_what_the_rows_have():
    """A deadlock of two that insert documents is followed by another attempt."""
    search_index(Article, ["title"], retry=retry_at_once(attempts=50))
    keys = [article(str(n)).pk for n in range(6)]

    def write(word):
        for number in range(10):
            with transaction.atomic():
                Article.objects.filter(pk__in=keys[number % 6 :]).update(title=f"{word} {number}")

    at_once(lambda: write("tea"), lambda: write("rice"), *[drain] * 3)
    wait_over()
    drain()
    titles = {str(key): title for key, title in Article.objects.values_list("pk", "title")}
    assert dict(SearchDocument.objects.values_list("key", "text")) == titles
    assert not Delivery.objects.exclude(state="SUCCESSFUL").exists()


def test_r12_verify_says_which_documents_are_missing_outdated_or_left_over(articles, capsys):
    with mute(Article):
        missing, changed, gone = article("a"), article("b"), article("c")
    call_command("recipes", "backfill")
    with mute(Article):
        Article.objects.filter(pk=changed.pk).update(title="x")
        Article.objects.filter(pk=gone.pk).delete()
    SearchDocument.objects.filter(key=str(missing.pk)).delete()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        call_command("recipes", "verify")
    assert capsys.readouterr().out.splitlines() == [
        f"app.Article.search_index of {missing.pk} is missing, not the row",
        f"app.Article.search_index of {changed.pk} is outdated, not the row",
        f"app.Article.search_index of {gone.pk} is left over, not gone",
        "1 verified, 3 wrong",
    ]
    call_command("recipes", "verify", "--repair")
    assert {*found("x"), *found("a"), *found("c")} <= {"a", "x"}
    assert SearchDocument.objects.count() == 2


def test_an_index_that_was_never_filled_is_a_warning_of_the_checks():
    Article.objects.create(title="a")
    search_index(Article, ["title"])
    (warning,) = check_rows(None, ["default"])
    assert warning.msg.startswith("app.Article.search_index: 1 of 1 sampled rows are wrong, such as: ")


def test_without_the_app_a_declaration_says_what_to_do(settings):
    settings.INSTALLED_APPS = [one for one in settings.INSTALLED_APPS if one != "heliograph.recipes.search"]
    with pytest.raises(TypeError, match=re.escape("there is no table for documents. Add 'heliograph.recipes.search'")):
        search_index(Article, ["title"])
    with pytest.raises(ImproperlyConfigured, match=r"There is no table for the documents of app\.Article\."):
        DocumentIndex(Article)


def test_a_model_without_documents_says_what_to_do(articles):
    text = "No documents of app.Account are in the database. Declare them: search_index('app.Account', [...])."
    with pytest.raises(TypeError, match=re.escape(text)):
        search(Account, "words")
    articles.disconnect()
    with pytest.raises(TypeError, match=r"No documents of app\.Article"):
        search(Article, "words")


def test_a_database_without_full_text_says_so(articles, monkeypatch):
    assert database_of(connection).has_full_text
    monkeypatch.setattr("heliograph.recipes.search.document_index.database_of", lambda connection: GENERAL)
    with pytest.raises(ImproperlyConfigured, match="has no full text search"):
        search(Article, "words")
