"""What changed in an instance: the cases C1 to C19, each on a real database."""

import copy
import datetime
import pickle
import sys
from contextlib import contextmanager, suppress
from decimal import Decimal
from uuid import uuid4

import django
import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy, override

from heliograph import UNKNOWN, Change, changed, changes_of, created
from heliograph.changes.memory import remembered
from heliograph.changes.plans import plan_of
from heliograph.signals import post_save, pre_save
from tests.app import models as app
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Checked,
    Country,
    Eager,
    Novel,
    Own,
    Reprint,
    Seat,
    Ticket,
    Writer,
)

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


def listen_after(listen, model):
    """Connect a function of the instance to post_save, before the receivers that come later."""

    def connect(function):
        def holds(instance, **kwargs):
            function(instance)
            return False

        listen(post_save, sender=model, when=holds)

    return connect


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
async def test_asave_tells_changes_like_save(listen_to_changes, async_database):
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
def test_a_receiver_of_pre_save_that_saves_leaves_nothing_to_tell_after_the_outer_save(listen_to_changes, receive):
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


def returns_expressions():
    """Return whether save() learns what an expression came to: from Django 6.0 on, where UPDATE can return rows."""
    return django.VERSION >= (6, 0) and connection.features.can_return_rows_from_update


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


# --- C7 to C11: values ------------------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize("saved", [True, False], ids=["after a save", "after loading"])
def test_c7_json_mutated_in_place_is_a_change(listen_to_changes, saved):
    received = listen_to_changes(Article, "labels")
    article = Article.objects.create(labels=["a"])
    article = article if saved else Article.objects.get()
    article.labels.append("b")
    article.save()
    assert received == [{"labels": Change(["a"], ["a", "b"])}]


@database
def test_c7_json_mutated_twice_is_measured_from_the_first_save(listen_to_changes):
    received = listen_to_changes(Article, "labels")
    Article.objects.create(labels={"a": [1]})
    article = Article.objects.get()
    article.labels["a"].append(2)
    article.save()
    article.labels["a"].append(3)
    article.save()
    assert received == [
        {"labels": Change({"a": [1]}, {"a": [1, 2]})},
        {"labels": Change({"a": [1, 2]}, {"a": [1, 2, 3]})},
    ]


@database
@pytest.mark.parametrize(
    "load",
    [
        pytest.param(lambda: Article.objects.only("labels").get(), id="only"),
        pytest.param(lambda: Article.objects.defer("labels").get(), id="deferred"),
        pytest.param(lambda: refreshed(Article.objects.get()), id="refreshed"),
        pytest.param(lambda: copy.deepcopy(Article.objects.get()), id="deepcopy"),
        pytest.param(lambda: pickle.loads(pickle.dumps(Article.objects.get())), id="pickle"),
        pytest.param(lambda: copy.copy(Article.objects.get()), id="copy"),
    ],
)
def test_c7_json_mutated_in_place_is_a_change_however_it_was_loaded(listen_to_changes, load):
    received = listen_to_changes(Article, "labels")
    Article.objects.create(labels=["a"])
    article = load()
    article.labels.append("b")
    article.save()
    assert received == [{"labels": Change(["a"], ["a", "b"])}]


def refreshed(instance):
    instance.refresh_from_db()
    return instance


@database
def test_c7_json_that_is_read_and_left_alone_is_no_change(listen_to_changes):
    received = listen_to_changes(Article, "labels")
    Article.objects.create(labels=["a", {"b": None}])
    article = Article.objects.get()
    assert article.labels == ["a", {"b": None}]
    article.save()
    assert received == []


@database
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL has arrays")
def test_c7_an_array_mutated_in_place_is_a_change(listen_to_changes):
    received = listen_to_changes(app.Basket, "items")
    app.Basket.objects.create(items=["a"])
    basket = app.Basket.objects.get()
    basket.items.append("b")
    basket.save()
    assert received == [{"items": Change(["a"], ["a", "b"])}]


@database
def test_c7_a_deferred_field_that_is_assigned_can_be_read(listen_to_changes):
    received = listen_to_changes(Article, "labels")
    Article.objects.create(labels=["a"])
    article = Article.objects.only("pk").get()
    article.labels = ["b"]
    assert article.labels == ["b"]
    article.save()
    assert received == [{"labels": Change(UNKNOWN, ["b"])}]


