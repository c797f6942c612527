"""Changes of models in every database, from fixtures and in migrations: cases S7 to S10."""

from textwrap import dedent

import django
import pytest
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Model
from django.test import override_settings

from heliograph import UNKNOWN, action, changed, created, raw
from heliograph.signals import m2m_changed, post_save, pre_save
from tests.app.models import Article, Audiobook, Genre, Named, Novel, Writer
from tests.helpers.bare import run
from tests.helpers.loading import load
from tests.helpers.saves import rename
from tests.helpers.statements import verbs

database = pytest.mark.django_db

databases = pytest.mark.django_db(databases=["default", "other"])

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])

# --- S7, S8: routers ----------------------------------------------------------------------------------------------


class WritesToOther:
    """A router that keeps everything in `other`."""

    def db_for_read(self, model, **hints):
        return "other"

    def db_for_write(self, model, **hints):
        return "other"


class ReadsFromOther:
    """A router that reads from a replica, and writes to the primary database."""

    def db_for_read(self, model, **hints):
        return "other"

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, one, two, **hints):
        return True


@pytest.fixture
def everything_in_other():
    with override_settings(DATABASE_ROUTERS=[WritesToOther()]):
        yield


@pytest.fixture
def replica():
    """The router of a replica, and what brings that up to date with a row."""

    def replicate(instance):
        row = type(instance).objects.using("default").get(pk=instance.pk)
        row.save(using="other", force_insert=True)

    with override_settings(DATABASE_ROUTERS=[ReadsFromOther()]):
        yield replicate


@databases
@on_each_save
def test_a_change_that_a_router_sends_to_another_database_is_known(changes_for, everything_in_other, signal):
    got = changes_for(signal, sender=Writer, when=changed("name"))
    assert rename(Writer)._state.db == "other"
    assert got == [(Writer, {"name": ("Tides", "Moons")})]


@databases
@pytest.mark.parametrize("fetch", [True, "always"])
def test_s7_old_values_are_asked_of_the_database_that_a_router_writes_to(changes_for, everything_in_other, fetch):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    writer = Writer.objects.create(name="Ada")
    assert verbs(Writer(pk=writer.pk, name="Grace").save, "other") == ["SELECT", "UPDATE"]
    assert got == [(Writer, {"name": ("Ada", "Grace")})]


@databases
@pytest.mark.parametrize("fetch", [True, "always"])
def test_nothing_is_asked_of_a_database_that_a_router_does_not_write_to(changes_for, everything_in_other, fetch):
    changes_for(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    writer = Writer.objects.create(name="Ada")
    assert verbs(Writer(pk=writer.pk, name="Grace").save) == []


@databases
def test_s7_a_field_that_a_receiver_writes_goes_to_the_database_of_the_row(receive, everything_in_other):
    @receive(pre_save, sender=Article, writes=["slug"])
    def slugify(instance, **kwargs):
        instance.slug = instance.title.lower()

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert Article.objects.using("other").get().slug == "moons"


@databases
def test_a_receiver_of_one_database_receives_what_a_router_sends_there(listen, everything_in_other):
    received = [listen(post_save, sender=Writer, using=alias) for alias in ("default", "other")]
    Writer.objects.create()
    assert [len(calls) for calls in received] == [0, 1]


@databases
@pytest.mark.parametrize("fetch", [True, "always"])
def test_s8_a_replica_is_never_asked_for_old_values(changes_for, replica, fetch):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch=fetch)
    writer = Writer.objects.create(name="Ada")
    replica(writer)
    got.clear()
    built = Writer(pk=writer.pk, name="Grace")
    assert verbs(built.save, "other") == []
    assert got == [(Writer, {"name": ("Ada", "Grace")})]


@databases
def test_the_primary_database_is_asked_for_what_it_holds_of_what_a_replica_has_loaded(changes_for, replica):
    got = changes_for(post_save, sender=Writer, when=changed("name"), fetch="always")
    writer = Writer.objects.create(name="Ada")
    replica(writer)
    got.clear()
    Writer.objects.using("default").update(name="new")
    loaded = Writer.objects.get()
    loaded.name = "Grace"
    assert (verbs(loaded.save, "default"), got) == (
        ["SELECT", "UPDATE"],
        [(Writer, {"name": ("new", "Grace")})],
    )


