"""What changed in an instance by a save: cases C1 to C6."""

import django
import pytest
from django.db import models
from django.db.models import F
from django.db.models.functions import Upper

from heliograph import UNKNOWN, Change, changed, changes_of
from heliograph.signals import post_save, pre_save
from tests.app.models import Article, Country, Eager, Pinned, Writer
from tests.helpers.saves import listen_after, returns_expressions

database = pytest.mark.django_db

committing = pytest.mark.django_db(transaction=True)

# --- what happens to a row ------------------------------------------------------------------------------------------


@database
def test_a_loaded_instance_knows_what_it_changes(listen_to_changes, django_assert_num_queries):
    received = listen_to_changes(Article, "title", "words")
    Article.objects.create(title="Old", words=1)
    article = Article.objects.get()
    article.title = "New"
    with django_assert_num_queries(1):
        article.save()
    assert received == [{"title": Change("Old", "New")}]


@database
def test_a_save_that_changes_nothing_is_not_received(listen_to_changes):
    received = listen_to_changes(Article, "title")
    Article.objects.create(title="Old")
    article = Article.objects.get()
    article.words = 3
    article.save()
    assert received == []


@database
def test_each_save_is_measured_from_the_one_before(listen_to_changes):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create()
    for words in (1, 2, 2, 3):
        article.words = words
        article.save()
    assert received == [{"words": Change(0, 1)}, {"words": Change(1, 2)}, {"words": Change(2, 3)}]


@database
def test_what_a_receiver_sets_after_the_save_is_not_saved(listen, listen_to_changes):
    @listen_after(listen, Article)
    def set_words(instance):
        instance.words = 9

    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    assert changes_of(article) == {"words": Change(1, 9)}
    article.save()
    assert received == [{"words": Change(1, 9)}]


@database
def test_a_save_inside_a_receiver_leaves_the_changes_of_the_outer_save_as_they_are(receive):
    received = []

    @receive(post_save, sender=Article, when=changed("title"), order=1)
    def save_again(instance, **kwargs):
        instance.words += 1
        instance.save()

    @receive(post_save, sender=Article, when=changed("title", "words"), order=2, reentrant="allow")
    def record(changes, **kwargs):
        received.append(changes)

    article = Article.objects.create(title="Old")
    article.title = "New"
    article.save()
    assert received == [{"words": Change(0, 1)}, {"title": Change("Old", "New")}]


@database
def test_before_the_save_the_changes_are_those_to_come(listen_to_changes):
    received = listen_to_changes(Article, "title", signal=pre_save)
    article = Article.objects.create(title="Old")
    article.title = "New"
    article.save()
    assert received == [{"title": Change("Old", "New")}]


@committing
async def test_asave_sends_changes_like_save(listen_to_changes, async_database):
    received = listen_to_changes(Article, "title")
    article = await Article.objects.acreate(title="Old")
    article.title = "New"
    await article.asave()
    assert received == [{"title": Change("Old", "New")}]


@database
def test_a_save_past_the_method_of_the_model_is_remembered(listen_to_changes):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    article.words = 2
    models.Model.save_base(article)
    assert changes_of(article) == {}
    article.words = 3
    article.save()
    assert received == [{"words": Change(2, 3)}]


@database
def test_a_query_for_old_values_that_fails_leaves_the_instance_as_it_was(listen_to_changes):
    listen_to_changes(Article, "words", fetch=True)
    article = Article(pk="x", words=2)
    with pytest.raises(ValueError, match="expected a number"):
        article.save()
    assert not hasattr(article._state, "_heliograph_saving")


@database
def test_a_row_that_was_saved_while_nobody_watched_is_not_known(listen_to_changes, connect):
    received = []

    def record(changes, **kwargs):
        received.append(changes)

    article = Article.objects.create(words=1)
    post_save.connect(record, sender=Article, when=changed("words"))
    article.save()
    post_save.disconnect(record, sender=Article)
    article.words = 2
    article.save()
    connect(post_save, record, sender=Article, when=changed("words"))
    article.save()
    assert received == [{"words": Change(UNKNOWN, 1)}, {"words": Change(UNKNOWN, 2)}]