@database
def test_c7_only_watched_mutable_fields_are_read_through_a_descriptor(listen_to_changes):
    received = listen_to_changes(Article, "title")
    assert "labels" not in changed_attributes(Article)
    more = listen_to_changes(Article, "labels")
    assert "labels" in changed_attributes(Article)
    assert received == more == []


def changed_attributes(model):
    """Return the attributes of a model that are not as Django made them."""
    return {name for name, value in vars(model).items() if type(value).__module__.startswith("heliograph.")}


@database
def test_c7_a_field_that_is_read_through_a_descriptor_can_be_deleted_like_others(listen_to_changes):
    listen_to_changes(Article, "labels")
    Article.objects.create(labels=["a"])
    article = Article.objects.get()
    del article.labels
    assert "labels" in article.get_deferred_fields()
    assert article.labels == ["a"]
    assert Article.labels.field.name == "labels"


AWARE = datetime.datetime(2026, 5, 4, 12, 30, tzinfo=datetime.UTC)


@database
@pytest.mark.parametrize(
    ("field", "saved", "assigned"),
    [
        ("price", Decimal("1.00"), Decimal("1.0")),
        ("price", Decimal("1.00"), "1.00"),
        ("price", Decimal("1.00"), 1),
        ("published", AWARE, AWARE.astimezone(datetime.timezone(datetime.timedelta(hours=2)))),
        ("published", AWARE, "2026-05-04T12:30:00Z"),
        ("title", "5", 5),
        ("words", 5, "5"),
        ("words", 1, True),
        ("labels", {"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ("labels", [1, 2], (1, 2)),
        ("labels", {"1": 2, "b": 3}, {1: 2, "b": 3}),
    ],
)
def test_c8_a_value_that_is_stored_alike_is_no_change(listen_to_changes, field, saved, assigned):
    received = listen_to_changes(Article, field)
    Article.objects.create(**{field: saved})
    article = Article.objects.get()
    setattr(article, field, assigned)
    article.save()
    assert received == []


@database
@pytest.mark.filterwarnings("ignore:DateTimeField")
def test_c8_a_datetime_without_its_zone_is_no_change(listen_to_changes, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    received = listen_to_changes(Article, "published")
    Article.objects.create(published=AWARE)
    article = Article.objects.get()
    article.published = timezone.make_naive(AWARE)
    article.save()
    assert received == []


@database
@pytest.mark.parametrize(
    ("saved", "assigned"), [([1], [True]), ({"a": 0}, {"a": False}), ([], {}), (None, []), ("1", 1)]
)
def test_c8_json_that_is_stored_differently_is_a_change(listen_to_changes, saved, assigned):
    received = listen_to_changes(Article, "labels")
    article = Article.objects.create(labels=saved or [])
    Article.objects.filter(pk=article.pk).update(labels=models.Value(saved, models.JSONField()))
    article = Article.objects.get()
    article.labels = assigned
    article.save()
    assert received == [{"labels": Change(saved, assigned)}]


@database
def test_c8_a_key_given_as_text_is_no_change(listen_to_changes):
    received = listen_to_changes(Article, "author")
    writer = Writer.objects.create(name="Ada")
    Article.objects.create(author=writer)
    article = Article.objects.get()
    article.author_id = str(writer.pk)
    article.save()
    assert received == []


@database
def test_c8_a_value_that_the_field_does_not_take_is_a_change_and_the_error_is_that_of_the_save(listen_to_changes):
    received = listen_to_changes(Article, "words", signal=pre_save)
    article = Article.objects.create(words=1)
    article.words = "many"
    with pytest.raises(ValueError, match="expected a number but got 'many'"):
        article.save()
    assert received == [{"words": Change(1, "many")}]


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_c9_a_foreign_key_is_compared_by_its_key_without_a_query(listen_to_changes, django_assert_num_queries, name):
    received = listen_to_changes(Article, name)
    ada, bob = Writer.objects.create(name="Ada"), Writer.objects.create(name="Bob")
    Article.objects.create(author=ada)
    article = Article.objects.get()
    setattr(article, name, bob if name == "author" else bob.pk)
    with django_assert_num_queries(1):
        article.save()
    assert received == [{name: Change(ada.pk, bob.pk)}]


@database
def test_c8_a_text_that_depends_on_the_language_is_what_it_was_when_it_was_saved(listen_to_changes):
    received = listen_to_changes(Article, "title")
    article = Article.objects.create(title=gettext_lazy("Yes"))
    with override("de"):
        article.title = "New"
        article.save()
    assert received == [{"title": Change("Yes", "New")}]


@database
def test_c9_an_unsaved_object_that_is_saved_later_is_one_change_with_both_keys(listen_to_changes):
    received = listen_to_changes(Article, "author")
    ada = Writer.objects.create(name="Ada")
    Article.objects.create(author=ada)
    article = Article.objects.get()
    article.author = bob = Writer(name="Bob")
    bob.save()
    article.save()
    assert received == [{"author": Change(ada.pk, bob.pk)}]


@database
def test_c10_a_file_is_compared_by_its_name_and_not_read(listen_to_changes, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    received = listen_to_changes(Article, "cover")
    Article.objects.create(cover="covers/a.png")
    article = Article.objects.get()
    assert str(article.cover) == "covers/a.png"
    article.save()
    assert received == []
    article.cover.save("b.png", ContentFile(b"b"))
    article.cover = "covers/c.png"
    article.save()
    assert received == [
        {"cover": Change("covers/a.png", "covers/b.png")},
        {"cover": Change("covers/b.png", "covers/c.png")},
    ]


@database
def test_c11_a_default_of_the_database_is_what_later_changes_are_measured_from(listen_to_changes):
    received = listen_to_changes(Account, "limit")
    account = Account.objects.create()
    account.refresh_from_db()
    account.limit = 50
    account.save()
    assert received == [{"limit": Change(100, 50)}]


@database
def test_c11_a_default_of_the_database_is_known_where_it_is_returned(listen_to_changes):
    received = listen_to_changes(Account, "limit")
    account = Account.objects.create()
    account.limit = 50
    account.save()
    known = connection.features.can_return_columns_from_insert
    assert received == [{"limit": Change(100 if known else UNKNOWN, 50)}]


@database
def test_c11_a_generated_field_is_what_the_database_returns(listen_to_changes):
    received = listen_to_changes(Account, "twice")
    account = Account.objects.create(balance=1)
    account.refresh_from_db()
    account.balance = 4
    account.save()
    account.refresh_from_db()
    assert account.twice == 8
    assert received == [{"twice": Change(2, 8 if returns_expressions() else UNKNOWN)}]
    del received[:]
    account.save()
    assert changes_of(account) == {}


@database
def test_c11_auto_now_alone_is_no_change_unless_it_is_asked_for(listen_to_changes, receive):
    any_change, asked, all_fields = listen_to_changes(Article), listen_to_changes(Article, "updated"), []

    @receive(post_save, sender=Article, when=~created)
    def record(changes, **kwargs):
        all_fields.append(changes)

    article = Article.objects.create(title="Old")
    before = article.updated
    article.save()
    assert any_change == []
    assert all_fields == [{}]
    assert asked == [{"updated": Change(before, article.updated)}]


@database
def test_c11_auto_now_is_told_with_another_change(listen_to_changes):
    received = listen_to_changes(Article)
    article = Article.objects.create(title="Old")
    article.title = "New"
    article.save()
    assert [*received[0]] == ["title", "updated"]


# --- C12 to C15: copies and keys --------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize(
    "copied",
    [
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda instance: pickle.loads(pickle.dumps(instance)), id="pickle"),
    ],
)
@pytest.mark.parametrize("saved", [True, False], ids=["saved", "loaded"])
def test_c12_a_copy_has_a_memory_of_its_own(listen_to_changes, copied, saved):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    article = article if saved else Article.objects.get()
    article.words = 2
    other = copied(article)
    article.save()
    other.words = 3
    other.save()
    assert received == [{"words": Change(1, 2)}, {"words": Change(1, 3)}]
    article.save()
    assert len(received) == 2


@database
def test_c12_a_copy_has_the_related_objects_of_its_source(listen_to_changes, django_assert_num_queries):
    listen_to_changes(Article, "words")
    article = Article.objects.create(author=Writer.objects.create(name="Ada"))
    other = copy.deepcopy(article)
    with django_assert_num_queries(0):
        assert other.author.name == "Ada"


@database
def test_c12_a_cached_instance_knows_its_changes(listen_to_changes, settings):
    from django.core.cache import cache

    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    received = listen_to_changes(Article, "words")
    cache.set("article", Article.objects.create(words=1))
    article = cache.get("article")
    article.words = 2
    article.save()
    assert received == [{"words": Change(1, 2)}]


@database
def test_c12_a_pickle_grows_by_no_more_than_the_row(listen_to_changes):
    Article.objects.create(title="A title", slug="a-slug", labels=["a", "b"], published=AWARE)
    plain = Article.objects.get()
    listen_to_changes(Article)
    watched = Article.objects.get()
    row = len(pickle.dumps(Article.objects.values().get()))
    assert len(pickle.dumps(watched)) - len(pickle.dumps(plain)) <= row


@database
def test_c12_a_pickle_names_nothing_of_heliograph(listen_to_changes):
    listen_to_changes(Article)
    Article.objects.create(title="A title")
    article = Article.objects.only("pk").get()
    assert article.title == "A title"
    assert b"heliograph." not in pickle.dumps(article) + pickle.dumps(Article.objects.get())


@database
def test_c12_a_pickle_is_read_by_the_names_of_its_fields(listen_to_changes):
    listen_to_changes(Article)
    Article.objects.create(title="A title")
    state = Article.objects.get().__getstate__()["_state"]
    assert getattr(state, plan_of(Article).memory)["title"] == "A title"


@database
@pytest.mark.parametrize("copied", [copy.copy, lambda instance: pickle.loads(pickle.dumps(instance))])
def test_c12_a_copy_that_a_receiver_makes_is_not_being_saved(listen, listen_to_changes, copied):
    kept = []
    listen_to_changes(Article, "words")
    listen_after(listen, Article)(lambda instance: kept.append(copied(instance)))
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()
    kept[-1].words = 3
    assert changes_of(kept[-1]) == {"words": Change(2, 3)}


@database
@pytest.mark.parametrize("says_so", [True, False], ids=["adding", "only without pk"])
def test_c13_a_copy_by_pk_none_is_created_and_changes_nothing(listen_to_changes, listen, says_so):
    received, added = listen_to_changes(Article, "title"), listen(post_save, sender=Article, when=created)
    before = listen_to_changes(Article, "title", signal=pre_save)
    source = Article.objects.create(title="Old")
    article = Article.objects.get()
    article.pk = None
    article._state.adding = says_so
    article.title = "Copy"
    article.save()
    assert [one.payload["instance"] for one in added] == [source, article]
    assert received == before == []
    assert changes_of(source) == {}
    article.title = "New"
    article.save()
    assert received == [{"title": Change("Copy", "New")}]


@database
@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda: Ticket().save(), id="default"),
        pytest.param(lambda: Ticket(pk=uuid4()).save(), id="default, given"),
        pytest.param(lambda: Country(code="at").save(), id="natural"),
        pytest.param(lambda: Country(code="at").save(force_insert=True), id="forced"),
        pytest.param(lambda: Seat(row=1, number=2).save(), id="composite"),
    ],
)
def test_c14_a_row_is_created_once_and_that_changes_nothing(listen, listen_to_changes, save):
    added = [listen(post_save, sender=model, when=created) for model in (Ticket, Country, Seat)]
    received = [
        listen_to_changes(Ticket, "state"),
        listen_to_changes(Country, "name"),
        listen_to_changes(Seat, "guest"),
    ]
    save()
    assert sum(map(len, added)) == 1
    assert received == [[], [], []]


