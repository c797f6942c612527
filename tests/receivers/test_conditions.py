"""Conditions on what Django's signals say: created, raw, changed, update_fields, action, and one database."""

import copy
import pickle
import re
from dataclasses import FrozenInstanceError
from itertools import pairwise
from textwrap import dedent

import django
import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import F
from django.dispatch import receiver as django_receiver
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject

from heliograph import Signal, action, changed, created, raw, receiver, update_fields
from heliograph.catalogue import title as title_of
from heliograph.checks import check_conditions
from heliograph.signals import (
    connection_created,
    m2m_changed,
    post_delete,
    post_init,
    post_save,
    pre_delete,
    pre_save,
    request_finished,
)
from tests.app.models import Article, Audiobook, Country, Genre, Named, Novel, Remark, Ticket, Writer
from tests.helpers.articles import titles
from tests.helpers.bare import run
from tests.helpers.loading import load
from tests.helpers.messages import exactly

database = pytest.mark.django_db
databases = pytest.mark.django_db(databases=["default", "other"])
committing = pytest.mark.django_db(transaction=True)
on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])

published = Signal(name="published")


@Signal.define
def shipped(sender, *, instance, carrier="DHL"):
    """An order left the warehouse."""


@Signal.define
def counted(sender, *, number):
    """A signal that is about no instance."""


def is_big(instance, **kwargs):
    return instance.words > 1000


def record(**kwargs):
    """A receiver."""


# --- created ----------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_created_holds_for_a_new_row_only(listen, signal):
    received = listen(signal, sender=Article, when=created)
    article = Article.objects.create()
    article.save()
    assert len(received) == 1


@database
@on_each_save
def test_not_created_holds_for_a_row_that_is_there(listen, signal):
    received = listen(signal, sender=Article, when=~created)
    article = Article.objects.create()
    assert received == []
    article.save()
    assert len(received) == 1


@database
@on_each_save
def test_created_holds_once_for_a_key_that_is_a_default(listen, signal):
    received = listen(signal, sender=Ticket, when=created)
    ticket = Ticket.objects.create()
    ticket.save()
    Ticket.objects.get().save()
    assert len(received) == 1


@database
def test_created_says_after_the_save_what_the_database_did(listen):
    Country.objects.create(code="de")
    received = listen(post_save, sender=Country, when=created)
    Country(code="de", name="Germany").save()
    assert received == []


@database
def test_created_says_before_the_save_what_django_takes_the_instance_for(listen):
    Country.objects.create(code="de")
    received = listen(pre_save, sender=Country, when=created)
    Country(code="de", name="Germany").save()
    assert len(received) == 1


def test_created_reads_what_a_custom_signal_sends_under_this_name(listen):
    received = listen(published, when=created)
    published.send(Article, instance=Article(), created=False)
    assert received == []
    published.send(Article, instance=Article(), created=True)
    assert len(received) == 1


def test_created_looks_at_the_instance_where_a_custom_signal_sends_no_such_name(listen):
    received = listen(published, when=created)
    published.send(Article, instance=Article())
    assert len(received) == 1


# --- raw --------------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_raw_holds_while_a_fixture_is_loaded(listen, tmp_path, signal):
    received = listen(signal, sender=Article, when=raw)
    Article.objects.create(title="saved")
    load(tmp_path, {"model": "app.article", "pk": 99, "fields": {"title": "loaded", "updated": "2020-01-01T00:00Z"}})
    assert titles(received) == ["loaded"]


@database
@on_each_save
def test_created_and_not_raw_leaves_fixtures_out(listen, tmp_path, signal):
    received = listen(signal, sender=Article, when=created & ~raw)
    load(tmp_path, {"model": "app.article", "pk": 99, "fields": {"title": "loaded", "updated": "2020-01-01T00:00Z"}})
    Article.objects.create(title="saved")
    assert titles(received) == ["saved"]


@database
@pytest.mark.skipif(django.VERSION < (6, 1), reason="m2m_changed has raw since Django 6.1")
def test_raw_holds_for_the_relations_that_a_fixture_has(listen, tmp_path):
    received = listen(m2m_changed, sender=Novel.genres.through, when=raw & action("post_add"))
    genre = Genre.objects.create()
    Novel.objects.create().genres.add(genre)
    load(tmp_path, {"model": "app.novel", "pk": 99, "fields": {"name": "loaded", "genres": [genre.pk]}})
    assert [payload["instance"].pk for _, payload in received] == [99]


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="m2m_changed has raw since Django 6.1")
def test_raw_is_refused_on_m2m_changed_where_that_does_not_tell():
    message = (
        "raw asks for 'raw', which m2m_changed does not send;"
        " it sends action, instance, model, pk_set, reverse, using. Take the condition away, or another signal."
    )
    with pytest.raises(TypeError, match=exactly(message)):
        m2m_changed.connect(record, when=raw)


