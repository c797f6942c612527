"""Seeding: rows that exist in each database after migrate, beside what tutorials do for that."""

import re
from functools import partial
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, IntegrityError, connection
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import F
from django.db.models.signals import post_migrate, post_save
from django.test.utils import CaptureQueriesContext

from heliograph import mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import seed
from heliograph.recipes.declarations import declarations
from heliograph.recipes.inserting import insert_missing
from tests.app.models import Audiobook, Fare, Region
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NORTH, SOUTH = {"code": "N", "name": "North"}, {"code": "S", "name": "South"}


def migrate(using="default", migrated=apps):
    """Send post_migrate as the command does when it has migrated a database."""
    emit_post_migrate_signal(0, False, using, apps=migrated, plan=[])


def regions(using="default"):
    return [*Region.objects.using(using).order_by("code").values_list("code", "name")]


def run(*arguments):
    """Return the exit status and the lines of the command."""
    out, status = StringIO(), 0
    try:
        call_command("recipes", *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        status = end.code
    return status, out.getvalue().splitlines()


# --- after migrate ------------------------------------------------------------------------------------------------


def test_the_rows_exist_after_migrate_and_once_after_another():
    seed(Region, [NORTH, SOUTH])
    assert regions() == []
    for _ in range(2):
        migrate()
        assert regions() == [("N", "North"), ("S", "South")]


def test_the_command_migrate_does_it():
    seed("auth.Group", [{"name": "Students"}, {"name": "Teachers"}])
    call_command("migrate", verbosity=0)
    assert sorted(Group.objects.values_list("name", flat=True)) == ["Students", "Teachers"]


def test_a_row_that_exists_is_left_as_it_is():
    seed(Region, [NORTH, SOUTH])
    Region.objects.create(code="N", name="Nord", currency="NOK")
    migrate()
    assert regions() == [("N", "Nord"), ("S", "South")]


def test_a_row_that_exists_is_updated_where_that_is_asked_for():
    seed(Region, [NORTH, SOUTH], update=True)
    Region.objects.create(code="N", name="Nord", currency="NOK")
    migrate()
    assert regions() == [("N", "North"), ("S", "South")]
    assert Region.objects.get(code="N").currency == "NOK"  # which no row gives


def test_a_row_that_is_gone_comes_back():
    seed(Region, [NORTH, SOUTH])
    migrate()
    Region.objects.filter(code="N").delete()
    migrate()
    assert regions() == [("N", "North"), ("S", "South")]


def test_a_flush_brings_the_rows_back():
    """The command `flush`, which ends each TransactionTestCase, sends post_migrate without `apps` and `plan`."""
    seed(Region, [NORTH])
    emit_post_migrate_signal(0, False, "default")
    assert regions() == [("N", "North")]


def test_rows_that_are_there_cost_one_query_and_new_ones_one_insert():
    seed(Region, [NORTH, SOUTH])
    with mute(post_migrate), CaptureQueriesContext(connection) as of_django:
        migrate()
    with CaptureQueriesContext(connection) as first:
        migrate()
    assert sum("INSERT INTO" in one["sql"] and "app_region" in one["sql"] for one in first) == 1
    with CaptureQueriesContext(connection) as second:
        migrate()
    assert sum("app_region" in one["sql"] for one in second) == 1
    assert not any("app_region" in one["sql"] for one in of_django)


def test_values_are_compared_as_the_database_returns_them():
    north = Region.objects.create(**NORTH)
    seed(
        Fare, [{"region": north, "zone": "1", "price": "2.50"}, {"region_id": "N", "zone": 2, "price": 3}], update=True
    )
    for _ in range(2):
        migrate()
    assert sorted(Fare.objects.values_list("region", "zone", "price")) == [("N", 1, 2.5), ("N", 2, 3)]
    assert run("verify") == (0, ["1 verified, 0 wrong"])


def test_each_database_has_the_rows_that_its_router_allows(settings):
    settings.DATABASE_ROUTERS = [RegionsElsewhere()]
    seed(Region, [NORTH])
    for using in ("default", "other"):
        migrate(using)
    assert (regions(), regions("other")) == ([], [("N", "North")])


class RegionsElsewhere:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return db == "other" if model_name == "region" else None


def test_rows_come_after_the_rows_to_which_they_refer():
    seed(Fare, [{"region": "N", "zone": 1}])
    seed(Region, [NORTH])
    migrate()
    assert Fare.objects.get().region.name == "North"
    connection.check_constraints()


def test_permissions_and_content_types_exist_by_then():
    def of_regions(using):
        kind = ContentType.objects.db_manager(using).get_for_model(Region)
        return [{"content_type": kind, "codename": "close_region", "name": "Can close a region"}]

    Permission.objects.all().delete()
    ContentType.objects.all().delete()
    ContentType.objects.clear_cache()
    seed(Permission, of_regions)
    migrate()
    assert {*Permission.objects.filter(content_type__model="region").values_list("codename", flat=True)} == {
        *("add_region", "change_region", "delete_region", "view_region", "close_region")
    }


def state_with(*fields):
    """Return the apps of a state in which the table of regions has these columns, and no other table exists."""
    state = ProjectState()
    if fields:
        columns = [(name, Region._meta.get_field(name).clone()) for name in fields]
        state.add_model(ModelState("app", "Region", columns))
    return state.apps


@pytest.mark.parametrize("fields", [(), ("id", "code", "name")])
def test_nothing_is_written_where_migrate_has_gone_back_before_the_table_or_a_column(fields):
    seed(Region, [NORTH])
    migrate(migrated=state_with(*fields))
    assert regions() == []
    migrate(migrated=state_with("id", "code", "name", "currency"))
    assert regions() == [("N", "North")]


def test_receivers_of_bulk_writes_receive_the_rows(listen):
    received = listen(post_save, sender=Region, bulk=True)
    seed(Region, [NORTH, SOUTH])
    migrate()
    assert [one.payload["created"] for one in received] == [True, True]


# --- how a row is found -------------------------------------------------------------------------------------------


def test_the_first_unique_field_that_all_rows_give_finds_them():
    Region.objects.create(pk=5, code="S", name="Syd")
    seed(Region, [{"id": 5, "code": "N", "name": "North"}], update=True)
    migrate()
    assert regions() == [("N", "North")]


def test_key_says_which_unique_field_finds_them():
    Region.objects.create(pk=6, code="N", name="Nord")
    seed(Region, [{"id": 5, "code": "N", "name": "North"}], key=["code"])
    migrate()
    assert regions() == [("N", "Nord")]


def test_fields_that_are_unique_together_find_rows():
    Region.objects.create(**NORTH)
    Fare.objects.create(region_id="N", zone=1, price=9)
    seed(Fare, [{"region": "N", "zone": zone, "price": 1} for zone in (1, 2)])
    migrate()
    assert sorted(Fare.objects.values_list("zone", "price")) == [(1, 9), (2, 1)]


# --- verify and backfill ------------------------------------------------------------------------------------------


def test_verify_names_missing_rows_and_repair_makes_them():
    seed(Region, [NORTH, SOUTH])
    Region.objects.create(**SOUTH)
    line = "app.Region of 'N' is missing, not a row"
    assert run("verify") == (1, [line, "1 verified, 1 wrong"])
    assert run("verify", "--repair") == (0, [f"{line}, and is mended", "1 verified, 1 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])


def test_backfill_makes_missing_rows_on_the_database_that_is_asked_for():
    seed(Region, [NORTH, SOUTH])
    assert run("backfill", "--database", "other") == (0, ["1 verified, 2 filled"])
    assert (regions(), len(regions("other"))) == ([], 2)


def test_verify_names_values_that_differ_where_rows_are_updated():
    Region.objects.create(code="N", name="Nord")
    declaration = seed(Region, [NORTH])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    declaration.disconnect()
    seed(Region, [NORTH], update=True)
    assert run("verify") == (1, ["app.Region.name of 'N' is Nord, not North", "1 verified, 1 wrong"])
    assert run("verify", "--repair")[0] == 0
    assert regions() == [("N", "North")]


def test_list_says_what_must_exist():
    seed(Region, [NORTH])
    first, last = run("list")[1]
    assert first.startswith("seed(app.Region)  ")
    assert last == "    app.Region: rows that exist after migrate"


# --- at the same time ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_two_processes_that_migrate_at_once_make_one_row_each():
    seed(Region, [{"code": str(number)} for number in range(20)])
    at_once(*[lambda: run("backfill")] * 4)
    assert Region.objects.count() == 20


def test_a_row_that_another_process_inserts_after_it_was_missed_is_left_as_it_is():
    seed(Region, [NORTH, SOUTH])
    plan = declarations[0].subjects[0].planned("default")
    missing = plan.missing("default")
    Region.objects.create(code="N", name="Nord")
    insert_missing(Region, missing, plan.made, lambda keys: plan.missing("default"), "default")
    assert regions() == [("N", "Nord"), ("S", "South")]


def test_values_that_the_database_refuses_are_an_error_and_not_ignored():
    seed(Region, [{"code": "N", "name": None}])
    with pytest.raises(IntegrityError):
        migrate()


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_receiver():
    before = [*post_migrate.receivers]
    declaration = seed(Region, [NORTH])
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert post_migrate.receivers == before
    migrate()
    assert regions() == []


def test_r18_muted_it_does_nothing():
    seed(Region, [NORTH])
    with mute(post_migrate):
        migrate()
    assert regions() == []


def test_r18_it_is_seen_by_a_trace_once_a_database():
    seed(Region, [NORTH])
    with trace() as traced:
        migrate()
    called = [one for one in traced.events if isinstance(one, Called) and one.signal is post_migrate]
    assert [one.receiver.__name__ for one in called].count("seed(app.Region)") == 1


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (partial(seed, Region, [{"cod": "N"}]), "app.Region has no field 'cod' with a column. Did you mean 'code'?"),
        (
            partial(seed, Region, [{"name": "North"}]),
            "seed(app.Region): no unique field of app.Region is in all rows, by which they could be found. Unique are:"
            " id, code. Give one of them in each row, or add a UniqueConstraint.",
        ),
        (
            partial(seed, Region, [NORTH, {"id": 3}]),
            "no unique field of app.Region is in all rows, by which they could be found.",
        ),
        (
            partial(seed, Region, [NORTH], key=["name"]),
            "seed(app.Region, key=['name']): ['name'] is not unique in app.Region, so two processes might both insert a"
            " row. Unique are: id, code.",
        ),
        (
            partial(seed, Fare, [{"zone": 1}]),
            "Unique are: id, region and zone. Give one of them in each row, or add a UniqueConstraint.",
        ),
        (
            partial(seed, Region, [NORTH, {"code": "N"}]),
            "two of the rows have the same 'code', by which",
        ),
        (partial(seed, Region, [{"code": None}]), "rows are found by 'code', which is None in one of them."),
        (partial(seed, Region, [{"code": F("name")}]), "'code' is an expression, which is no value to compare."),
        (partial(seed, Fare, [{"region": "N", "zone": "x"}]), "'zone' cannot be 'x'. “x” value must be an integer."),
        (partial(seed, Region, []), 'rows are a list of mappings, such as [{"name": "Students"}], not [].'),
        (partial(seed, Region, {"code": "N"}), "rows are a list of mappings"),
        (
            partial(seed, Audiobook, [{"id": 1}]),
            "app.Audiobook is a multi-table child, whose rows bulk_create()",
        ),
    ],
)
def test_rows_that_cannot_be_right_are_refused_where_they_stand(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


# --- what tutorials do --------------------------------------------------------------------------------------------


def ready():
    """What tutorials write into `ready()` of an AppConfig."""
    Region.objects.get_or_create(**NORTH)


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_control_ready_breaks_the_first_migrate_since_there_is_no_table():
    with connection.schema_editor() as editor:
        editor.delete_model(Fare)
        editor.delete_model(Region)
    try:
        with pytest.raises(DatabaseError):
            ready()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Region)
            editor.create_model(Fare)


def test_control_ready_writes_to_one_database_only():
    ready()
    migrate("other")
    assert (len(regions()), regions("other")) == (1, [])


def test_control_a_data_migration_does_not_bring_a_row_back():
    """It is recorded as applied, so the next `migrate` leaves it out; here it runs once in the same way."""
    ready()
    Region.objects.all().delete()  # as the flush after a TransactionTestCase does
    migrate()
    assert regions() == []
