"""The condition changed(): of any field, from one value to another."""

from itertools import pairwise

import pytest
from django.db import models
from django.db.models import F
from django.test.utils import isolate_apps

from heliograph import changed, created
from heliograph.signals import post_delete, post_save, pre_delete, pre_save
from tests.app.models import Article, Genre, Named, Novel, Writer
from tests.helpers.articles import titles
from tests.helpers.receivers import published, refused

database = pytest.mark.django_db

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])

# --- changed ----------------------------------------------------------------------------------------------------


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