@database
def test_one_receiver_of_saves_and_deletions_leaves_fixtures_out(receive, tmp_path):
    called = []

    @receive([post_save, post_delete], sender=Writer, when=(created | changed("name")) & ~raw)
    def record(signal, instance, **kwargs):
        called.append((signal, instance.name))

    load(tmp_path, {"model": "app.writer", "pk": 99, "fields": {"name": "loaded"}})
    Writer.objects.create(name="saved").delete()
    assert called == [(post_save, "saved"), (post_delete, "saved")]


@database
def test_raw_does_not_hold_for_a_custom_signal_that_does_not_say_so(listen):
    received = listen(published, when=~raw)
    published.send(Article, instance=Article())
    assert len(received) == 1


# --- changed ----------------------------------------------------------------------------------------------------


@pytest.fixture
def article():
    """An article that was loaded: connect the receiver first."""

    def load(**fields):
        return Article.objects.get(pk=Article.objects.create(**{"title": "Tides", **fields}).pk)

    return load


@database
@on_each_save
def test_changed_holds_where_the_field_has_another_value(listen, article, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    loaded = article()
    loaded.title = "Moons"
    loaded.save()
    assert titles(received) == ["Moons"]


@database
@on_each_save
def test_changed_does_not_hold_where_another_field_has_another_value(listen, article, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    loaded = article()
    loaded.words = 7
    loaded.save()
    assert received == []


@database
@on_each_save
def test_changed_does_not_hold_for_a_row_that_is_created(listen, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    Article.objects.create(title="Tides")
    assert received == []


@database
@on_each_save
def test_created_or_changed_holds_for_both(listen, signal):
    received = listen(signal, sender=Article, when=created | changed("title"))
    article = Article.objects.create(title="Tides")
    article.save()
    article.title = "Moons"
    article.save()
    assert len(received) == 2


@database
@on_each_save
def test_not_changed_holds_where_the_field_has_the_same_value(listen, article, signal):
    loaded = article()
    received = listen(signal, sender=Article, when=~changed("title") & ~created)
    Article.objects.get(pk=loaded.pk).save()
    assert titles(received) == ["Tides"]


@database
@on_each_save
@pytest.mark.parametrize("fields", [{"title": "Moons"}, {"words": 7}, {"title": "Moons", "words": 7}])
def test_changed_of_several_fields_holds_where_one_is_changed(listen, article, signal, fields):
    received = listen(signal, sender=Article, when=changed("title", "words"))
    loaded = article()
    vars(loaded).update(fields)
    loaded.save()
    assert len(received) == 1


@database
@on_each_save
def test_changed_of_no_field_holds_where_any_is_changed(listen, article, signal):
    received = listen(signal, sender=Article, when=changed())
    loaded = article()
    loaded.save()
    assert received == []
    loaded.labels = ["new"]
    loaded.save()
    assert len(received) == 1


@database
@on_each_save
def test_a_field_that_is_not_saved_is_not_changed(listen, article, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    loaded = article()
    loaded.title = "Moons"
    loaded.save(update_fields=["words"])
    assert received == []


@database
def test_changed_without_a_sender_holds_for_each_model(listen):
    received = listen(post_save, when=changed())
    for model in (Writer, Genre):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert [sender for sender, _ in received] == [Writer, Genre]


@database
@pytest.mark.parametrize("options", [{}, {"sender": Named, "subclasses": True}], ids=["anybody", "a base"])
@pytest.mark.parametrize("condition", [changed("writer"), changed("writer", was=None)], ids=repr)
def test_changed_holds_for_the_models_that_have_the_field(listen, options, condition):
    received = listen(post_save, when=condition, **options)
    writer, novel = Writer.objects.create(name="Ada"), Novel.objects.create()
    writer.name = "Grace"
    writer.save()
    novel.writer = writer
    novel.save()
    assert [sender for sender, _ in received] == [Novel]


@database
@pytest.mark.parametrize("signal", [pre_delete, post_delete], ids=["pre_delete", "post_delete"])
def test_a_deletion_changes_each_field_whatever_was_assigned(listen, article, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    loaded, other = article(), article()
    loaded.title = "Moons"
    loaded.delete()
    other.delete()
    assert titles(received) == ["Moons", other.title]


# --- changed, from one value to another ---------------------------------------------------------------------------


def moves(listen, article, field, *values, **given):
    """Return which of the steps from one value of a field to the next a condition holds for."""
    received = listen(post_save, sender=Article, when=changed(field, **given))
    loaded = article(**{field: values[0]})
    steps = []
    for before, after in pairwise(values):
        received.clear()
        setattr(loaded, field, after)
        loaded.save()
        steps += [(before, after)] * len(received)
    return steps


@database
def test_changed_to_holds_for_the_value_after(listen, article):
    assert moves(listen, article, "title", "a", "b", "c", "b", "a", to="b") == [("a", "b"), ("c", "b")]


@database
def test_changed_was_holds_for_the_value_before(listen, article):
    assert moves(listen, article, "title", "a", "b", "c", "b", "a", was="b") == [("b", "c"), ("b", "a")]


@database
def test_changed_was_and_to_holds_for_one_step(listen, article):
    assert moves(listen, article, "title", "a", "b", "c", "b", "a", was="b", to="a") == [("b", "a")]


@database
def test_changed_to_a_value_does_not_hold_where_it_stays(listen, article):
    assert moves(listen, article, "title", "b", "b", to="b") == []


@database
def test_changed_from_and_to_the_same_value_never_holds(listen, article):
    assert moves(listen, article, "title", "a", "a", "b", "a", was="a", to="a") == []


@database
def test_changed_to_compares_as_the_database_does(listen, article):
    assert moves(listen, article, "words", 1, "2", 3, to=2) == [(1, "2")]


@database
def test_changed_to_takes_a_value_in_another_form(listen, article):
    assert moves(listen, article, "words", 1, 2, 3, to="2") == [(1, 2)]


@database
def test_changed_to_true_is_not_changed_to_another_number(listen, article):
    assert moves(listen, article, "words", 0, 2, 1, to=1) == [(2, 1)]


@database
def test_changed_was_none_holds_where_there_was_no_value(listen, article):
    ada = Writer.objects.create()
    assert moves(listen, article, "author_id", None, ada.pk, None, was=None) == [(None, ada.pk)]


@database
def test_changed_to_none_holds_where_there_is_no_value(listen, article):
    ada = Writer.objects.create()
    assert moves(listen, article, "author", None, ada, None, to=None) == [(ada, None)]


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
@pytest.mark.parametrize(
    "value", [lambda ada: ada, lambda ada: ada.pk, lambda ada: str(ada.pk)], ids=["object", "key", "text"]
)
@pytest.mark.parametrize("assigned", ["author", "author_id"])
def test_changed_to_takes_an_object_or_its_key(listen, article, name, value, assigned):
    ada, grace = Writer.objects.create(), Writer.objects.create()
    received = listen(post_save, sender=Article, when=changed(name, to=value(ada)))
    loaded = article()
    for writer in (grace, ada):
        setattr(loaded, assigned, writer if assigned == "author" else writer.pk)
        loaded.save()
    assert [payload["instance"].author_id for _, payload in received] == [ada.pk]


@database
def test_changed_was_takes_an_object(listen, article):
    ada, grace = Writer.objects.create(), Writer.objects.create()
    assert moves(listen, article, "author", ada, grace, ada, was=grace) == [(grace, ada)]


@isolate_apps("tests.app")
def test_changed_to_takes_an_object_of_a_key_that_is_not_the_primary_one(listen):
    class Shelf(models.Model):
        label = models.CharField(max_length=5, unique=True)

        class Meta:
            app_label = "app"

    class Volume(models.Model):
        shelf = models.ForeignKey(Shelf, models.CASCADE, to_field="label")

        class Meta:
            app_label = "app"

    received = listen(published, sender=Volume, when=changed("shelf", to=Shelf(pk=7, label="B")))
    volume = Volume.from_db("default", ["id", "shelf_id"], [1, "A"])
    volume.shelf_id = "B"
    published.send(Volume, instance=volume)
    assert len(received) == 1


@database
def test_changed_to_an_object_that_is_not_saved_is_refused():
    text = (
        f"changed('author', to={Writer()!r}): {Writer()!r} is not a value of app.Article.author (ForeignKey)."
        " Give a value that the field can have."
    )
    refused(ValueError, text, post_save, Article, when=changed("author", to=Writer()))


@database
@pytest.mark.parametrize("value", ["a", "b"])
def test_changed_was_on_several_fields_holds_where_one_of_them_had_the_value(listen, article, value):
    received = listen(post_save, sender=Article, when=changed("title", "slug", was="a"))
    loaded = article(title="x", slug=value)
    loaded.slug = "c"
    loaded.save()
    assert len(received) == (value == "a")


@database
def test_changed_to_on_several_fields_does_not_hold_for_one_that_is_not_changed(listen, article):
    received = listen(post_save, sender=Article, when=changed("title", "slug", to="a"))
    loaded = article(title="a", slug="b")
    loaded.slug = "c"
    loaded.save()
    assert received == []


@database
def test_was_and_to_are_asked_of_the_same_field(listen, article):
    received = listen(post_save, sender=Article, when=changed("title", "slug", was="a", to="b"))
    loaded = article(title="a", slug="x")
    loaded.title, loaded.slug = "c", "b"
    loaded.save()
    assert received == []


@database
def test_an_old_value_that_is_not_known_is_a_change(listen):
    received = listen(post_save, sender=Article, when=changed("title"))
    Article.objects.create(title="Tides")
    deferred = Article.objects.defer("title").get()
    deferred.title = "Tides"
    deferred.save()
    assert len(received) == 1


@database
@pytest.mark.parametrize("value", ["Tides", "Moons", ""])
def test_an_old_value_that_is_not_known_was_nothing(listen, value):
    received = listen(post_save, sender=Article, when=changed("title", was=value))
    Article.objects.create(title="Tides")
    deferred = Article.objects.defer("title").get()
    deferred.title = "Moons"
    deferred.save()
    assert received == []


@database
def test_an_old_value_that_is_not_known_was_not_none_either(listen):
    received = listen(post_save, sender=Article, when=changed("author", was=None))
    Article.objects.create()
    deferred = Article.objects.defer("author").get()
    deferred.author = Writer.objects.create()
    deferred.save()
    assert received == []


@database
def test_an_old_value_that_is_not_known_does_not_matter_for_the_value_after(listen):
    received = listen(post_save, sender=Article, when=changed("title", to="Moons"))
    Article.objects.create(title="Tides")
    deferred = Article.objects.defer("title").get()
    deferred.title = "Moons"
    deferred.save()
    assert len(received) == 1


@database
def test_a_value_that_is_an_expression_is_not_the_value_after_before_it_is_saved(listen, article):
    received = listen(pre_save, sender=Article, when=changed("words", to=1))
    loaded = article()
    loaded.words = F("words") + 1
    loaded.save()
    assert received == []


# --- update_fields ------------------------------------------------------------------------------------------------


@database
@on_each_save
@pytest.mark.parametrize(
    ("told", "holds"),
    [(None, False), (["title"], True), (["words"], False), (["title", "words"], True)],
    ids=["no fields", "this field", "another field", "both"],
)
def test_update_fields_holds_where_the_field_is_named(listen, signal, told, holds):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields("title"))
    article.save(update_fields=told)
    assert len(received) == holds


@database
@on_each_save
def test_update_fields_of_several_holds_where_one_is_named(listen, signal):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields("title", "words"))
    article.save(update_fields=["words", "slug"])
    assert len(received) == 1


@database
@on_each_save
@pytest.mark.parametrize(("told", "holds"), [(None, False), (["slug"], True)])
def test_update_fields_without_a_name_holds_where_any_is_named(listen, signal, told, holds):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields())
    article.save(update_fields=told)
    assert len(received) == holds


@database
@on_each_save
@pytest.mark.parametrize("asked", ["author", "author_id"])
@pytest.mark.parametrize("told", ["author", "author_id"])
def test_update_fields_knows_a_foreign_key_by_both_its_names(listen, signal, asked, told):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields(asked))
    article.save(update_fields=[told])
    assert len(received) == 1


@database
def test_update_fields_without_a_sender_does_not_hold_for_a_model_that_has_no_such_field(listen):
    received = listen(post_save, when=update_fields("title"))
    writer = Writer.objects.create()
    writer.save(update_fields=["name"])
    assert received == []


# --- action -------------------------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize("asked", [["post_add"], ["pre_add", "post_clear"], ["pre_remove", "post_remove"]])
def test_action_holds_for_the_actions_that_it_names(listen, asked):
    received = listen(m2m_changed, sender=Novel.genres.through, when=action(*asked))
    novel, genre = Novel.objects.create(), Genre.objects.create()
    novel.genres.add(genre)
    novel.genres.remove(genre)
    novel.genres.clear()
    assert [payload["action"] for _, payload in received] == asked


@database
def test_not_action_holds_for_the_others(listen):
    received = listen(m2m_changed, sender=Novel.genres.through, when=~action("pre_add"))
    Novel.objects.create().genres.add(Genre.objects.create())
    assert [payload["action"] for _, payload in received] == ["post_add"]


def test_action_reads_what_a_custom_signal_sends_under_this_name(listen):
    received = listen(published, when=action("post_add"))
    published.send(None, action="pre_add")
    published.send(None, action="post_add")
    assert len(received) == 1


# --- using --------------------------------------------------------------------------------------------------------


@databases
@pytest.mark.parametrize("using", ["other", ["other"], ("default", "other")])
def test_using_names_the_databases_that_a_receiver_is_for(listen, using):
    received = listen(post_save, sender=Writer, using=using)
    for alias in ("default", "other"):
        Writer(name="Ada").save(using=alias)
    assert [payload["using"] for _, payload in received] == [alias for alias in ("default", "other") if alias in using]


@databases
def test_using_is_asked_together_with_a_condition(listen):
    received = listen(post_save, sender=Writer, using="other", when=created)
    for alias in ("default", "other"):
        writer = Writer(name="Ada")
        writer.save(using=alias)
        writer.save(using=alias)
    assert [(payload["using"], payload["created"]) for _, payload in received] == [("other", True)]


@databases
@pytest.mark.parametrize("signal", [pre_save, pre_delete, post_delete, m2m_changed])
def test_using_works_on_each_signal_that_tells_the_database(listen, signal):
    received = listen(signal, using="other")
    for alias in ("default", "other"):
        novel, genre = Novel.objects.using(alias).create(), Genre.objects.using(alias).create()
        novel.genres.add(genre)
        novel.delete()
    assert {payload["using"] for _, payload in received} == {"other"}


@databases
def test_using_works_on_a_custom_signal_that_tells_the_database(receive):
    received = []

    @receive(published, using="other")
    def receives(using, **kwargs):
        received.append(using)

    for alias in ("default", "other"):
        published.send(None, using=alias)
    assert received == ["other"]


# --- where conditions are written -----------------------------------------------------------------------------------


@database
@on_each_save
def test_a_function_can_stand_to_the_right_of_a_condition(listen, signal):
    received = listen(signal, sender=Article, when=created & is_big)
    for words in (10, 2000):
        Article.objects.create(words=words).save()
    assert len(received) == 1


@database
@on_each_save
def test_a_function_can_stand_to_the_left_of_a_condition(listen, signal):
    received = listen(signal, sender=Article, when=is_big & created)
    for words in (10, 2000):
        Article.objects.create(words=words).save()
    assert len(received) == 1


@database
@on_each_save
def test_a_function_can_be_an_alternative_to_a_condition(listen, signal):
    received = listen(signal, sender=Article, when=is_big | created)
    for words in (10, 2000):
        Article.objects.create(words=words).save()
    assert len(received) == 3


@database
def test_a_condition_works_in_djangos_decorator():
    received = []

    @django_receiver(post_save, sender=Article, when=changed("title"))
    def receives(instance, **kwargs):
        received.append(instance.title)

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert received == ["Moons"]


@database
def test_a_condition_works_in_the_decorator_on_several_signals_and_senders(receive):
    received = []

    @receive([pre_save, post_save], sender=[Writer, Genre], when=changed("name"))
    def receives(sender, **kwargs):
        received.append(sender)

    for model in (Writer, Genre, Novel):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert received == [Writer, Writer, Genre, Genre]


@database
def test_a_condition_works_with_a_sender_that_is_named(listen):
    received = listen(post_save, sender="app.Article", when=changed("title"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert titles(received) == ["Moons"]


@database
@on_each_save
def test_a_condition_works_with_an_async_receiver_of_save(receive, signal):
    received = []

    @receive(signal, sender=Article, when=changed("title", to="Moons"))
    async def receives(instance, **kwargs):
        received.append(instance.title)

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert received == ["Moons"]


@committing
@on_each_save
@pytest.mark.parametrize("is_async", [True, False], ids=["async receiver", "sync receiver"])
async def test_a_condition_works_with_asave(receive, async_database, signal, is_async):
    received = []

    def receives(instance, **kwargs):
        received.append(instance.title)

    async def receives_async(instance, **kwargs):
        received.append(instance.title)

    receive(signal, sender=Article, when=~created & changed("title"))(receives_async if is_async else receives)
    article = await Article.objects.acreate(title="Tides")
    await article.asave()
    article.title = "Moons"
    await article.asave()
    assert received == ["Moons"]


@database
@pytest.mark.parametrize("signal", [shipped, published], ids=["declared", "plain"])
def test_changed_works_on_a_custom_signal_that_sends_an_instance(listen, article, signal):
    received = listen(signal, sender=Article, when=changed("title"))
    loaded = article()
    signal.send(sender=Article, instance=loaded)
    assert received == []
    loaded.title = "Moons"
    signal.send(sender=Article, instance=loaded)
    assert titles(received) == ["Moons"]


@database
@pytest.mark.parametrize("sender", [None, "the warehouse", object], ids=["anybody", "a string", "a class"])
def test_changed_works_on_a_custom_signal_whose_sender_is_no_model(listen, article, sender):
    received = listen(shipped, sender=sender, when=changed("title"))
    loaded = article()
    loaded.title = "Moons"
    shipped.send(sender=sender, instance=loaded)
    assert titles(received) == ["Moons"]


@database
def test_changed_works_on_a_custom_signal_that_sends_an_instance_of_a_child(listen):
    received = listen(shipped, sender=Novel, when=changed("name"))
    audiobook = Audiobook.objects.create(name="Tides")
    audiobook.name = "Moons"

    shipped.send(sender=Novel, instance=audiobook)
    assert len(received) == 1


@database
def test_changed_works_on_a_custom_signal_that_sends_an_object_which_is_loaded_lazily(listen, article):
    received = listen(shipped, sender=Article, when=changed("title"))
    loaded = article()
    loaded.title = "Moons"

    shipped.send(sender=Article, instance=SimpleLazyObject(lambda: loaded))
    assert len(received) == 1


# --- values -------------------------------------------------------------------------------------------------------


CONDITIONS = [
    created,
    raw,
    changed(),
    changed("title"),
    changed("title", was="a", to=None),
    update_fields("title"),
    update_fields(),
    action("post_add", "post_remove"),
    created & ~raw | changed("title", to="b"),
    is_big & created,
]
each_condition = pytest.mark.parametrize("condition", CONDITIONS, ids=repr)


@pytest.mark.parametrize(
    "text",
    [
        "created",
        "raw",
        "changed()",
        "changed('status')",
        "changed('status', 'carrier')",
        "changed('status', was=None)",
        "changed('status', to='paid') & ~raw",
        "changed('status', was='new', to='paid')",
        "update_fields('title', 'slug')",
        "update_fields()",
        "action('post_add', 'post_remove')",
        "created & ~raw",
        "created | changed('email')",
        "~(created | changed('email')) & is_big",
        "is_big & created",
        "is_big | ~created",
    ],
)
def test_a_condition_is_printed_as_it_was_written(text):
    assert repr(eval(text)) == text


@pytest.mark.parametrize("using", ["other", ["default", "other"]])
def test_the_database_of_a_receiver_is_known_as_it_was_written(connect, using):
    connect(post_save, record, sender=Article, using=using, when=created)
    (connected,) = (one for one, _ in [post_save._live_receivers(Article)] for one in one if one.receiver is record)
    assert connected.options.written() == {"using": using, "when": created}


@each_condition
def test_a_condition_is_equal_to_its_copy(condition):
    assert copy.copy(condition) == copy.deepcopy(condition) == condition


@each_condition
def test_a_condition_is_equal_to_its_pickle(condition):
    assert pickle.loads(pickle.dumps(condition)) == condition


@each_condition
def test_a_condition_is_found_in_a_set_by_its_copy(condition):
    assert copy.deepcopy(condition) in {condition}


@each_condition
def test_a_condition_differs_from_all_others(condition):
    assert [one for one in CONDITIONS if one == condition] == [condition]


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (changed("title"), "fields"),
        (changed("title"), "was"),
        (update_fields(), "fields"),
        (action("pre_add"), "actions"),
    ],
)
def test_a_condition_cannot_be_altered(condition, name):
    with pytest.raises(FrozenInstanceError):
        setattr(condition, name, ())


@database
def test_a_condition_that_is_connected_is_what_it_was(listen):
    condition = changed("title")
    listen(post_save, sender=Article, when=condition)
    assert vars(condition) == vars(changed("title"))


@database
def test_a_condition_can_be_used_for_two_models(listen):
    condition = changed("name")
    received = [listen(post_save, sender=model, when=condition) for model in (Writer, Genre)]
    for model in (Writer, Genre):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert [len(calls) for calls in received] == [1, 1]


@database
def test_a_pickled_condition_works(listen, article):
    received = listen(post_save, sender=Article, when=pickle.loads(pickle.dumps(changed("title", to="Moons"))))
    loaded = article()
    for title in ("Moons", "Tides"):
        loaded.title = title
        loaded.save()
    assert len(received) == 1


# --- without adoption -----------------------------------------------------------------------------------------------

LEFT_ALONE = {
    "HELIOGRAPH": {"ADOPT_DJANGO_SIGNALS": False},
    "DATABASES": {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"} for alias in ("default", "other")
    },
}
ORDER = """
from django.db import connections, models
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext
from heliograph import changed, created, receiver

class Order(models.Model):
    status = models.CharField(max_length=10, default="new")
    slug = models.CharField(max_length=10, default="")

    class Meta:
        app_label = "shop"

for alias in connections:
    with connections[alias].schema_editor() as editor:
        editor.create_model(Order)
"""


def unadopted(script):
    return run(ORDER + dedent(script), **LEFT_ALONE)


def test_changed_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order, when=changed("status", to="paid"))
        def record(instance, **kwargs):
            tell(instance.status)
        order = Order.objects.create()
        for status in ("paid", "paid", "sent"):
            order.status = status
            order.save()
    """
    assert unadopted(script) == ["paid"]


def test_created_works_on_djangos_own_dispatcher():
    script = """
        @receiver([pre_save, post_save], sender=Order, when=created)
        def record(**kwargs):
            tell("created")
        Order.objects.create().save()
    """
    assert unadopted(script) == ["created", "created"]


def test_a_parameter_named_changes_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order)
        def record(changes, **kwargs):
            tell({name: tuple(change) for name, change in changes.items()})
        order = Order.objects.create()
        order.status = "paid"
        order.save()
    """
    assert unadopted(script) == [{}, {"status": ("new", "paid")}]


