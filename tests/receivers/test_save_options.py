"""What receivers of a save may ask for: `changes`, `fetch`, `writes`; and what models pay for that."""

import functools
import json
import re
from textwrap import dedent

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.core.management import call_command
from django.db import models, transaction
from django.db.models.signals import ModelSignal
from django.test.utils import isolate_apps

from heliograph import UNKNOWN, Change, changed, changes_of, created
from heliograph.catalogue import title
from heliograph.signals import m2m_changed, post_delete, post_init, post_save, pre_delete, pre_save
from tests.app.models import Article, Audiobook, Country, Genre, Named, Novel, Seat, Ticket, Writer
from tests.helpers.bare import run
from tests.helpers.messages import exactly
from tests.helpers.statements import statements, verbs

database = pytest.mark.django_db
databases = pytest.mark.django_db(databases=["default", "other"])
committing = pytest.mark.django_db(transaction=True)
on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])


@pytest.fixture
def told(receive):
    """Connect a receiver that asks for changes: `got = told(post_save, sender=Article)` is the list of what it gets."""

    def connect(signal, **options):
        got = []

        @receive(signal, **options)
        def record(changes, **kwargs):
            got.append(changes)

        return got

    return connect


@pytest.fixture
def slugify(receive):
    """Connect a receiver of pre_save that makes the slug of the title, and says that it writes that."""

    def connect(**options):
        @receive(pre_save, **{"sender": Article, "writes": ["slug"], **options})
        def slugify(instance, **kwargs):
            instance.slug = instance.title.lower()

    return connect


def columns(sql):
    """Return the columns that a SELECT asks for."""
    return {*re.findall(r"\.[\"`](\w+)[\"`]", sql.partition(" FROM ")[0])}


def stored(article):
    return Article.objects.get(pk=article.pk)


