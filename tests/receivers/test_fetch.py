"""Receivers of a save that have the row of the database fetched: fetch=."""

import json
import re

import pytest
from django.core.management import call_command

from heliograph import UNKNOWN, changed, created
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Article, Audiobook, Country, Seat, Ticket, Writer
from tests.helpers.messages import exactly
from tests.helpers.receivers import takes_changes
from tests.helpers.statements import statements, verbs

database = pytest.mark.django_db

databases = pytest.mark.django_db(databases=["default", "other"])

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])


def columns(sql):
    """Return the columns that a SELECT asks for."""
    return {*re.findall(r"\.[\"`](\w+)[\"`]", sql.partition(" FROM ")[0])}


@database
@on_each_save
def test_fetch_asks_for_an_old_value_that_was_deferred(changes_for, signal):
    got = changes_for(signal, sender=Article, when=changed("title"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.only("id", "words").get()
    article.title = "Moons"
    article.save()
    assert got == [{"title": ("Tides", "Moons")}]


@database
@on_each_save
def test_fetch_asks_for_the_old_values_of_an_instance_that_was_built_by_hand(changes_for, signal):
    got = changes_for(signal, sender=Article, when=changed("title", "words"), fetch=True)
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
def test_fetch_takes_one_query_of_the_watched_columns_for_a_deferred_field(changes_for):
    changes_for(post_save, sender=Article, when=changed("title", "words"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.only("id", "slug").get()
    article.title = "Moons"
    select, update = statements(article.save)
    assert (columns(select), update.partition(" ")[0]) == ({"title", "words"}, "UPDATE")


@database
def test_fetch_asks_only_for_the_values_that_are_not_known(changes_for):
    changes_for(post_save, sender=Article, when=changed("title", "words"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.defer("title").get()
    article.title = "Moons"
    assert columns(statements(article.save)[0]) == {"title"}


@database
def test_fetch_takes_one_query_for_an_instance_that_was_built_by_hand(changes_for):
    changes_for(post_save, sender=Article, when=changed("title", "author"), fetch=True)
    article = Article.objects.create(title="Tides")
    select, *rest = statements(Article(pk=article.pk, title="Moons").save)
    assert (columns(select), [sql.partition(" ")[0] for sql in rest]) == ({"title", "author_id"}, ["UPDATE"])


@database
def test_fetch_takes_one_query_for_several_receivers(changes_for):
    changes_for(pre_save, sender=Article, when=changed("title"), fetch=True)
    changes_for(post_save, sender=Article, when=changed("words"), fetch=True)
    article = Article.objects.create(title="Tides")
    select, *rest = statements(Article(pk=article.pk, title="Moons").save)
    assert (columns(select), [sql.partition(" ")[0] for sql in rest]) == ({"title", "words"}, ["UPDATE"])


@database
def test_fetch_asks_for_nothing_that_another_receiver_does_not_want_fetched(changes_for):
    changes_for(post_save, sender=Article, when=changed("title"), fetch=True)
    got = changes_for(post_save, sender=Article, when=changed("words"))
    article = Article.objects.create()
    assert columns(statements(Article(pk=article.pk, title="Moons").save)[0]) == {"title"}
    assert got == [{"words": (UNKNOWN, 0)}]


@database
def test_fetch_takes_no_query_where_all_is_known(changes_for):
    changes_for(post_save, sender=Article, when=changed("title"), fetch=True)
    Article.objects.create(title="Tides")
    article = Article.objects.get()
    article.title = "Moons"
    assert verbs(article.save) == ["UPDATE"]


@database
def test_fetch_takes_no_query_after_the_first_save(changes_for):
    changes_for(post_save, sender=Article, when=changed("title"), fetch=True)
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
def test_fetch_takes_no_query_for_a_row_that_is_inserted(changes_for, build, fetch):
    changes_for(post_save, sender=[Article, Ticket, Country], fetch=fetch)
    instance = build()
    assert verbs(lambda: instance.save(force_insert=True)) == ["INSERT"]


@database
@pytest.mark.parametrize("model", [Article, Ticket])
@pytest.mark.parametrize("fetch", [True, "always"])
def test_fetch_takes_no_query_for_a_row_whose_key_is_new(changes_for, model, fetch):
    changes_for(post_save, sender=model, fetch=fetch)
    assert verbs(model().save) == ["INSERT"]


@database
def test_fetch_finds_that_a_natural_key_is_new(changes_for):
    got = changes_for(post_save, sender=Country, fetch=True)
    assert verbs(Country(code="de").save) == ["SELECT", "UPDATE", "INSERT"]
    assert got == [{}]


@database
def test_fetch_finds_the_row_of_a_natural_key(changes_for):
    got = changes_for(post_save, sender=Country, when=changed("name"), fetch=True)
    Country.objects.create(code="de", name="Germania")
    Country(code="de", name="Germany").save()
    assert got == [{"name": ("Germania", "Germany")}]


@database
def test_fetch_finds_the_row_of_a_key_of_two_columns(changes_for):
    got = changes_for(post_save, sender=Seat, when=changed("guest"), fetch=True)
    Seat.objects.create(row=1, number=2, guest="Ada")
    Seat(row=1, number=2, guest="Grace").save()
    assert got == [{"guest": ("Ada", "Grace")}]


@database
def test_fetch_finds_the_fields_of_a_parent(changes_for):
    got = changes_for(post_save, sender=Audiobook, when=changed("name", "minutes"), fetch=True)
    audiobook = Audiobook.objects.create(name="Tides", minutes=60)
    Audiobook(pk=audiobook.pk, id=audiobook.pk, name="Moons", minutes=90).save()
    assert got == [{"name": ("Tides", "Moons"), "minutes": (60, 90)}]


@database
def test_fetch_finds_the_row_that_a_fixture_replaces(changes_for, tmp_path):
    ticket = Ticket.objects.create(state="new")
    got = changes_for(post_save, sender=Ticket, when=changed("state"), fetch=True)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"model": "app.ticket", "pk": str(ticket.pk), "fields": {"state": "old"}}]))
    call_command("loaddata", str(path), verbosity=0)
    assert got == [{"state": ("new", "old")}]


@database
def test_fetch_says_that_a_value_is_not_known_where_there_is_no_row(changes_for):
    got = changes_for(pre_save, sender=Writer, when=changed("name"), fetch=True)
    writer = Writer.objects.create(name="Ada")
    Writer.objects.filter(pk=writer.pk).delete()
    deferred = Writer(pk=writer.pk, name="Grace")
    deferred._state.adding = False
    deferred.save()
    assert got == [{"name": (UNKNOWN, "Grace")}]


@databases
@pytest.mark.parametrize("fetch", [True, "always"])
def test_fetch_asks_the_database_that_the_row_is_written_to(changes_for, fetch):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    writer = Writer.objects.create(name="here")
    Writer(pk=writer.pk, name="there").save(using="other", force_insert=True)
    writer.name = "new"
    assert verbs(lambda: writer.save(using="other"), "other") == ["SELECT", "UPDATE"]
    assert got == [{"name": ("there", "new")}]


@databases
def test_fetch_asks_no_other_database(changes_for):
    changes_for(post_save, sender=Writer, when=changed("name"), fetch=True)
    writer = Writer.objects.create(name="here")
    Writer(pk=writer.pk, name="there").save(using="other", force_insert=True)
    assert verbs(lambda: writer.save(using="other")) == []


@database
def test_fetch_works_for_all_fields(changes_for):
    got = changes_for(post_save, sender=Writer, fetch=True)
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
def test_the_old_value_is_what_the_copy_in_memory_has_loaded(changes_for, fetch):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    one, two = two_copies("Ada")
    for copy, name in ((one, "Grace"), (two, "Hedy")):
        copy.name = name
        copy.save()
    assert got == [{"name": ("Ada", "Grace")}, {"name": ("Ada", "Hedy")}]


@database
def test_the_old_value_is_what_the_database_holds_where_that_is_always_asked(changes_for):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch="always")
    one, two = two_copies("Ada")
    for copy, name in ((one, "Grace"), (two, "Hedy")):
        copy.name = name
        copy.save()
    assert got == [{"name": ("Ada", "Grace")}, {"name": ("Grace", "Hedy")}]


@database
def test_a_stale_copy_that_puts_its_value_back_is_a_change_where_the_database_is_always_asked(changes_for):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch="always")
    one, two = two_copies("Ada")
    one.name = "Grace"
    one.save()
    two.save()
    assert got[1:] == [{"name": ("Grace", "Ada")}]


@database
def test_the_database_is_asked_once_a_save_where_that_is_always_done(changes_for):
    changes_for(pre_save, sender=Writer, when=changed("name"), fetch="always")
    changes_for(post_save, sender=Writer, when=changed("name"), fetch="always")
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
    text = f"fetch= takes True, for values that are not known, 'always', 'lock' or 'exact', not {fetch!r}."
    with pytest.raises(ValueError, match=exactly(text)):
        connect(post_save, takes_changes, sender=Article, fetch=fetch)


def test_fetch_is_refused_on_a_signal_of_no_save(connect):
    def receives(**kwargs):
        """A receiver."""

    hint = "fetch='lock' does, and reads rows before they are deleted."
    text = f" has fetch=, which works on pre_save and post_save, not on post_delete. {hint}"
    with pytest.raises(TypeError, match=f"{re.escape(text)}$"):
        connect(post_delete, receives, sender=Article, when=changed("title"), fetch=True)
