"""Durable receivers of all models while `migrate` makes, and drops, the tables that they need."""

from textwrap import dedent

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ModelState, StateApps
from django.db.models.signals import post_delete, post_save

from heliograph import Durable, Signal
from heliograph.outbox.models import Delivery
from tests.app.models import Article, Writer
from tests.helpers.bare import run

sent = Signal(name="shop.sent")


def record(sender, **kwargs):
    """A receiver."""


APPS = ("heliograph", "heliograph.outbox", "django.contrib.contenttypes", "django.contrib.sites")

RECEIVERS = """
from django.core.management import call_command
from django.db import connections
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save
from django.contrib.sites.models import Site
from heliograph import Durable, receiver
from heliograph.outbox.models import Delivery

@receiver([post_save, post_delete, m2m_changed], delivery=Durable())
def record_each(sender, **kwargs): ...

@receiver([post_save, post_delete], delivery=Durable(batch=True))
def record_batch(sender, batch, **kwargs): ...

@receiver(post_migrate, delivery=Durable())
def record_migration(sender, **kwargs): ...

@receiver(post_migrate)
def fill_in(sender, using, **kwargs):
    if sender.label == "sites" and Site._meta.db_table in connections[using].introspection.table_names():
        Site.objects.using(using).update_or_create(pk=7, defaults={"domain": "shop.example", "name": "shop"})

def migrate(*arguments, using="default"):
    call_command("migrate", *arguments, database=using, verbosity=0)

def senders(using="default"):
    return sorted({*Delivery.objects.using(using).values_list("sender", flat=True)})
"""


@pytest.fixture
def database(fresh_database):
    """The entry of DATABASES of a database that nobody has migrated."""
    return fresh_database("migrating")


def migrated(script, *databases, apps=APPS):
    """Run a script in a process of its own with receivers of all models, and return what it reports."""
    entries = dict(zip(("default", "other"), databases, strict=False))
    settings = {"INSTALLED_APPS": apps, "DATABASES": entries, "SITE_ID": 1, "SECRET_KEY": "-"}
    return run(RECEIVERS + dedent(script), early="import tests.settings", **settings)


def test_receivers_of_all_models_have_deliveries_as_soon_as_a_fresh_database_has_the_table(database):
    delivered = migrated("migrate(); report(senders())", database, apps=(*APPS, "django.contrib.auth"))
    assert delivered == [["auth", "contenttypes", "heliograph_outbox", "sites", "sites.Site"]]


def test_a_fresh_database_can_be_migrated_app_by_app(database):
    script = """
    migrate("sites")
    report(Site.objects.filter(pk=7).exists())
    migrate("heliograph_outbox")
    report("sites.Site" in senders())
    """
    assert migrated(script, database) == [True, True]


def test_tables_of_apps_without_migrations_can_be_made(database):
    script = """
    from django.test import override_settings

    with override_settings(MIGRATION_MODULES={"heliograph_outbox": None, "sites": None}):
        migrate("--run-syncdb")
    report("sites.Site" in senders())
    """
    assert migrated(script, database) == [True]


def test_the_table_can_be_dropped_and_made_again(database):
    script = """
    migrate()
    migrate("heliograph_outbox", "zero")
    report("heliograph_outbox_delivery" in connections["default"].introspection.table_names())
    migrate()
    report("sites.Site" in senders())
    """
    assert migrated(script, database) == [False, True]


def test_all_migrations_can_be_undone(database):
    script = """
    migrate()
    for label in ("sites", "contenttypes", "heliograph_outbox"):
        migrate(label, "zero")
    report(connections["default"].introspection.table_names())
    """
    assert migrated(script, database) == [["django_migrations"]]


def test_each_database_is_looked_at_for_itself(database, fresh_database):
    script = """
    migrate()
    migrate("sites", using="other")
    report(Site.objects.using("other").filter(pk=7).exists())
    migrate(using="other")
    report("sites.Site" in senders("other"))
    """
    assert migrated(script, database, fresh_database("migrating_other")) == [True, True]


def test_after_a_migration_nobody_looks_for_the_table(database):
    script = """
    from django.test.utils import CaptureQueriesContext

    migrate()
    site = Site.objects.get(pk=7)
    with CaptureQueriesContext(connections["default"]) as queries:
        site.save()
    report([query["sql"] for query in queries])
    """
    (statements,) = migrated(script, database)
    others = [one for one in statements if "django_site" not in one and "INSERT" not in one]
    assert {one.split()[0] for one in others} <= {"BEGIN", "COMMIT", "START"}


@pytest.mark.django_db
@pytest.mark.parametrize("policy", [Durable(), Durable(batch=True)], ids=repr)
def test_a_model_that_is_in_no_app_has_no_deliveries(connect, policy):
    def record_either(sender, instance=None, batch=None, **kwargs): ...

    for signal in (post_save, post_delete):
        connect(signal, record_either, delivery=policy)
    migration = MigrationRecorder.Migration.objects.create(app="shop", name="0001_initial")
    migration.delete()
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_the_historical_model_of_a_migration_has_no_deliveries(connect):
    connect(post_save, record, delivery=Durable())
    historical = StateApps([], {})
    with historical.bulk_update():
        ModelState.from_model(Writer, exclude_rels=True).render(historical)
    historical.get_model("app", "Writer").objects.create()
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_a_model_of_an_app_that_is_no_sender_of_its_own_is_unchanged(connect):
    connect(post_save, record, delivery=Durable())
    Article.objects.create()
    assert Delivery.objects.get().sender == "app.Article"


def test_a_receiver_of_a_model_that_is_in_no_app_is_refused_when_it_is_connected():
    with pytest.raises(TypeError, match=r"record .*migrations\.Migration is a model of no app.*Leave delivery= out"):
        post_save.connect(record, sender=MigrationRecorder.Migration, delivery=Durable())


@pytest.mark.django_db
def test_a_signal_of_ones_own_from_a_model_that_is_in_no_app_is_refused_when_it_is_sent(connect):
    connect(sent, record, delivery=Durable())
    with pytest.raises(TypeError, match=r"no other process knows the model migrations\.Migration"):
        sent.send(sender=MigrationRecorder.Migration, using="default")