@database
def test_c14_saving_under_the_key_of_a_row_updates_it(listen, listen_to_changes):
    received = listen_to_changes(Country, "name")
    Country.objects.create(code="at", name="Austria")
    Country(code="at", name="Österreich").save()
    assert received == [{"name": Change(UNKNOWN, "Österreich")}]


@database
def test_c14_a_composite_key_is_part_of_what_is_remembered(listen_to_changes):
    received = listen_to_changes(Seat, "guest")
    Seat.objects.create(row=1, number=2, guest="Ada")
    seat = Seat.objects.get()
    seat.guest = "Bob"
    seat.save()
    assert received == [{"guest": Change("Ada", "Bob")}]


@database
def test_c15_a_forced_update_of_a_missing_row_is_no_event(listen_to_changes):
    received = listen_to_changes(Country, "name")
    country = Country.objects.create(code="at", name="Austria")
    Country.objects.all().delete()
    country.name = "Österreich"
    with pytest.raises(django.db.DatabaseError), transaction.atomic():
        country.save(force_update=True)
    assert received == []
    assert changes_of(country) == {"name": Change("Austria", "Österreich")}


@database
def test_c15_a_row_that_is_looked_for_before_the_update_and_missing_is_created(listen, listen_to_changes):
    received, added = listen_to_changes(Checked, "name"), listen(post_save, sender=Checked, when=created)
    checked = Checked.objects.create(name="Ada")
    Checked.objects.all().delete()
    checked.name = "Bob"
    checked.save()
    assert received == []
    assert len(added) == 2