def test_writes_works_on_djangos_own_dispatcher():
    script = """
        @receiver(pre_save, sender=Order, writes=["slug"])
        def record(instance, **kwargs):
            instance.slug = instance.status
        order = Order.objects.create()
        order.status = "paid"
        order.save(update_fields=["status"])
        tell(Order.objects.get().slug)
    """
    assert unadopted(script) == ["paid"]


def test_using_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order, using="other")
        def record(using, **kwargs):
            tell(using)
        for alias in connections:
            Order().save(using=alias)
    """
    assert unadopted(script) == ["other"]


def test_fetch_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order, when=changed("status"), fetch=True)
        def record(changes, **kwargs):
            tell({name: tuple(change) for name, change in changes.items()})
        order = Order.objects.create()
        Order(pk=order.pk, status="paid").save()
    """
    assert unadopted(script) == [{"status": ("new", "paid")}]


def test_a_model_is_left_alone_again_when_its_receiver_leaves_djangos_own_dispatcher():
    script = """
        import gc
        @receiver(post_save, sender=Order, when=changed("status"))
        def record(**kwargs):
            pass
        tell("from_db" in vars(Order), post_save.disconnect(record, sender=Order))
        gc.collect()
        tell("from_db" in vars(Order))
    """
    assert unadopted(script) == [True, True, False]