@database
def test_a_receiver_of_pre_save_that_saves_leaves_no_change_after_the_outer_save(listen_to_changes, receive):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)

    @receive(pre_save, sender=Article)
    def save_first(instance, **kwargs):
        instance.save()

    article.words = 2
    article.save()
    assert received == [{"words": Change(1, 2)}]


@database
def test_a_mock_of_a_method_takes_the_place_of_the_method_for_watched_models_too(listen_to_changes, monkeypatch):
    listen_to_changes(Article, "words")
    article, calls = Article.objects.create(words=1), []
    monkeypatch.setattr(models.Model, "save_base", lambda self, **kwargs: calls.append(self))
    article.save()
    assert calls == [article]


@database
def test_what_replaced_a_method_after_us_stays_when_the_last_receiver_leaves(connect, monkeypatch):
    def record(**kwargs):
        """A receiver."""

    post_save.connect(record, sender=Article, when=changed("words"))
    watching, calls = Article.save_base, []

    def wrapper(self, *args, **kwargs):
        calls.append(self)
        return watching(self, *args, **kwargs)

    monkeypatch.setattr(Article, "save_base", wrapper)
    post_save.disconnect(record, sender=Article)
    article = Article.objects.create(words=1)
    assert calls == [article]


# --- C1 to C6: part of a row ------------------------------------------------------------------------------------------


@database
def test_c1_an_assigned_deferred_field_is_written_and_its_old_value_is_unknown(
    listen_to_changes, django_assert_num_queries
):
    received = listen_to_changes(Article, "title", "words")
    Article.objects.create(title="Old", words=1)
    article = Article.objects.only("id", "title").get()
    article.words = 5
    with django_assert_num_queries(1):
        article.save()
    assert received == [{"words": Change(UNKNOWN, 5)}]
    assert Article.objects.get().words == 5


@database
def test_c1_a_receiver_that_fetches_knows_the_old_value_of_a_deferred_field(
    listen_to_changes, django_assert_num_queries
):
    received = listen_to_changes(Article, "words", fetch=True)
    Article.objects.create(words=1)
    article = Article.objects.only("id", "title").get()
    article.words = 5
    with django_assert_num_queries(2):
        article.save()
    assert received == [{"words": Change(1, 5)}]


@database
def test_c2_reading_a_deferred_field_is_no_change(listen_to_changes):
    received = listen_to_changes(Article, "words")
    Article.objects.create(words=1)
    article = Article.objects.defer("words").get()
    assert article.words == 1
    article.save()
    article.words = 2
    article.save()
    assert received == [{"words": Change(1, 2)}]


@database
@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 has fetch modes")
def test_c2_fetching_a_deferred_field_for_all_peers_is_no_change(listen_to_changes):
    received = listen_to_changes(Article, "words")
    Article.objects.bulk_create([Article(words=1), Article(words=2)])
    first, second = Article.objects.fetch_mode(models.FETCH_PEERS).defer("words").order_by("pk")
    assert first.words == 1
    first.save()
    second.save()
    second.words = 3
    second.save()
    assert received == [{"words": Change(2, 3)}]


@database
@pytest.mark.parametrize(
    "refresh",
    [
        pytest.param(lambda article: article.refresh_from_db(fields=["words"]), id="by keyword"),
        pytest.param(lambda article: article.refresh_from_db(None, ["words"]), id="by position"),
        pytest.param(lambda article: article.refresh_from_db(fields=iter(["words"])), id="an iterator"),
        pytest.param(
            lambda article: article.refresh_from_db(from_queryset=Article.objects.only("words")), id="by queryset"
        ),
        pytest.param(
            lambda article: article.refresh_from_db(from_queryset=Article.objects.defer("title")), id="without a field"
        ),
    ],
)
def test_c3_only_the_refreshed_field_is_measured_anew(listen_to_changes, refresh):
    received = listen_to_changes(Article, "title", "words")
    article = Article.objects.create(title="Old", words=1)
    Article.objects.update(title="Elsewhere", words=7)
    article.title, article.words = "New", 2
    refresh(article)
    article.words = 8
    article.save()
    assert received == [{"title": Change("Old", "New"), "words": Change(7, 8)}]