# --- C16 to C18: instances --------------------------------------------------------------------------------------------


@database
def test_c16_an_instance_that_was_never_saved_has_no_changes(listen_to_changes):
    received = listen_to_changes(Article, "title", signal=pre_save)
    article = Article(title="New")
    assert changes_of(article) == {}
    article.save()
    assert received == []


@database
@pytest.mark.parametrize(
    "load",
    [
        pytest.param(lambda: Article.objects.raw("SELECT * FROM app_article")[0], id="raw"),
        pytest.param(lambda: Article.objects.select_related("author").get(), id="select_related"),
        pytest.param(lambda: Article.objects.prefetch_related("author").get(), id="prefetch_related"),
        pytest.param(lambda: Article.objects.annotate(double=F("words") * 2).get(), id="annotate"),
        pytest.param(lambda: Article.objects.in_bulk()[Article.objects.get().pk], id="in_bulk"),
        pytest.param(lambda: next(Article.objects.iterator()), id="iterator"),
        pytest.param(lambda: Writer.objects.get().article_set.get(), id="related manager"),
        pytest.param(lambda: Article.objects.dates("updated", "day") and Article.objects.get(), id="after dates"),
        pytest.param(lambda: Article.objects.union(Article.objects.all()).get(), id="union"),
    ],
)
def test_c17_an_instance_knows_its_changes_however_it_was_loaded(listen_to_changes, load):
    received = listen_to_changes(Article, "words")
    Article.objects.create(words=1, author=Writer.objects.create(name="Ada"))
    article = load()
    article.words = 2
    article.save()
    assert received == [{"words": Change(1, 2)}]