def test_a_model_is_left_alone_again_when_its_receiver_is_collected_on_djangos_own_dispatcher():
    script = """
        import gc
        @receiver(post_save, sender=Order, when=changed("status"))
        def record(**kwargs):
            pass
        del record
        gc.collect()
        Order.objects.create()
        tell("from_db" in vars(Order))
    """
    assert unadopted(script) == [False]


# --- mistakes -----------------------------------------------------------------------------------------------------


def refused(error, message, signal, sender=None, **options):
    """Check that connecting is refused with exactly this message, and leaves nothing connected."""
    with pytest.raises(error, match=exactly(message)):
        signal.connect(record, sender=sender, **options)
    assert not signal.disconnect(record, sender=sender)


@on_each_save
@pytest.mark.parametrize("condition", [changed, update_fields])
def test_d5_a_field_that_there_is_not_is_refused_with_the_one_that_was_meant(signal, condition):
    text = f"{condition.__name__}('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    refused(FieldDoesNotExist, text, signal, Article, when=condition("titel"))


def test_a_field_that_resembles_no_other_is_refused_with_those_that_there_are():
    text = "changed('status'): app.Writer has no field 'status'. It has id, name."
    refused(FieldDoesNotExist, text, post_save, Writer, when=changed("status"))


def test_a_field_that_there_is_not_is_refused_inside_a_combination():
    text = "changed('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    refused(FieldDoesNotExist, text, post_save, Article, when=~(created | is_big & changed("titel")))