# --- changes ----------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_changes_has_the_old_and_the_new_value(told, signal):
    got = told(signal, sender=Article, when=changed("title"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save()
    assert got == [{"title": Change(old="Tides", new="Moons")}]


@database
@on_each_save
def test_changes_is_empty_for_a_row_that_is_created(told, signal):
    got = told(signal, sender=Article)
    Article.objects.create(title="Tides")
    assert got == [{}]


@database
@on_each_save
def test_changes_is_empty_where_nothing_is_changed(told, signal):
    Article.objects.create(title="Tides")
    got = told(signal, sender=Article)
    Article.objects.get().save()
    assert got == [{}]


@database
@on_each_save
def test_changes_has_all_fields_where_none_is_named(told, signal):
    got = told(signal, sender=Article, when=~created)
    article = Article.objects.create()
    article.title, article.slug, article.words = "Tides", "tides", 7
    article.save()
    assert {name: change.new for name, change in got[0].items() if name != "updated"} == {
        "title": "Tides",
        "slug": "tides",
        "words": 7,
    }


@database
def test_changes_has_only_the_fields_that_the_condition_names(told):
    got = told(post_save, sender=Article, when=changed("title"))
    article = Article.objects.create()
    article.title, article.slug = "Tides", "tides"
    article.save()
    assert [[*changes] for changes in got] == [["title"]]


@database
@pytest.mark.parametrize("names", [("words", "title", "slug"), ("title", "slug", "words")])
def test_changes_has_the_fields_in_the_order_in_which_the_condition_names_them(told, names):
    got = told(post_save, sender=Article, when=changed(*names))
    article = Article.objects.create()
    article.title, article.slug, article.words = "Tides", "tides", 7
    article.save()
    assert [*got[0]] == [*names]


@database
def test_changes_has_the_fields_of_all_conditions_that_are_combined(told):
    got = told(post_save, sender=Article, when=changed("words") | ~created & ~changed("title"))
    article = Article.objects.create()
    article.title, article.words, article.slug = "Tides", 7, "tides"
    article.save()
    assert [*got[0]] == ["words", "title"]


@database
def test_changes_has_all_fields_where_one_of_the_conditions_names_none(told):
    got = told(post_save, sender=Article, when=changed("words") | changed())
    article = Article.objects.create()
    article.title = "Tides"
    article.save()
    assert "title" in got[0]


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_changes_has_a_foreign_key_under_the_name_that_the_condition_uses(told, name):
    got = told(post_save, sender=Article, when=changed(name))
    article, ada = Article.objects.create(), Writer.objects.create()
    article.author = ada
    article.save()
    assert got == [{name: (None, ada.pk)}]


@database
def test_changes_has_a_foreign_key_under_the_name_of_its_field_where_none_is_named(told):
    got = told(post_save, sender=Novel)
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    novel.save()
    assert got == [{}, {"writer": (None, ada.pk)}]


@database
def test_changes_has_both_names_of_a_foreign_key_where_both_are_named(told):
    got = told(post_save, sender=Novel, when=changed("writer", "writer_id"))
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    novel.save()
    assert got == [{"writer": (None, ada.pk), "writer_id": (None, ada.pk)}]


@database
def test_changes_has_no_field_that_is_not_saved(told):
    got = told(post_save, sender=Article, when=changed("title", "words"))
    article = Article.objects.create(title="Tides")
    article.title, article.words = "Moons", 7
    article.save(update_fields=["words"])
    assert got == [{"words": (0, 7)}]


@database
def test_changes_says_where_an_old_value_is_not_known(told):
    got = told(post_save, sender=Writer, when=changed("name"))
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
def test_each_receiver_has_changes_of_its_own(told, receive):
    @receive(post_save, sender=Writer, order=-1)
    def forget(changes, **kwargs):
        changes.clear()

    got = told(post_save, sender=Writer)
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
def test_changes_is_given_to_a_receiver_of_all_models(told):
    got = told(post_save, when=~created)
    for model in (Writer, Genre):
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
    assert got == [{"name": ("Ada", "Grace")}] * 2


@database
def test_changes_is_given_to_a_receiver_of_subclasses(told):
    got = told(post_save, sender=Named, subclasses=True, when=changed("name"))
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
async def test_changes_is_given_to_receivers_of_asave(told, receive, async_database, signal):
    got, got_async = told(signal, sender=Writer, when=changed("name")), []

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
def test_other_receivers_have_the_changes_of_the_save_that_they_receive(receive, told):
    @receive(post_save, sender=Writer, when=changed("name"))
    def save_again(instance, **kwargs):
        instance.name = "Hedy"
        instance.save()

    got = told(post_save, sender=Writer, when=changed("name"))
    writer = Writer.objects.create(name="Ada")
    writer.name = "Grace"
    writer.save()
    assert got == [{"name": ("Grace", "Hedy")}, {"name": ("Ada", "Grace")}]


@database
@on_each_save
@pytest.mark.parametrize("field", ["title", "slug", "price"])
def test_a_receiver_that_is_connected_during_a_save_does_not_confuse_the_others(told, receive, signal, field):
    Article.objects.create()

    @receive(pre_save, sender=Article, order=-1)
    def connect_another(**kwargs):
        told(post_save, sender=Article, when=changed(field))

    got = told(signal, sender=Article, when=changed("words"))
    article = Article.objects.get()
    article.words = 7
    article.save()

    assert got == [{"words": (0, 7)}]


@database
@on_each_save
def test_a_receiver_that_is_connected_while_a_row_is_created_makes_no_change_of_it(told, receive, signal):
    @receive(pre_save, sender=Article, order=-1)
    def connect_another(**kwargs):
        told(post_save, sender=Article, when=changed("title"))

    got = told(signal, sender=Article, when=changed("title"))
    Article.objects.create(title="Tides")
    assert got == []


@database
def test_a_receiver_that_leaves_during_a_save_does_not_confuse_the_others(told, receive):
    def fleeting(changes, **kwargs):
        """A receiver."""

    @receive(pre_save, sender=Article, order=-1)
    def disconnect_another(**kwargs):
        post_save.disconnect(fleeting, sender=Article)

    receive(post_save, sender=Article, when=changed("slug"))(fleeting)
    got = told(pre_save, sender=Article, when=changed("words"))
    article = Article.objects.create()
    receive(post_save, sender=Article, when=changed("slug"))(fleeting)
    article.refresh_from_db()
    article.words = 7
    article.save()
    assert got == [{"words": (0, 7)}]


def record(changes=None, **kwargs):
    """A receiver."""


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


# --- fetch ------------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_fetch_asks_for_an_old_value_that_was_deferred(told, signal):
    got = told(signal, sender=Article, when=changed("title"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.only("id", "words").get()
    article.title = "Moons"
    article.save()
    assert got == [{"title": ("Tides", "Moons")}]


@database
@on_each_save
def test_fetch_asks_for_the_old_values_of_an_instance_that_was_built_by_hand(told, signal):
    got = told(signal, sender=Article, when=changed("title", "words"), fetch=True)
    article = Article.objects.create(title="Tides", words=7)
    Article(pk=article.pk, title="Moons", words=7).save()
    assert got == [{"title": ("Tides", "Moons")}]


@database
def test_fetch_keeps_a_receiver_quiet_where_the_old_value_is_the_same(listen):
    received = listen(post_save, sender=Article, when=changed("title"), fetch=True)
    article = Article.objects.create(title="Tides")
    Article(pk=article.pk, title="Tides", words=7).save()
    assert received == []


@database
def test_fetch_takes_one_query_of_the_watched_columns_for_a_deferred_field(told):
    told(post_save, sender=Article, when=changed("title", "words"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.only("id", "slug").get()
    article.title = "Moons"
    select, update = statements(article.save)
    assert (columns(select), update.partition(" ")[0]) == ({"title", "words"}, "UPDATE")


@database
def test_fetch_asks_only_for_the_values_that_are_not_known(told):
    told(post_save, sender=Article, when=changed("title", "words"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.defer("title").get()
    article.title = "Moons"
    assert columns(statements(article.save)[0]) == {"title"}


@database
def test_fetch_takes_one_query_for_an_instance_that_was_built_by_hand(told):
    told(post_save, sender=Article, when=changed("title", "author"), fetch=True)
    article = Article.objects.create(title="Tides")
    select, *rest = statements(Article(pk=article.pk, title="Moons").save)
    assert (columns(select), [sql.partition(" ")[0] for sql in rest]) == ({"title", "author_id"}, ["UPDATE"])


@database
def test_fetch_takes_one_query_for_several_receivers(told):
    told(pre_save, sender=Article, when=changed("title"), fetch=True)
    told(post_save, sender=Article, when=changed("words"), fetch=True)
    article = Article.objects.create(title="Tides")
    select, *rest = statements(Article(pk=article.pk, title="Moons").save)
    assert (columns(select), [sql.partition(" ")[0] for sql in rest]) == ({"title", "words"}, ["UPDATE"])


@database
def test_fetch_asks_for_nothing_that_another_receiver_does_not_want_fetched(told):
    told(post_save, sender=Article, when=changed("title"), fetch=True)
    got = told(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create()
    assert columns(statements(Article(pk=article.pk, title="Moons").save)[0]) == {"title"}
    assert got == [{"words": (UNKNOWN, 0)}]


@database
def test_fetch_takes_no_query_where_all_is_known(told):
    told(post_save, sender=Article, when=changed("title"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.get()
    article.title = "Moons"
    assert verbs(article.save) == ["UPDATE"]


@database
def test_fetch_takes_no_query_after_the_first_save(told):
    told(post_save, sender=Article, when=changed("title"), fetch=True)
    article = Article.objects.create(title="Tides")
    built = Article(pk=article.pk, title="Moons")
    built.save()
    built.title = "Suns"
    assert verbs(built.save) == ["UPDATE"]


@database
@pytest.mark.parametrize(
    "build", [Article, Ticket, lambda: Country(code="de")], ids=["no key", "a key by default", "a natural key"]
)
@pytest.mark.parametrize("fetch", [True, "always"])
def test_fetch_takes_no_query_for_a_row_that_is_inserted(told, build, fetch):
    told(post_save, sender=[Article, Ticket, Country], fetch=fetch)
    instance = build()
    assert verbs(lambda: instance.save(force_insert=True)) == ["INSERT"]


@database
@pytest.mark.parametrize("model", [Article, Ticket])
@pytest.mark.parametrize("fetch", [True, "always"])
def test_fetch_takes_no_query_for_a_row_whose_key_is_new(told, model, fetch):
    told(post_save, sender=model, fetch=fetch)
    assert verbs(model().save) == ["INSERT"]


@database
def test_fetch_finds_that_a_natural_key_is_new(told):
    got = told(post_save, sender=Country, fetch=True)
    assert verbs(Country(code="de").save) == ["SELECT", "UPDATE", "INSERT"]
    assert got == [{}]


@database
def test_fetch_finds_the_row_of_a_natural_key(told):
    got = told(post_save, sender=Country, when=changed("name"), fetch=True)
    Country.objects.create(code="de", name="Germania")
    Country(code="de", name="Germany").save()
    assert got == [{"name": ("Germania", "Germany")}]


@database
def test_fetch_finds_the_row_of_a_key_of_two_columns(told):
    got = told(post_save, sender=Seat, when=changed("guest"), fetch=True)
    Seat.objects.create(row=1, number=2, guest="Ada")
    Seat(row=1, number=2, guest="Grace").save()
    assert got == [{"guest": ("Ada", "Grace")}]


@database
def test_fetch_finds_the_fields_of_a_parent(told):
    got = told(post_save, sender=Audiobook, when=changed("name", "minutes"), fetch=True)
    audiobook = Audiobook.objects.create(name="Tides", minutes=60)
    Audiobook(pk=audiobook.pk, id=audiobook.pk, name="Moons", minutes=90).save()
    assert got == [{"name": ("Tides", "Moons"), "minutes": (60, 90)}]


@database
def test_fetch_finds_the_row_that_a_fixture_replaces(told, tmp_path):
    ticket = Ticket.objects.create(state="new")
    got = told(post_save, sender=Ticket, when=changed("state"), fetch=True)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"model": "app.ticket", "pk": str(ticket.pk), "fields": {"state": "old"}}]))
    call_command("loaddata", str(path), verbosity=0)
    assert got == [{"state": ("new", "old")}]


@database
def test_fetch_says_that_a_value_is_not_known_where_there_is_no_row(told):
    got = told(pre_save, sender=Writer, when=changed("name"), fetch=True)
    writer = Writer.objects.create(name="Ada")
    Writer.objects.filter(pk=writer.pk).delete()
    deferred = Writer(pk=writer.pk, name="Grace")
    deferred._state.adding = False
    deferred.save()
    assert got == [{"name": (UNKNOWN, "Grace")}]


@databases
@pytest.mark.parametrize("fetch", [True, "always"])
def test_fetch_asks_the_database_that_the_row_is_written_to(told, fetch):
    got = told(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    writer = Writer.objects.create(name="here")
    Writer(pk=writer.pk, name="there").save(using="other", force_insert=True)
    writer.name = "new"
    assert verbs(lambda: writer.save(using="other"), "other") == ["SELECT", "UPDATE"]
    assert got == [{"name": ("there", "new")}]


@databases
def test_fetch_asks_no_other_database(told):
    told(post_save, sender=Writer, when=changed("name"), fetch=True)
    writer = Writer.objects.create(name="here")
    Writer(pk=writer.pk, name="there").save(using="other", force_insert=True)
    assert verbs(lambda: writer.save(using="other")) == []


@database
def test_fetch_works_for_all_fields(told):
    got = told(post_save, sender=Writer, fetch=True)
    writer = Writer.objects.create(name="Ada")
    Writer(pk=writer.pk, name="Grace").save()
    assert got == [{}, {"name": ("Ada", "Grace")}]


@database
def test_fetch_keeps_a_receiver_of_all_fields_quiet_where_the_old_values_are_the_same(listen):
    received = listen(post_save, sender=Writer, when=changed(), fetch=True)
    writer = Writer.objects.create(name="Ada")
    Writer(pk=writer.pk, name="Ada").save()
    assert received == []


@database
def test_fetch_works_for_an_async_receiver(receive):
    got = []

    @receive(post_save, sender=Writer, when=changed("name"), fetch=True)
    async def receives(changes, **kwargs):
        got.append(changes)

    writer = Writer.objects.create(name="Ada")
    Writer(pk=writer.pk, name="Grace").save()
    assert got == [{"name": ("Ada", "Grace")}]


def two_copies(name):
    """Return two copies in memory of one row."""
    key = Writer.objects.create(name=name).pk
    return Writer.objects.get(pk=key), Writer.objects.get(pk=key)


@database
@pytest.mark.parametrize("fetch", [False, True])
def test_the_old_value_is_what_the_copy_in_memory_has_loaded(told, fetch):
    got = told(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    one, two = two_copies("Ada")
    for copy, name in ((one, "Grace"), (two, "Hedy")):
        copy.name = name
        copy.save()
    assert got == [{"name": ("Ada", "Grace")}, {"name": ("Ada", "Hedy")}]


@database
def test_the_old_value_is_what_the_database_holds_where_that_is_always_asked(told):
    got = told(post_save, sender=Writer, when=changed("name"), fetch="always")
    one, two = two_copies("Ada")
    for copy, name in ((one, "Grace"), (two, "Hedy")):
        copy.name = name
        copy.save()
    assert got == [{"name": ("Ada", "Grace")}, {"name": ("Grace", "Hedy")}]


@database
def test_a_stale_copy_that_puts_its_value_back_is_a_change_where_the_database_is_always_asked(told):
    got = told(post_save, sender=Writer, when=changed("name"), fetch="always")
    one, two = two_copies("Ada")
    one.name = "Grace"
    one.save()
    two.save()
    assert got[1:] == [{"name": ("Grace", "Ada")}]


@database
def test_the_database_is_asked_once_a_save_where_that_is_always_done(told):
    told(pre_save, sender=Writer, when=changed("name"), fetch="always")
    told(post_save, sender=Writer, when=changed("name"), fetch="always")
    one, _ = two_copies("Ada")
    assert verbs(one.save) == ["SELECT", "UPDATE"]


@database
def test_a_receiver_that_leaves_takes_its_queries_along(receive):
    def receives(changes, **kwargs):
        """A receiver."""

    receive(post_save, sender=Writer, fetch="always")(receives)
    one, _ = two_copies("Ada")
    post_save.disconnect(receives, sender=Writer)
    assert verbs(one.save) == ["UPDATE"]


@pytest.mark.parametrize("when", [None, created], ids=["no condition", "a condition on no field"])
def test_fetch_without_fields_is_refused(connect, when):
    def receives(**kwargs):
        """A receiver."""

    text = "fetch= asks for old values of no field: add when=changed(...) or a parameter named changes."
    with pytest.raises(TypeError, match=exactly(text)):
        connect(post_save, receives, sender=Article, when=when, fetch=True)


@pytest.mark.parametrize("fetch", ["sometimes", 7, ["title"]])
def test_fetch_takes_three_values(connect, fetch):
    text = f"fetch= takes True, for values that are not known, 'always' or 'lock', not {fetch!r}."
    with pytest.raises(ValueError, match=exactly(text)):
        connect(post_save, record, sender=Article, fetch=fetch)


def test_fetch_is_refused_on_a_signal_of_no_save(connect):
    def receives(**kwargs):
        """A receiver."""

    hint = "fetch='lock' does, and reads rows before they are deleted."
    text = f" has fetch=, which works on pre_save and post_save, not on post_delete. {hint}"
    with pytest.raises(TypeError, match=f"{re.escape(text)}$"):
        connect(post_delete, receives, sender=Article, when=changed("title"), fetch=True)


# --- writes -----------------------------------------------------------------------------------------------------


@database
def test_a_field_that_a_receiver_writes_is_saved_along_with_update_fields(slugify):
    slugify()
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


@database
def test_a_field_that_a_receiver_does_not_say_it_writes_is_not_saved_as_in_django(slugify):
    slugify(writes=None)
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "tides"


@database
def test_receivers_of_post_save_see_the_field_that_was_written(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert received[1].payload["update_fields"] == {"title", "slug"}


@database
def test_a_field_that_was_written_is_a_change(slugify, told):
    slugify()
    got = told(post_save, sender=Article, when=changed("slug"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert got == [{"slug": ("tides", "moons")}]


@database
def test_a_later_receiver_of_pre_save_sees_the_field_that_was_written(slugify, told):
    slugify()
    got = told(pre_save, sender=Article, when=changed("slug"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert got == [{"slug": ("tides", "moons")}]


@database
def test_a_receiver_that_sets_nothing_adds_nothing(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    article = Article.objects.create(title="Tides")
    article.words = 7
    article.save(update_fields=["words"])
    assert received[1].payload["update_fields"] == {"words"}


@database
def test_a_receiver_that_sets_the_value_that_was_there_adds_nothing(receive, listen):
    @receive(pre_save, sender=Article, writes=["price"])
    def price(instance, **kwargs):
        instance.price = "1.0"

    received = listen(post_save, sender=Article)
    article = Article.objects.create()
    Article.objects.get(pk=article.pk).save(update_fields=["words"])
    assert received[1].payload["update_fields"] == {"words"}


@database
def test_a_save_of_all_fields_stays_one(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    Article.objects.create(title="Tides")
    assert received[0].payload["update_fields"] is None


@database
def test_a_save_of_no_fields_stays_one(slugify, listen):
    slugify()
    article = Article.objects.create(title="Tides")
    received = listen(pre_save, sender=Article)
    assert (verbs(lambda: article.save(update_fields=[])), received) == ([], [])


@database
def test_what_the_caller_passed_as_update_fields_is_left_alone(slugify):
    slugify()
    article, names = Article.objects.create(title="Tides"), {"title"}
    article.title = "Moons"
    article.save(update_fields=names)
    assert names == {"title"}


@database
def test_a_field_that_a_receiver_writes_is_saved_where_it_was_deferred(slugify):
    Article.objects.create(title="Tides", slug="old")
    slugify()
    article = Article.objects.only("title").get()
    article.save()
    assert stored(article).slug == "tides"


@database
def test_a_field_that_a_receiver_sets_to_none_is_saved_where_it_was_deferred(receive):
    @receive(pre_save, sender=Article, writes=["author"], when=~created)
    def forget(instance, **kwargs):
        instance.author = None

    Article.objects.create(title="Tides", author=Writer.objects.create())
    article = Article.objects.only("title").get()
    article.save()
    assert stored(article).author is None


@database
def test_a_deferred_field_that_a_receiver_reads_is_not_saved(receive, listen):
    @receive(pre_save, sender=Article, writes=["slug"])
    def read(instance, **kwargs):
        instance.slug  # noqa: B018 - it is loaded

    Article.objects.create(title="Tides", slug="old")
    received = listen(post_save, sender=Article)
    article = Article.objects.only("title").get()
    article.save(update_fields=["title"])
    assert received[0].payload["update_fields"] == {"title"}


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_a_foreign_key_that_a_receiver_writes_is_saved(receive, name):
    ada = Writer.objects.create()

    @receive(pre_save, sender=Article, writes=[name])
    def sign(instance, **kwargs):
        instance.author = ada

    article = Article.objects.create()
    Article.objects.update(author=None)
    article = stored(article)
    article.save(update_fields=["title"])
    assert stored(article).author == ada


@database
def test_a_value_that_a_receiver_changes_in_place_is_saved(receive):
    @receive(pre_save, sender=Article, writes=["labels"])
    def label(instance, **kwargs):
        instance.labels.append("seen")

    article = Article.objects.create()
    article.save(update_fields=["title"])
    assert stored(article).labels == ["seen", "seen"]


@database
def test_several_receivers_write_fields_of_their_own(slugify, receive):
    slugify()

    @receive(pre_save, sender=Article, writes=["words", "price"])
    def count(instance, **kwargs):
        instance.words = len(instance.title)

    article = Article.objects.create(title="Tides")
    article.title = "Moon"
    article.save(update_fields=["title"])
    assert (stored(article).slug, stored(article).words) == ("moon", 4)


@database
def test_a_receiver_that_is_not_due_writes_nothing(slugify):
    slugify(when=changed("title"))
    article = Article.objects.create(title="Tides")
    article.words = 7
    article.save(update_fields=["words"])
    assert stored(article).slug == ""


@database
def test_a_receiver_that_raises_writes_nothing(receive):
    @receive(pre_save, sender=Article, writes=["slug"], when=~created)
    def fail(instance, **kwargs):
        instance.slug = "new"
        raise ZeroDivisionError

    article = Article.objects.create(slug="old")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        article.save(update_fields=["title"])
    assert stored(article).slug == "old"


@database
def test_a_field_that_an_async_receiver_writes_is_saved(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    async def slugify(instance, **kwargs):
        instance.slug = instance.title.lower()

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


@committing
async def test_a_field_that_a_receiver_of_asave_writes_is_saved(slugify, async_database):
    slugify()
    article = await Article.objects.acreate(title="Tides")
    article.title = "Moons"
    await article.asave(update_fields=["title"])
    assert (await Article.objects.aget()).slug == "moons"


@database
def test_a_field_of_a_parent_that_a_receiver_writes_is_saved(receive):
    @receive(pre_save, sender=Novel, subclasses=True, writes=["name"], when=~created)
    def shout(instance, **kwargs):
        instance.name = instance.name.upper()

    audiobook = Audiobook.objects.create(name="Tides")
    audiobook.minutes = 7
    audiobook.save(update_fields=["minutes"])
    assert Audiobook.objects.get().name == "TIDES"


@database
@pytest.mark.parametrize("told", [["title"], frozenset({"title"}), None], ids=["list", "frozenset", "none"])
def test_pre_save_can_be_sent_by_hand_to_a_receiver_that_writes(slugify, told):
    slugify()
    article = Article(title="Tides")

    pre_save.send(sender=Article, instance=article, raw=False, using="default", update_fields=told)
    assert article.slug == "tides"


class Later:
    """A delivery policy that makes no call now."""

    def deliver(self, call):
        """Do nothing."""

    def __repr__(self):
        return "Later()"


@pytest.mark.parametrize("signal", [post_save, pre_delete, m2m_changed], ids=lambda signal: signal.name)
def test_writes_is_refused_on_another_signal_than_pre_save(connect, signal):
    def receives(**kwargs):
        """A receiver."""

    text = f" has writes=, which works on pre_save, not on {title(signal)}."
    with pytest.raises(TypeError, match=f"{re.escape(text)}$"):
        connect(signal, receives, sender=Article, writes=["slug"])


def test_writes_is_refused_for_a_receiver_that_runs_later(connect):
    text = "writes= is for a receiver that runs before the save, and delivery=Later() is later."
    with pytest.raises(TypeError, match=exactly(text)):
        connect(pre_save, record, sender=Article, writes=["slug"], delivery=Later())


def test_a_field_that_there_is_not_cannot_be_written(connect):
    text = "writes=['slgu']: app.Article has no field 'slgu'. Did you mean 'slug'?"
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        connect(pre_save, record, sender=Article, writes=["slgu"])


@database
def test_writes_takes_a_single_name(slugify):
    slugify(writes="slug")
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


# --- what a model pays ------------------------------------------------------------------------------------------


HOOKS = {"from_db", "save_base", "_save_table", "refresh_from_db"}


@pytest.fixture
def shop():
    """A model of this test only, of which no other test has left a receiver."""
    with isolate_apps("tests.app"):

        class Shop(models.Model):
            name = models.CharField(max_length=50)
            street = models.CharField(max_length=50)

            class Meta:
                app_label = "app"

        yield Shop


def hooks(model):
    return HOOKS & {*vars(model)}


def test_a_model_that_nobody_watches_has_no_hooks(connect, shop):
    connect(post_save, lambda **kwargs: None, sender=shop, when=created, weak=False)
    assert hooks(shop) == set()


@pytest.mark.parametrize(
    "options",
    [{"when": changed("name")}, {"when": ~created | changed()}, {"writes": ["name"]}],
    ids=["changed", "changed inside", "writes"],
)
def test_a_receiver_that_asks_has_the_model_watched(connect, shop, options):
    connect(pre_save, lambda **kwargs: None, sender=shop, weak=False, **options)
    assert hooks(shop) == HOOKS


def test_a_parameter_has_the_model_watched(connect, shop):
    connect(post_save, record, sender=shop)
    assert hooks(shop) == HOOKS


def test_a_receiver_that_asks_leaves_the_bases_of_its_model_alone(connect, shop):
    before = {**vars(models.Model)}
    connect(post_save, record, sender=shop)
    assert {**vars(models.Model)} == before


def test_the_methods_of_a_watched_model_keep_their_signatures(connect, shop):
    connect(post_save, record, sender=shop)
    methods = [getattr(shop, name) for name in sorted(HOOKS)]
    assert [(one.__name__, one.__doc__) for one in methods] == [
        (one.__name__, one.__doc__) for one in (getattr(models.Model, name) for name in sorted(HOOKS))
    ]


def test_a_model_is_left_alone_again_when_its_last_receiver_is_disconnected(shop):
    def other(changes, **kwargs):
        """A receiver."""

    post_save.connect(record, sender=shop)
    pre_save.connect(other, sender=shop)
    post_save.disconnect(record, sender=shop)
    assert hooks(shop) == HOOKS
    pre_save.disconnect(other, sender=shop)
    assert hooks(shop) == set()


def test_a_model_is_left_alone_again_when_its_last_receiver_is_gone(shop):
    def local(changes, **kwargs):
        """A receiver."""

    post_save.connect(local, sender=shop)
    del local
    assert hooks(shop) == set()


def test_a_model_is_left_alone_again_when_its_receivers_are_assigned_away(shop):
    before = post_save.receivers
    post_save.connect(record, sender=shop)
    post_save.receivers = before
    assert hooks(shop) == set()


def test_a_connection_that_is_refused_leaves_the_model_alone(shop):
    with pytest.raises(TypeError):
        post_save.connect(record, sender=shop, when=changed("name"), writes=["name"])
    assert hooks(shop) == set()


def test_a_model_that_is_collected_with_its_receiver_leaves_nothing():
    script = """
        import gc
        from django.db import models
        from heliograph import changed
        from heliograph.changes.plans import PLANS
        from heliograph.signals import post_save

        def record(changes, **kwargs):
            pass

        def watched():
            class Shop(models.Model):
                class Meta:
                    app_label = "shop"
            post_save.connect(record, sender=Shop)
            post_save.disconnect(record, sender=Shop)

        watched()
        gc.collect()
        tell(len(PLANS))
    """
    assert run(script) == [0]


SHARED = """
import gc
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute
from heliograph import changed
from heliograph.signals import post_save

class Order(models.Model):
    status = models.CharField(max_length=10)

    class Meta:
        app_label = "shop"

def photograph():
    return [{**vars(owner)} for owner in (models.Model, Order, BaseDatabaseWrapper, DeferredAttribute)]

def record(**kwargs):
    pass

before = photograph()
"""


def test_nothing_is_patched_for_receivers_that_ask_for_nothing():
    script = "post_save.connect(record, sender=Order); tell(photograph() == before)"
    assert run(SHARED + script) == [True]


def test_connections_are_watched_as_long_as_a_model_is():
    script = """
        post_save.connect(record, sender=Order, when=changed("status"))
        tell(photograph() == before)
        post_save.disconnect(record, sender=Order)
        gc.collect()
        tell(photograph() == before)
    """
    assert run(SHARED + dedent(script)) == [False, True]


def test_nothing_stays_patched_when_a_receiver_of_all_models_leaves():
    script = """
        post_save.connect(record, when=changed("status"))
        tell(photograph() == before)
        post_save.disconnect(record)
        gc.collect()
        tell(photograph() == before)
    """
    assert run(SHARED + dedent(script)) == [False, True]


@pytest.mark.parametrize(
    "options", ["{}", "{'sender': models.Model, 'subclasses': True}"], ids=["anybody", "all models"]
)
def test_nothing_stays_patched_when_a_receiver_of_all_models_leaves_that_was_called(options):
    script = f"""
        post_save.connect(record, when=changed(), **{options})
        post_save.send(sender=Order, instance=Order())
        post_save.disconnect(record, **{options})
        gc.collect()
        tell(photograph() == before)
    """

    assert run(SHARED + dedent(script)) == [True]


def life(model):
    """Do with a model what can be done, and return the statements."""

    def live():
        instance = model.objects.create(name="Ada")
        instance.name = "Grace"
        instance.save()
        instance.save(update_fields=["name"])
        instance.refresh_from_db()
        deferred = model.objects.only("id").get(pk=instance.pk)
        deferred.name = "Hedy"
        deferred.save()
        model(pk=instance.pk, name="Ida").save()
        instance.delete()

    return [re.sub(r"\d+", "N", sql) for sql in statements(live)]


@database
def test_a_model_that_nobody_watches_sends_the_same_statements(told):
    before = life(Genre)
    told(post_save, sender=Writer, fetch="always")
    assert life(Genre) == before


@database
def test_a_model_that_is_watched_sends_the_same_statements(told):
    before = life(Genre)
    told(post_save, sender=Genre)
    told(pre_save, sender=Genre, when=changed("name"))
    assert life(Genre) == before


@database
def test_a_model_of_another_package_can_be_watched(told):
    user_model = get_user_model()
    got = told(post_save, sender=user_model, when=changed("email", "password"))
    user = user_model.objects.create_user("ada", "ada@example.com")
    user.email = "countess@example.com"
    user.save()
    assert got == [{"email": ("ada@example.com", "countess@example.com")}]


@database
def test_logging_in_changes_what_it_changes(told, client):
    user_model = get_user_model()
    got = told(post_save, sender=user_model)
    user = user_model.objects.create_user("ada", "ada@example.com", "secret")
    client.force_login(user)
    assert [[*changes] for changes in got] == [[], ["last_login"]]


# --- changes_of -------------------------------------------------------------------------------------------------


@database
def test_changes_of_tells_what_is_not_saved(told):
    told(post_save, sender=Writer)
    writer = Writer.objects.create(name="Ada")
    assert changes_of(writer) == {}
    writer.name = "Grace"
    assert changes_of(writer) == {"name": ("Ada", "Grace")}
    writer.save()
    assert changes_of(writer) == {}


@database
def test_changes_of_takes_no_query(told):
    told(post_save, sender=Article, fetch="always")
    Article.objects.create()
    deferred = Article.objects.only("id").get()
    deferred.title = "Tides"
    assert statements(lambda: changes_of(deferred)) == []


@database
def test_changes_of_says_where_an_old_value_is_not_known(told):
    told(post_save, sender=Article, when=changed("title"))
    Article.objects.create()
    deferred = Article.objects.only("id").get()
    deferred.title = "Tides"
    assert changes_of(deferred) == {"title": (UNKNOWN, "Tides")}


def test_changes_of_knows_nothing_of_an_instance_that_was_never_saved(connect, shop):
    connect(post_save, record, sender=shop)
    assert changes_of(shop(name="Tea")) == {}


@database
def test_changes_of_takes_the_names_of_fields(told):
    told(post_save, sender=Article)
    article = Article.objects.create()
    article.title, article.words, article.slug = "Tides", 7, "tides"
    assert changes_of(article, "words", "title") == {"words": (0, 7), "title": ("", "Tides")}


@database
@pytest.mark.parametrize("name", ["writer", "writer_id"])
def test_changes_of_takes_both_names_of_a_foreign_key(told, name):
    told(post_save, sender=Novel, when=changed("writer"))
    novel, ada = Novel.objects.create(), Writer.objects.create()
    novel.writer = ada
    assert changes_of(novel, name) == {name: (None, ada.pk)}


@database
def test_changes_of_tells_during_a_save_what_that_changes(receive):
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
        f"The changes of {__name__}.shop.<locals>.Shop are not known: no receiver watches it."
        " Connect one with when=changed(...), or with a parameter named changes."
    )
    with pytest.raises(LookupError, match=exactly(text)):
        changes_of(shop())


def test_changes_of_a_field_that_is_not_watched_is_an_error(connect, shop):
    connect(post_save, record, sender=shop, when=changed("name"))
    text = "'street' of app.Shop is not watched: id, name are."
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        changes_of(shop(), "street")


@database
def test_changes_of_an_instance_that_was_loaded_before_anybody_watched_is_not_known(told):
    writer = Writer.objects.create(name="Ada")
    loaded = Writer.objects.get(pk=writer.pk)
    told(post_save, sender=Writer)
    assert changes_of(loaded) == {"name": (UNKNOWN, "Ada")}
