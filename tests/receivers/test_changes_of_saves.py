"""Receivers of a save that ask for its changes, and changes_of()."""

import copy
import functools
import pickle

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db.models.signals import ModelSignal

from heliograph import UNKNOWN, Change, changed, changes_of, created
from heliograph.catalogue import title
from heliograph.signals import m2m_changed, post_init, post_save, pre_save
from tests.app.models import Article, Genre, Named, Novel, Writer
from tests.helpers.messages import exactly
from tests.helpers.receivers import takes_changes
from tests.helpers.statements import statements

database = pytest.mark.django_db

committing = pytest.mark.django_db(transaction=True)

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])

# --- changes ----------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_changes_has_the_old_and_the_new_value(changes_for, signal):
    got = changes_for(signal, sender=Article, when=changed("title"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert got == [{"title": Change(old="Tides", new="Moons")}]


@database
@on_each_save
def test_changes_is_empty_for_a_row_that_is_created(changes_for, signal):
    got = changes_for(signal, sender=Article)
    Article.objects.create(title="Tides")
    assert got == [{}]


@database
@on_each_save
def test_changes_is_empty_where_nothing_is_changed(changes_for, signal):
    Article.objects.create(title="Tides")
    got = changes_for(signal, sender=Article)
    Article.objects.get().save()
    assert got == [{}]


@database
@on_each_save
def test_changes_has_all_fields_where_none_is_named(changes_for, signal):
    got = changes_for(signal, sender=Article, when=~created)
    article = Article.objects.create()
    article.title, article.slug, article.words = "Tides", "tides", 7
    article.save()
    assert {name: change.new for name, change in got[0].items() if name != "updated"} == {
        "title": "Tides",
        "slug": "tides",
        "words": 7,
    }


@database
def test_changes_has_only_the_fields_that_the_condition_names(changes_for):
    got = changes_for(post_save, sender=Article, when=changed("title"))
    article = Article.objects.create()
    article.title, article.slug = "Tides", "tides"
    article.save()
    assert [[*changes] for changes in got] == [["title"]]


@database
@pytest.mark.parametrize("names", [("words", "title", "slug"), ("title", "slug", "words")])
def test_changes_has_the_fields_in_the_order_in_which_the_condition_names_them(changes_for, names):
    got = changes_for(post_save, sender=Article, when=changed(*names))
    article = Article.objects.create()
    article.title, article.slug, article.words = "Tides", "tides", 7
    article.save()
    assert [*got[0]] == [*names]


@database
def test_changes_has_the_fields_of_all_conditions_that_are_combined(changes_for):
    got = changes_for(post_save, sender=Article, when=changed("words") | ~created & ~changed("title"))
    article = Article.objects.create()
    article.title, article.words, article.slug = "Tides", 7, "tides"
    article.save()
    assert [*got[0]] == ["words", "title"]


@database
def test_changes_has_all_fields_where_one_of_the_conditions_names_none(changes_for):
    got = changes_for(post_save, sender=Article, when=changed("words") | changed())
    article = Article.objects.create()
    article.title = "Tides"
    article.save()
    assert "title" in got[0]


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_changes_has_a_foreign_key_under_the_name_of_its_field_and_finds_it_by_both(changes_for, name):
    got = changes_for(post_save, sender=Article, when=changed(name))
    article, ada = Article.objects.create(), Writer.objects.create()
    article.author = ada
    article.save()
    (changes,) = got
    assert changes == {"author": (None, ada.pk)}
    assert (changes["author_id"], changes.get("author_id")) == (changes["author"], changes["author"])
    assert ("author_id" in changes, "words" in changes, None in changes) == (True, False, False)
    assert (changes.get("words"), changes.get("words", 1)) == (None, 1)
    with pytest.raises(KeyError, match="words"):
        changes["words"]


@database
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=repr)
def test_a_copy_of_changes_finds_a_foreign_key_by_both_names_too(changes_for, copied):
    got = changes_for(post_save, sender=Article, when=changed("author"))
    article, ada = Article.objects.create(), Writer.objects.create()
    article.author = ada
    article.save()
    found = copied(got[0])
    assert (found, found["author_id"]) == ({"author": (None, ada.pk)}, (None, ada.pk))


@database
def test_changes_has_a_foreign_key_under_the_name_of_its_field_where_none_is_named(changes_for):
    got = changes_for(post_save, sender=Novel)
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    novel.save()
    assert got == [{}, {"writer": (None, ada.pk)}]


@database
def test_changes_has_a_foreign_key_once_where_both_of_its_names_are_named(changes_for):
    got = changes_for(post_save, sender=Novel, when=changed("writer", "writer_id"))
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    novel.save()
    assert got == [{"writer": (None, ada.pk)}]


@database
def test_changes_has_no_field_that_is_not_saved(changes_for):
    got = changes_for(post_save, sender=Article, when=changed("title", "words"))
    article = Article.objects.create(title="Tides")
    article.title, article.words = "Moons", 7
    article.save(update_fields=["words"])
    assert got == [{"words": (0, 7)}]


@database
def test_changes_says_where_an_old_value_is_not_known(changes_for):
    got = changes_for(post_save, sender=Writer, when=changed("name"))
    writer = Writer.objects.create(name="Ada")
    Writer(pk=writer.pk, name="Grace").save()
    assert got == [{"name": (UNKNOWN, "Grace")}]


@database
def test_changes_is_given_to_a_parameter_that_has_a_default(receive):
    got = []

    @receive(post_save, sender=Writer)
    def record(instance, changes=None, **kwargs):
        got.append(changes)

    Writer.objects.create()
    assert got == [{}]


@database
def test_changes_is_not_sent_to_a_receiver_that_does_not_name_it(receive):
    got = []

    @receive(post_save, sender=Writer, when=created | changed("name"))
    def record(**kwargs):
        got.append(sorted(kwargs))

    Writer.objects.create()
    assert got == [["created", "instance", "raw", "sender", "signal", "update_fields", "using"]]


@database
def test_each_receiver_has_changes_of_its_own(changes_for, receive):
    @receive(post_save, sender=Writer, order=-1)
    def forget(changes, **kwargs):
        changes.clear()

    got = changes_for(post_save, sender=Writer)
    writer = Writer.objects.create(name="Ada")
    writer.name = "Grace"
    writer.save()
    assert got == [{}, {"name": ("Ada", "Grace")}]


@database
def test_changes_is_given_through_a_decorator(receive):
    got = []

    def logged(function):
        @functools.wraps(function)
        def call(**kwargs):
            return function(**kwargs)

        return call

    @receive(post_save, sender=Writer)
    @logged
    def record(changes, **kwargs):
        got.append(changes)

    Writer.objects.create()
    assert got == [{}]


@database
def test_changes_is_given_to_a_method(receive):
    class Recorder:
        def __init__(self):
            self.lines = []

        def record(self, changes, **kwargs):
            self.lines.append(changes)

    recorder = Recorder()
    receive(post_save, sender=Writer)(recorder.record)
    Writer.objects.create()
    assert recorder.lines == [{}]


@database
def test_changes_is_given_to_a_receiver_that_is_connected_without_the_decorator(connect):
    got = []

    def record(changes, **kwargs):
        got.append(changes)

    connect(post_save, record, sender=Writer, when=created)
    Writer.objects.create()
    assert got == [{}]


@database
def test_changes_is_given_to_a_receiver_of_all_models(changes_for):
    got = changes_for(post_save, when=~created)
    for model in (Writer, Genre):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert got == [{"name": ("Ada", "Grace")}] * 2


@database
def test_changes_is_given_to_a_receiver_of_subclasses(changes_for):
    got = changes_for(post_save, sender=Named, subclasses=True, when=changed("name"))
    for model in (Writer, Genre):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert got == [{"name": ("Ada", "Grace")}] * 2


@database
@on_each_save
def test_changes_is_given_to_an_async_receiver(receive, signal):
    got = []

    @receive(signal, sender=Writer, when=changed("name"))
    async def record(changes, **kwargs):
        got.append(changes)

    writer = Writer.objects.create(name="Ada")
    writer.name = "Grace"
    writer.save()
    assert got == [{"name": ("Ada", "Grace")}]


@committing
@on_each_save
async def test_changes_is_given_to_receivers_of_asave(changes_for, receive, async_database, signal):
    got, got_async = changes_for(signal, sender=Writer, when=changed("name")), []

    @receive(signal, sender=Writer, when=changed("name"))
    async def record(changes, **kwargs):
        got_async.append(changes)

    writer = await Writer.objects.acreate(name="Ada")
    writer.name = "Grace"
    await writer.asave()
    assert got == got_async == [{"name": ("Ada", "Grace")}]


@database
def test_a_receiver_that_saves_its_instance_again_has_its_own_changes_afterwards(receive):
    got = []

    @receive(post_save, sender=Article, when=changed("title"))
    def record(instance, changes, **kwargs):
        instance.title = "again"
        instance.save()
        got.append({**changes, "now": instance.title})

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert got == [{"title": ("Tides", "Moons"), "now": "again"}]


@database
def test_other_receivers_have_the_changes_of_the_save_that_they_receive(receive, changes_for):
    @receive(post_save, sender=Writer, when=changed("name"))
    def save_again(instance, **kwargs):
        instance.name = "Hedy"
        instance.save()

    got = changes_for(post_save, sender=Writer, when=changed("name"))
    writer = Writer.objects.create(name="Ada")
    writer.name = "Grace"
    writer.save()
    assert got == [{"name": ("Grace", "Hedy")}, {"name": ("Ada", "Grace")}]


@database
@on_each_save
@pytest.mark.parametrize("field", ["title", "slug", "price"])
def test_a_receiver_that_is_connected_during_a_save_does_not_confuse_the_others(changes_for, receive, signal, field):
    Article.objects.create()

    @receive(pre_save, sender=Article, order=-1)
    def connect_another(**kwargs):
        changes_for(post_save, sender=Article, when=changed(field))

    got = changes_for(signal, sender=Article, when=changed("words"))
    article = Article.objects.get()
    article.words = 7
    article.save()

    assert got == [{"words": (0, 7)}]


@database
@on_each_save
def test_a_receiver_that_is_connected_while_a_row_is_created_makes_no_change_of_it(changes_for, receive, signal):
    @receive(pre_save, sender=Article, order=-1)
    def connect_another(**kwargs):
        changes_for(post_save, sender=Article, when=changed("title"))

    got = changes_for(signal, sender=Article, when=changed("title"))
    Article.objects.create(title="Tides")
    assert got == []


@database
def test_a_receiver_that_leaves_during_a_save_does_not_confuse_the_others(changes_for, receive):
    def fleeting(changes, **kwargs):
        """A receiver."""

    @receive(pre_save, sender=Article, order=-1)
    def disconnect_another(**kwargs):
        post_save.disconnect(fleeting, sender=Article)

    receive(post_save, sender=Article, when=changed("slug"))(fleeting)
    got = changes_for(pre_save, sender=Article, when=changed("words"))
    article = Article.objects.create()
    receive(post_save, sender=Article, when=changed("slug"))(fleeting)
    article.refresh_from_db()
    article.words = 7
    article.save()
    assert got == [{"words": (0, 7)}]


def needing(changes, **kwargs):
    """A receiver that cannot do without changes."""


NEEDING = f"{needing.__module__}.needing ({needing.__code__.co_filename}:{needing.__code__.co_firstlineno})"


@pytest.mark.parametrize("signal", [m2m_changed, post_init], ids=lambda signal: signal.name)
def test_changes_is_refused_on_a_signal_of_no_save_or_deletion(connect, signal):
    where = "pre_save, post_save, pre_delete and post_delete"
    text = f"{NEEDING} has a parameter named changes, which works on {where}, not on {title(signal)}."
    with pytest.raises(TypeError, match=exactly(text)):
        connect(signal, needing)


@database
def test_a_receiver_that_can_do_without_changes_receives_other_signals_as_in_django(receive):
    got = []

    @receive([post_save, m2m_changed])
    def receives(changes=None, **kwargs):
        got.append(changes)

    novel, genre = Novel(), Genre.objects.create()
    novel.save()
    novel.genres.add(genre)
    assert got == [{}, {}, None, None]


def test_a_model_signal_of_another_package_may_send_something_named_changes(connect):
    signal, got = ModelSignal(), []

    def receives(changes, **kwargs):
        got.append(changes)

    connect(signal, receives, sender=Writer)
    signal.send(sender=Writer, changes="its own")
    assert got == ["its own"]


# --- changes_of -------------------------------------------------------------------------------------------------


@database
def test_changes_of_returns_what_is_not_saved(changes_for):
    changes_for(post_save, sender=Writer)
    writer = Writer.objects.create(name="Ada")
    assert changes_of(writer) == {}
    writer.name = "Grace"
    assert changes_of(writer) == {"name": ("Ada", "Grace")}
    writer.save()
    assert changes_of(writer) == {}


@database
def test_changes_of_takes_no_query(changes_for):
    changes_for(post_save, sender=Article, fetch="always")
    Article.objects.create()
    deferred = Article.objects.only("id").get()
    deferred.title = "Tides"
    assert statements(lambda: changes_of(deferred)) == []


@database
def test_changes_of_says_where_an_old_value_is_not_known(changes_for):
    changes_for(post_save, sender=Article, when=changed("title"))
    Article.objects.create()
    deferred = Article.objects.only("id").get()
    deferred.title = "Tides"
    assert changes_of(deferred) == {"title": (UNKNOWN, "Tides")}


def test_changes_of_knows_nothing_of_an_instance_that_was_never_saved(connect, shop):
    connect(post_save, takes_changes, sender=shop)
    assert changes_of(shop(name="Tea")) == {}


@database
def test_changes_of_takes_the_names_of_fields(changes_for):
    changes_for(post_save, sender=Article)
    article = Article.objects.create()
    article.title, article.words, article.slug = "Tides", 7, "tides"
    assert changes_of(article, "words", "title") == {"words": (0, 7), "title": ("", "Tides")}


@database
@pytest.mark.parametrize("name", ["writer", "writer_id"])
def test_changes_of_takes_both_names_of_a_foreign_key(changes_for, name):
    changes_for(post_save, sender=Novel, when=changed("writer"))
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    assert changes_of(novel, name) == {"writer": (None, ada.pk)}
    assert changes_of(novel, name)["writer_id"] == (None, ada.pk)


@database
def test_changes_of_returns_during_a_save_what_that_changes(receive):
    got = []

    @receive([pre_save, post_save], sender=Writer, when=changed("name"))
    def record(instance, **kwargs):
        got.append(changes_of(instance))

    writer = Writer.objects.create(name="Ada")
    writer.name = "Grace"
    writer.save()
    assert got == [{"name": ("Ada", "Grace")}] * 2


def test_changes_of_a_model_that_nobody_watches_is_an_error(shop):
    text = (
        f"The changes of {shop.__module__}.{shop.__qualname__} are not known: no receiver watches it."
        " Connect one with when=changed(...), or with a parameter named changes."
    )
    with pytest.raises(LookupError, match=exactly(text)):
        changes_of(shop())


def test_changes_of_a_field_that_is_not_watched_is_an_error(connect, shop):
    connect(post_save, takes_changes, sender=shop, when=changed("name"))
    text = "'street' of app.Shop is not watched: id, name are."
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        changes_of(shop(), "street")


@database
def test_changes_of_an_instance_that_was_loaded_before_anybody_watched_is_not_known(changes_for):
    writer = Writer.objects.create(name="Ada")
    loaded = Writer.objects.get(pk=writer.pk)
    changes_for(post_save, sender=Writer)
    assert changes_of(loaded) == {"name": (UNKNOWN, "Ada")}