@database
def test_c17_a_related_object_that_was_joined_knows_its_changes(listen_to_changes):
    received = listen_to_changes(Writer, "name")
    Article.objects.create(author=Writer.objects.create(name="Ada"))
    writer = Article.objects.select_related("author").get().author
    writer.name = "Bob"
    writer.save()
    assert received == [{"name": Change("Ada", "Bob")}]


@database
def test_c17_values_are_left_alone(listen_to_changes):
    listen_to_changes(Article, "words")
    Article.objects.create(words=1)
    assert [*Article.objects.values("words")] == [{"words": 1}]
    assert [*Article.objects.values_list("words", flat=True)] == [1]


@database
def test_c17_a_model_that_loads_refreshes_and_saves_in_its_own_way_goes_on_doing_so(listen_to_changes):
    received = listen_to_changes(Own, "name")
    Own(name="Ada").save()
    own = Own.objects.get()
    own.refresh_from_db()
    own.name = "Bob"
    own.save()
    assert own.was_loaded
    assert own.was_refreshed
    assert own.was_saved
    assert received == [{"name": Change("Ada", "Bob")}]


@database
def test_c17_a_parent_and_its_child_may_both_be_watched(listen_to_changes):
    parent, child = listen_to_changes(Novel, "name"), listen_to_changes(Audiobook, "name", "minutes")
    Audiobook.objects.create(name="Old", minutes=1)
    Novel.objects.create(name="Alone")
    audiobook = Audiobook.objects.get()
    audiobook.name, audiobook.minutes = "New", 2
    audiobook.save()
    assert parent == []
    assert child == [{"name": Change("Old", "New"), "minutes": Change(1, 2)}]


@database
def test_c17_a_child_and_a_proxy_of_a_watched_model_that_nobody_watches_are_left_alone(listen_to_changes):
    received = listen_to_changes(Novel, "name")
    Audiobook.objects.create(name="Old", minutes=1)
    audiobook, reprint = Audiobook.objects.get(), Reprint.objects.get()
    audiobook.refresh_from_db()
    audiobook.save()
    reprint.save()
    assert received == []
    with pytest.raises(LookupError, match=r"^The changes of tests\.app\.models\.Audiobook are not known"):
        changes_of(audiobook)