@databases
def test_what_a_replica_has_loaded_is_measured_from_that_although_it_is_saved_elsewhere(changes_for, replica):
    got = changes_for(post_save, sender=Writer, when=changed("name"))
    writer = Writer.objects.create(name="Ada")
    replica(writer)
    got.clear()
    loaded = Writer.objects.get()
    loaded.name = "Grace"
    loaded.save()
    assert got == [(Writer, {"name": ("Ada", "Grace")})]


@databases
def test_one_row_in_two_databases_is_known_in_each(changes_for):
    got = changes_for(post_save, sender=Writer, when=changed("name"))
    for alias in ("default", "other"):
        Writer(pk=1, name=f"old in {alias}").save(using=alias, force_insert=True)
    for alias in ("default", "other"):
        writer = Writer.objects.using(alias).get()
        writer.name = "new"
        writer.save()
    assert [changes["name"].old for _, changes in got] == ["old in default", "old in other"]


@databases
def test_a_row_that_is_copied_to_another_database_is_known_there_afterwards(changes_for):
    got = changes_for(post_save, sender=Writer, when=changed("name"))
    writer = Writer.objects.create(name="Ada")
    writer.save(using="other", force_insert=True)
    writer.name = "Grace"
    writer.save(using="other")
    assert got == [(Writer, {"name": ("Ada", "Grace")})]


@databases
def test_what_one_database_has_is_not_the_old_value_in_another(changes_for):
    writer = Writer.objects.create(name="Ada")
    Writer(pk=writer.pk, name="Grace").save(using="other", force_insert=True)
    got = changes_for(post_save, sender=Writer, when=changed("name"))
    Writer.objects.get().save(using="other")
    assert got == [(Writer, {"name": (UNKNOWN, "Ada")})]


# --- S9: fixtures -------------------------------------------------------------------------------------------------


@database
@on_each_save
def test_s9_a_row_that_a_fixture_adds_is_raw(listen, tmp_path, signal):
    received = [listen(signal, sender=Writer, when=one) for one in (raw, ~raw)]
    load(tmp_path, {"model": "app.writer", "pk": 7, "fields": {"name": "Ada"}})
    assert [len(calls) for calls in received] == [1, 0]


@database
@on_each_save
def test_a_row_that_a_fixture_adds_is_no_change(listen, tmp_path, signal):
    received = listen(signal, sender=Writer, when=changed("name"))
    load(tmp_path, {"model": "app.writer", "pk": 7, "fields": {"name": "Ada"}})
    assert received == []


@database
def test_a_row_that_a_fixture_replaces_is_a_change(changes_for, tmp_path):
    Writer.objects.create(pk=7, name="Ada")
    got = changes_for(post_save, sender=Writer, when=changed("name") & raw, fetch=True)
    load(tmp_path, {"model": "app.writer", "pk": 7, "fields": {"name": "Grace"}})
    assert got == [(Writer, {"name": ("Ada", "Grace")})]


@database
def test_a_child_of_a_fixture_is_loaded_as_without_receivers(changes_for, tmp_path):
    got = changes_for(post_save, sender=Novel, subclasses=True)
    load(
        tmp_path,
        {"model": "app.novel", "pk": 7, "fields": {"name": "Tides"}},
        {"model": "app.audiobook", "pk": 7, "fields": {"minutes": 60}},
    )
    assert ([sender for sender, _ in got], Audiobook.objects.get().name) == ([Novel, Audiobook], "Tides")


@database
@pytest.mark.skipif(django.VERSION < (6, 1), reason="m2m_changed has raw since Django 6.1")
def test_s9_a_relation_that_a_fixture_adds_is_raw(listen, tmp_path):
    genre = Genre.objects.create()
    received = [listen(m2m_changed, sender=Novel.genres.through, when=one & action("post_add")) for one in (raw, ~raw)]
    load(tmp_path, {"model": "app.novel", "pk": 7, "fields": {"name": "Tides", "genres": [genre.pk]}})
    assert [len(calls) for calls in received] == [1, 0]