def test_a_field_that_there_is_not_is_refused_for_one_of_several_senders():
    text = "changed('name'): app.Article has no field 'name'. It has author, author_id, cover, id, labels, price,"
    with pytest.raises(FieldDoesNotExist, match=f"^{re.escape(text)}"):
        post_save.connect(record, sender=[Writer, Article], when=changed("name"))

    assert not post_save.disconnect(record, sender=Writer)


def test_a_field_that_there_is_not_is_refused_for_a_sender_that_is_named():
    text = "changed('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        receiver(post_save, sender="app.Article", when=changed("titel"))(record)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Novel, "genres"),
        (Novel, "readers"),
        (Novel, "review"),
        (Writer, "novels"),
        (Novel, "audiobook"),
    ],
    ids=["many to many", "many to many through a model", "foreign key", "related name", "child"],
)
@pytest.mark.parametrize("condition", [changed, update_fields])
def test_a_relation_that_has_no_column_is_refused(model, name, condition):
    text = (
        f"{condition.__name__}({name!r}): {model._meta.label}.{name} has no column."
        " Ask for fields with a column; m2m_changed is about many-to-many fields."
    )
    refused(FieldDoesNotExist, text, post_save, model, when=condition(name))


@pytest.mark.parametrize(
    ("condition", "signal", "asked", "sent"),
    [
        (changed("title"), request_finished, "'instance'", "nothing"),
        (changed("title"), connection_created, "'instance'", "connection"),
        (created, post_init, "'created' or 'update_fields'", "instance"),
        (created, counted, "'created' or 'update_fields'", "number"),
        (raw, post_init, "'raw'", "instance"),
        (update_fields("title"), post_delete, "'update_fields'", "instance, origin, using"),
        (action("post_add"), post_save, "'action'", "created, instance, raw, update_fields, using"),
        (changed("title"), counted, "'instance'", "number"),
    ],
    ids=lambda value: getattr(value, "name", str(value)).rpartition(".")[2],
)
def test_a_condition_on_what_the_signal_does_not_send_is_refused(condition, signal, asked, sent):
    text = (
        f"{condition!r} asks for {asked}, which {title_of(signal)} does not send; it sends {sent}."
        " Take the condition away, or another signal."
    )
    refused(TypeError, text, signal, when=condition)