@database
def test_c18_each_of_two_copies_of_a_row_is_measured_from_what_it_loaded(listen_to_changes):
    received = listen_to_changes(Article, "words")
    Article.objects.create(words=1)
    first, second = Article.objects.get(), Article.objects.get()
    first.words = 2
    first.save()
    second.words = 3
    second.save()
    assert received == [{"words": Change(1, 2)}, {"words": Change(1, 3)}]


@database
def test_c18_on_request_the_old_value_is_what_the_database_holds(listen_to_changes):
    received = listen_to_changes(Article, "words", fetch="always")
    Article.objects.create(words=1)
    first, second = Article.objects.get(), Article.objects.get()
    first.words = 2
    first.save()
    second.words = 3
    second.save()
    assert received == [{"words": Change(1, 2)}, {"words": Change(2, 3)}]


# --- C19: rollbacks ---------------------------------------------------------------------------------------------------


class UndoError(Exception):
    """The reason for a rollback."""


@contextmanager
def rolled_back():
    """Be a block of a transaction that is rolled back."""
    with suppress(UndoError), transaction.atomic():
        yield
        raise UndoError


@committing
def test_c19_after_a_rollback_the_instance_is_changed_again(listen_to_changes):
    received = listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        assert changes_of(article) == {}
    assert changes_of(article) == {"words": Change(1, 2)}
    article.save()
    assert received == [{"words": Change(1, 2)}] * 2