# --- S10: migrations ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def historical():
    """The model of a writer as a migration knows it."""
    state = ProjectState()
    state.add_model(ModelState.from_model(Writer))
    return state.apps.get_model("app", "Writer")


@database
@on_each_save
@pytest.mark.parametrize(
    "options",
    [{}, {"sender": Model, "subclasses": True}, {"sender": Writer}, {"sender": Named, "subclasses": True}],
    ids=["anybody", "all models", "the model", "its base"],
)
def test_s10_a_model_of_a_migration_calls_no_receiver(receive, historical, signal, options):
    called = []

    @receive(signal, **options)
    def record(sender, **kwargs):
        called.append(sender)

    rename(historical)
    assert called == []


@database
@on_each_save
@pytest.mark.parametrize("options", [{}, {"sender": Model, "subclasses": True}], ids=["anybody", "all models"])
@pytest.mark.parametrize("when", [changed("name"), changed(), created | changed("name"), ~changed("name")], ids=repr)
def test_s10_a_model_of_a_migration_calls_no_receiver_that_asks_for_changes(
    changes_for, historical, signal, options, when
):
    got = changes_for(signal, when=when, **options)
    rename(historical)
    assert got == []


@database
def test_a_receiver_of_all_models_receives_those_of_today_beside_a_migration(receive, historical):
    called = []

    @receive(post_save, when=created)
    def record(sender, **kwargs):
        called.append(sender)

    historical.objects.create(name="Ada")
    Writer.objects.create(name="Ada")
    assert called == [Writer]


@database
@on_each_save
def test_a_plain_receiver_of_anybody_receives_a_model_of_a_migration_as_in_django(listen, historical, signal):
    received = listen(signal)
    rename(historical)
    assert [sender for sender, _ in received] == [historical] * 2


@database
def test_a_plain_receiver_of_a_model_of_a_migration_receives_it_as_in_django(listen, historical):
    received = listen(post_save, sender=historical)
    rename(historical)
    assert [payload["created"] for _, payload in received] == [True, False]


@database
def test_a_plain_receiver_of_anybody_that_asks_for_changes_does_not_stop_a_migration(listen, historical):
    received = listen(post_save, when=changed("name"))
    rename(historical)
    assert received == []


@database
def test_a_plain_receiver_of_anybody_that_has_a_parameter_named_changes_does_not_stop_a_migration(connect, historical):
    got = []

    def record(sender, changes, **kwargs):
        got.append(sender)

    connect(post_save, record)
    rename(historical)
    Writer.objects.create()
    assert got[-1] is Writer


@database
def test_a_model_of_a_migration_is_not_watched(changes_for, historical):
    changes_for(post_save, sender=Model, subclasses=True, when=changed("name"))
    assert "from_db" not in vars(historical)


@pytest.mark.parametrize("when", ["None", "changed('name')"], ids=["no condition", "changed"])
def test_a_model_of_a_migration_calls_no_receiver_of_djangos_own_dispatcher(when):
    script = f"""
        from django.db import connection, models
        from django.db.migrations.state import ModelState, ProjectState
        from heliograph import changed, receiver
        from heliograph.signals import post_save

        class Shop(models.Model):
            name = models.CharField(max_length=50)

            class Meta:
                app_label = "shop"

        with connection.schema_editor() as editor:
            editor.create_model(Shop)
        state = ProjectState()
        state.add_model(ModelState.from_model(Shop))

        @receiver(post_save, when={when})
        def record(sender, **kwargs):
            report(sender is Shop)

        state.apps.get_model("shop", "Shop").objects.create(name="Tea")
        report("migrated")
    """
    assert run(dedent(script), HELIOGRAPH={"ADOPT_DJANGO_SIGNALS": False}) == ["migrated"]
