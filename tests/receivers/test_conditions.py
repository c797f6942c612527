"""Conditions on what Django's signals say: created, raw, update_fields, action, and one database."""

import copy
import pickle
from dataclasses import FrozenInstanceError
from textwrap import dedent

import django
import pytest
from django.dispatch import receiver as django_receiver
from django.utils.functional import SimpleLazyObject

from heliograph import Signal, action, changed, created, raw, update_fields
from heliograph.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from tests.app.models import Article, Audiobook, Country, Genre, Novel, Ticket, Writer
from tests.helpers.articles import titles
from tests.helpers.bare import run
from tests.helpers.loading import load
from tests.helpers.messages import exactly
from tests.helpers.receivers import is_big, published, record

database = pytest.mark.django_db

databases = pytest.mark.django_db(databases=["default", "other"])

committing = pytest.mark.django_db(transaction=True)

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])


@Signal.define
def shipped(sender, *, instance, carrier="DHL"):
    """An order left the warehouse."""


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
    novel = Novel.objects.create()
    novel.genres.add(genre)
    load(tmp_path, {"model": "app.novel", "pk": novel.pk + 1, "fields": {"name": "loaded", "genres": [genre.pk]}})
    assert [payload["instance"].pk for _, payload in received] == [novel.pk + 1]


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="m2m_changed has raw since Django 6.1")
def test_raw_is_refused_on_m2m_changed_where_that_does_not_send_it():
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


# --- update_fields ------------------------------------------------------------------------------------------------


@database
@on_each_save
@pytest.mark.parametrize(
    ("reported", "holds"),
    [(None, False), (["title"], True), (["words"], False), (["title", "words"], True)],
    ids=["no fields", "this field", "another field", "both"],
)
def test_update_fields_holds_where_the_field_is_named(listen, signal, reported, holds):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields("title"))
    article.save(update_fields=reported)
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
@pytest.mark.parametrize(("reported", "holds"), [(None, False), (["slug"], True)])
def test_update_fields_without_a_name_holds_where_any_is_named(listen, signal, reported, holds):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields())
    article.save(update_fields=reported)
    assert len(received) == holds


@database
@on_each_save
@pytest.mark.parametrize("asked", ["author", "author_id"])
@pytest.mark.parametrize("reported", ["author", "author_id"])
def test_update_fields_knows_a_foreign_key_by_both_its_names(listen, signal, asked, reported):
    article = Article.objects.create()
    received = listen(signal, sender=Article, when=update_fields(asked))
    article.save(update_fields=[reported])
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
def test_using_works_on_each_signal_that_names_the_database(listen, signal):
    received = listen(signal, using="other")
    for alias in ("default", "other"):
        novel, genre = Novel.objects.using(alias).create(), Genre.objects.using(alias).create()
        novel.genres.add(genre)
        novel.delete()
    assert {payload["using"] for _, payload in received} == {"other"}


@databases
def test_using_works_on_a_custom_signal_that_names_the_database(receive):
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
            report(instance.status)
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
            report("created")
        Order.objects.create().save()
    """
    assert unadopted(script) == ["created", "created"]


def test_a_parameter_named_changes_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order)
        def record(changes, **kwargs):
            report({name: tuple(change) for name, change in changes.items()})
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
        report(Order.objects.get().slug)
    """
    assert unadopted(script) == ["paid"]


def test_keeps_works_on_djangos_own_dispatcher():
    script = """
        @receiver(pre_save, sender=Order, keeps=["status"])
        def record(**kwargs):
            pass
        order = Order.objects.create()
        Order.objects.update(status="paid")
        order.save()
        report(Order.objects.get().status)
    """
    assert unadopted(script) == ["paid"]


def test_using_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order, using="other")
        def record(using, **kwargs):
            report(using)
        for alias in connections:
            Order().save(using=alias)
    """
    assert unadopted(script) == ["other"]


def test_fetch_works_on_djangos_own_dispatcher():
    script = """
        @receiver(post_save, sender=Order, when=changed("status"), fetch=True)
        def record(changes, **kwargs):
            report({name: tuple(change) for name, change in changes.items()})
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
        report("from_db" in vars(Order), post_save.disconnect(record, sender=Order))
        gc.collect()
        report("from_db" in vars(Order))
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
        report("from_db" in vars(Order))
    """
    assert unadopted(script) == [False]