@committing
async def test_c3_arefresh_from_db_measures_anew(listen_to_changes, async_database):
    received = listen_to_changes(Article, "words")
    article = await Article.objects.acreate(words=1)
    await Article.objects.aupdate(words=7)
    await article.arefresh_from_db()
    article.words = 8
    await article.asave()
    assert received == [{"words": Change(7, 8)}]


@database
def test_c3_a_full_refresh_measures_all_fields_that_are_loaded(listen_to_changes):
    received = listen_to_changes(Article, "title", "words")
    Article.objects.create(title="Old", words=1)
    article = Article.objects.defer("words").get()
    article.title = "New"
    article.refresh_from_db()
    article.title = "Newer"
    article.words = 2
    article.save()
    assert received == [{"title": Change("Old", "Newer"), "words": Change(UNKNOWN, 2)}]


@database
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_c4_save_with_update_fields_is_about_these(listen_to_changes, signal):
    received = listen_to_changes(Article, "title", "words", signal=signal)
    article = Article.objects.create(title="Old", words=1)
    article.title, article.words = "New", 2
    article.save(update_fields=["words"])
    assert received == [{"words": Change(1, 2)}]
    assert changes_of(article) == {"title": Change("Old", "New")}
    article.save()
    assert received[1:] == [{"title": Change("Old", "New")}]


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_c4_update_fields_may_name_a_relation_by_its_column(listen_to_changes, name):
    received = listen_to_changes(Article, "author")
    writer = Writer.objects.create(name="Ada")
    article = Article.objects.create()
    article.author = writer
    article.save(update_fields=[name])
    assert received == [{"author": Change(None, writer.pk)}]


@database
def test_c5_what_a_receiver_writes_before_the_save_is_stored_with_update_fields(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    def slugify(instance, **kwargs):
        instance.slug = instance.title.lower()

    article = Article.objects.create(title="Old")
    article.title = "New"
    article.save(update_fields=["title"])
    assert Article.objects.values_list("title", "slug").get() == ("New", "new")


@database
def test_c6_an_expression_is_the_number_that_the_database_returns_or_a_marker(listen_to_changes):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    article.words = F("words") + 1
    article.save()
    assert received == [{"words": Change(1, 2 if returns_expressions() else UNKNOWN)}]


@database
def test_c6_an_expression_for_the_table_of_a_parent_is_no_field_that_was_not_loaded(listen_to_changes):
    received = listen_to_changes(Pinned, "text")
    pinned = Pinned.objects.create(text="old")
    pinned.text = Upper("text")
    pinned.save()
    assert received == [{"text": Change("old", "OLD" if returns_expressions() else UNKNOWN)}]


@database
def test_c6_a_change_after_an_expression_is_measured_from_what_it_came_to(listen_to_changes):
    article = Article.objects.create(words=1)
    received = listen_to_changes(Article, "words")
    article.words = F("words") + 1
    article.save()
    article.refresh_from_db(fields=["words"])
    article.words = 5
    article.save()
    assert received[-1] == {"words": Change(2, 5)}
    assert len(received) == 2


@database
def test_c2_a_model_that_refreshes_more_than_it_is_asked_for_changes_nothing(listen_to_changes):
    received = listen_to_changes(Eager, "name", "extra")
    Eager.objects.create(name="Ada", extra="x")
    eager = Eager.objects.only("pk").get()
    assert eager.name == "Ada"
    assert eager.get_deferred_fields() == set()
    eager.save()
    assert received == []


@database
def test_c1_a_deferred_field_that_is_read_from_another_database_is_not_known_there(listen_to_changes):
    """Of two rows with one key, the other one is written."""
    received = listen_to_changes(Country, "name")
    Country.objects.create(code="at", name="Austria")
    country = Country.objects.only("code").get()
    assert country.name == "Austria"
    country.name = "Österreich"
    country.save()
    assert received == [{"name": Change("Austria", "Österreich")}]