def test_a_database_is_refused_on_a_signal_that_tells_none():
    text = (
        "using='other' asks for 'using', which request_finished does not send; it sends nothing."
        " Take the condition away, or another signal."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        receiver(request_finished, using="other")(record)


def test_changed_is_refused_on_m2m_changed_whose_instance_is_not_of_the_sender(connect):

    with pytest.raises(TypeError):
        connect(m2m_changed, record, sender=Novel.genres.through, when=changed("novel"))


@pytest.mark.parametrize("using", ["replica", ["default", "replica"]])
def test_a_database_that_there_is_not_is_refused(using):
    text = "using='replica': there is no such database. DATABASES has 'default', 'other'."
    refused(ValueError, text, post_save, Article, using=using)


def test_no_database_at_all_is_refused(connect):

    with pytest.raises(ValueError, match="using="):
        connect(post_save, record, sender=Article, using=[])


@pytest.mark.parametrize("actions", [["added"], ["post_add", "added"], []])
def test_an_action_that_there_is_not_is_refused(actions):
    text = (
        f"action({', '.join(map(repr, actions))}): m2m_changed has the actions"
        " pre_add, post_add, pre_remove, post_remove, pre_clear, post_clear."
    )
    with pytest.raises(ValueError, match=exactly(text)):
        action(*actions)


@pytest.mark.parametrize("condition", [changed, update_fields])
@pytest.mark.parametrize(
    "name", [7, None, ["title"], Article._meta.get_field("title")], ids=["7", "None", "list", "field"]
)
def test_a_field_is_given_by_its_name(condition, name):
    with pytest.raises(TypeError, match=exactly(f"A field is given by its name, not as {name!r}.")):
        condition("title", name)


@pytest.mark.parametrize("given", ["was", "to"])
@pytest.mark.parametrize(
    ("model", "field", "value", "kind"),
    [
        (Article, "words", "abc", "IntegerField"),
        (Article, "published", "yesterday", "DateTimeField"),
        (Article, "price", "much", "DecimalField"),
        (Article, "author", "Ada", "ForeignKey"),
        (Article, "author", Genre(pk=1), "ForeignKey"),
        (Article, "words", Writer(pk=1), "IntegerField"),
        (Ticket, "id", "abc", "UUIDField"),
        (get_user_model(), "is_active", "maybe", "BooleanField"),
    ],
    ids=["number", "time", "decimal", "key", "object of another model", "object", "uuid", "truth"],
)
def test_a_value_that_the_field_cannot_have_is_refused(given, model, field, value, kind):
    text = (
        f"changed({field!r}, {given}={value!r}): {value!r} is not a value of {model._meta.label}.{field} ({kind})."
        " Give a value that the field can have."
    )
    refused(ValueError, text, post_save, model, when=changed(field, **{given: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("words", "7"), ("words", True), ("published", "2020-01-01"), ("author", None), ("author", "7"), ("words", None)],
)
def test_a_value_that_the_field_can_have_is_taken(connect, field, value):
    connect(post_save, record, sender=Article, when=changed(field, to=value))


@pytest.mark.parametrize("given", ["was", "to"])
def test_a_value_without_a_field_is_refused(given):
    text = f"changed({given}='paid'): {given}='paid' is a value of no field. Name the field before it."
    refused(ValueError, text, post_save, Article, when=changed(**{given: "paid"}))


@pytest.mark.parametrize("instance", [None, "an article", Article], ids=["none", "a string", "a class"])
def test_a_plain_signal_that_sends_no_instance_of_a_model_says_so(listen, instance):
    listen(published, when=changed("title"))
    text = (
        f"changed('title') asks for 'instance', and published sent {instance!r}."
        " Send the instance of a model under this name, or take the condition away."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        published.send(None, instance=instance)


def test_a_plain_signal_that_does_not_send_the_name_says_so(listen):
    listen(published, when=changed("title"))
    text = (
        "changed('title') asks for 'instance', and published sent None."
        " Send the instance of a model under this name, or take the condition away."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        published.send(None)


def test_a_plain_signal_that_sends_neither_created_nor_an_instance_says_so(listen):
    listen(published, when=created)

    with pytest.raises(TypeError, match=r"^created asks for "):
        published.send(None)


# --- the system check -------------------------------------------------------------------------------------------------


def problems():
    return [(error.id, error.msg, error.hint) for error in check_conditions(None)]


def test_d5_a_field_that_no_model_has_is_an_error_of_the_system_check(connect):
    connect(post_save, record, when=changed("titel"))
    ((number, text, hint),) = problems()
    assert (number, hint) == ("heliograph.E002", "Did you mean 'title'?")
    assert re.fullmatch(r"changed\('titel'\): none of the \d+ models of this receiver has a field 'titel'\.", text)


def test_a_field_like_no_other_is_an_error_that_names_no_innocent_model(connect):
    connect(post_save, record, sender=Novel, subclasses=True, when=changed("xyzzy"))
    ((_, text, hint),) = problems()
    assert re.fullmatch(r"changed\('xyzzy'\): none of the \d models of this receiver has a field 'xyzzy'\.", text)
    assert hint == "Name a field of the models, or name one model as the sender."


@pytest.mark.parametrize("condition", [changed, update_fields])
def test_a_generic_foreign_key_is_refused_with_its_columns(condition):
    text = (
        f"{condition.__name__}('target'): app.Remark.target has no column."
        " Ask for its two columns: 'content_type', 'object_id'."
    )
    refused(FieldDoesNotExist, text, post_save, Remark, when=condition("target"))


def test_a_field_without_a_column_is_an_error_of_the_model_that_has_it(connect):
    connect(post_save, record, when=changed("genres"))
    ((_, text, hint),) = problems()
    assert text == "changed('genres'): app.Novel.genres has no column."
    assert hint.startswith("Ask for fields with a column")


def test_a_field_that_one_model_has_is_none(connect):
    connect(post_save, record, when=changed("words", "minutes") | update_fields("title"))
    assert problems() == []


def test_a_value_that_no_model_takes_is_an_error_of_the_system_check(connect):
    connect(post_save, record, when=changed("minutes", to="many"))
    text = "changed('minutes', to='many'): 'many' is not a value of app.Audiobook.minutes (IntegerField)."
    assert problems() == [("heliograph.E002", text, "Give a value that the field can have.")]


def test_a_receiver_of_subclasses_is_checked_with_those_that_there_are(connect):
    connect(post_save, record, sender=Novel, subclasses=True, when=changed("minutes"))
    assert problems() == []