@committing
def test_c19_a_savepoint_that_is_rolled_back_takes_its_changes_along(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        with rolled_back():
            article.words = 3
            article.save()
            with transaction.atomic():
                article.words = 4
                article.save()
        assert changes_of(article) == {"words": Change(2, 4)}
    assert changes_of(article) == {"words": Change(2, 4)}


@committing
def test_c19_what_is_done_after_a_rolled_back_savepoint_stays(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        with rolled_back():
            article.words = 2
            article.save()
        article.words = 3
        article.save()
    article.words = 4
    assert changes_of(article) == {"words": Change(3, 4)}


@committing
def test_c19_a_savepoint_by_hand_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        savepoint = connection.savepoint()
        article.words = 2
        article.save()
        connection.savepoint_rollback(savepoint)
        assert changes_of(article) == {"words": Change(1, 2)}
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_block_without_a_savepoint_is_rolled_back_with_its_outer_one(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back(), transaction.atomic(savepoint=False):
        article.words = 2
        article.save()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_set_rollback_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        transaction.set_rollback(True)
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_switching_autocommit_on_commits(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    transaction.set_autocommit(False)
    article.words = 2
    article.save()
    if connection.vendor == "postgresql":  # which refuses to switch within a transaction
        transaction.commit()
    transaction.set_autocommit(True)
    with rolled_back():
        Article.objects.create()
    assert changes_of(article) == {}


@committing
def test_c19_many_savepoints_by_hand_are_no_burden(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with frames_left(150), transaction.atomic():
        for words in range(1, 200):
            connection.savepoint()
            article.words = words
            article.save()
    assert changes_of(article) == {}


@contextmanager
def frames_left(count):
    """Let Python refuse to call functions any deeper than this, so that a recursion is seen soon."""
    limit, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame := frame.f_back:
        depth += 1
    sys.setrecursionlimit(depth + count)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@committing
def test_c19_a_transaction_by_hand_counts_too(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    transaction.set_autocommit(False)
    try:
        article.words = 2
        article.save()
        transaction.commit()
        article.words = 3
        article.save()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert changes_of(article) == {"words": Change(2, 3)}


@committing
@pytest.mark.skipif(connection.vendor == "sqlite", reason="a closed connection to SQLite keeps its transaction's lock")
def test_c19_a_connection_that_is_lost_rolls_back(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        connection.close()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_long_transaction_holds_no_more_of_an_instance_than_it_can_roll_back(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with transaction.atomic():
        for words in range(1, 20):
            with transaction.atomic():
                article.words = words
                article.save()
        memory, length = remembered(article, plan_of(Article)), 0
        while memory is not None:
            memory, length = memory.before, length + 1
        assert length <= 4


@committing
def test_c19_nested_blocks_roll_back_to_what_was_saved_before_each(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=0)
    with rolled_back():
        article.words = 1
        article.save()
        with rolled_back():
            article.words = 2
            article.save()
            with transaction.atomic():
                article.words = 3
                article.save()
            with rolled_back():
                article.words = 4
                article.save()
            assert changes_of(article) == {"words": Change(3, 4)}
        assert changes_of(article) == {"words": Change(1, 4)}
    assert changes_of(article) == {"words": Change(0, 4)}


@committing
def test_c19_a_loaded_instance_is_measured_from_what_it_loaded_after_a_rollback(listen_to_changes):
    listen_to_changes(Article, "words")
    Article.objects.create(words=0)
    article = Article.objects.get()
    with rolled_back():
        article.words = 1
        article.save()
        other = copy.copy(article)
        pickled = pickle.dumps(article)
    assert changes_of(article) == changes_of(other) == {"words": Change(0, 1)}
    assert pickle.loads(pickled).words == 1


@committing
def test_c19_a_pickle_after_a_rollback_is_measured_from_what_was_loaded(listen_to_changes):
    listen_to_changes(Article, "words")
    Article.objects.create(words=0)
    article = Article.objects.get()
    with rolled_back():
        article.words = 1
        article.save()
    assert changes_of(pickle.loads(pickle.dumps(article))) == {"words": Change(0, 1)}


@committing
def test_c19_what_is_committed_stays(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with transaction.atomic():
        article.words = 2
        article.save()
        with transaction.atomic():
            article.words = 3
            article.save()
    article.words = 4
    assert changes_of(article) == {"words": Change(3, 4)}


@committing
def test_c19_a_refresh_inside_what_is_rolled_back_is_forgotten_with_it(listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)
    with rolled_back():
        article.words = 2
        article.save()
        article.refresh_from_db()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_save_that_is_refused_leaves_the_instance_changed(listen_to_changes):
    received = listen_to_changes(Country, "code", "name")
    Country.objects.create(code="at", name="Austria")
    country = Country.objects.create(code="de", name="Germany")
    country.name = None
    with pytest.raises(IntegrityError):
        country.save()
    assert received == []
    assert changes_of(country) == {"name": Change("Germany", None)}


@committing
def test_c19_a_save_that_a_receiver_stops_leaves_the_instance_changed(listen, listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)

    def stop(**kwargs):
        raise UndoError

    listen(pre_save, sender=Article, when=stop)
    article.words = 2
    with pytest.raises(UndoError):
        article.save()
    assert changes_of(article) == {"words": Change(1, 2)}


@committing
def test_c19_a_receiver_that_fails_after_a_committed_save_leaves_it_saved(listen, listen_to_changes):
    listen_to_changes(Article, "words")
    article = Article.objects.create(words=1)

    def fail(**kwargs):
        raise UndoError

    listen(post_save, sender=Article, when=fail)
    article.words = 2
    with pytest.raises(UndoError):
        article.save()
    assert changes_of(article) == {}


@committing
def test_c19_a_created_row_that_is_rolled_back_is_created_again(listen, listen_to_changes):
    received, added = listen_to_changes(Article, "words"), listen(post_save, sender=Article, when=created)
    with rolled_back():
        article = Article.objects.create(words=1)
    article.save()
    assert received == []
    assert len(added) == 2


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_c19_two_databases_roll_back_each_for_itself(listen_to_changes):
    listen_to_changes(Article, "words")
    here, there = Article.objects.create(words=1), Article.objects.using("other").create(words=1)
    with transaction.atomic(using="other"), rolled_back():
        for article in (here, there):
            article.words = 2
            article.save()
    assert changes_of(here) == {"words": Change(1, 2)}
    assert changes_of(there) == {}


@pytest.mark.django_db(databases=["default", "other"])
def test_c19_a_row_of_another_database_is_another_row(listen_to_changes):
    received = listen_to_changes(Country, "name")
    country = Country.objects.create(code="at", name="Austria")
    Country.objects.using("other").create(code="at", name="Autriche")
    country.name = "Österreich"
    country.save(using="other")
    assert received == [{"name": Change(UNKNOWN, "Österreich")}]
