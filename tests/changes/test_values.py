"""What is a change of a value, of a copy and of an instance: cases C7 to C18."""

import copy
import datetime
import pickle
from decimal import Decimal
from uuid import uuid4

import django
import pytest
from django.core.files.base import ContentFile
from django.db import connection, models, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy, override

from heliograph import UNKNOWN, Change, changes_of, created
from heliograph.changes.plans import plan_of
from heliograph.signals import post_save, pre_save
from tests.app import models as app
from tests.app.models import Account, Article, Audiobook, Checked, Country, Novel, Own, Reprint, Seat, Ticket, Writer
from tests.helpers.saves import listen_after, returns_expressions

database = pytest.mark.django_db

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
    assert received == [{"author": Change(ada.pk, bob.pk)}]


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
def test_c11_auto_now_is_sent_with_another_change(listen_to_changes):
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
    with pytest.raises(LookupError, match=r"^The changes of tests\.app\.models_of_books\.Audiobook are not known"):
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
