"""The log has exactly one entry for each row that a transaction has changed, however the ORM has written it."""

from contextlib import nullcontext
from functools import partial

import django
import pytest
from django.apps import apps
from django.db import connection, transaction

from heliograph.audit import audit
from heliograph.audit.models import Entry
from tests.app.models import Page
from tests.audit import every_bulk_write, every_value, every_write, truth
from tests.audit.every_write import WRITES, world

assert every_bulk_write, every_value

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

IS_POSTGRESQL = connection.vendor == "postgresql"
ALIASES = ("default", "other")
UNHEARD = {"Footnote", "Sidenote", "Receipt", "PageLine"}  # rows that the database changes by itself
AUDITED = [
    one
    for one in apps.get_app_config("app").get_models()
    if not one._meta.proxy and one.__name__ not in UNHEARD and one.__module__.startswith("tests.app")
]


@pytest.fixture(scope="module")
def triggers(django_db_setup, django_db_blocker):
    """Let PostgreSQL log all row changes."""
    if not IS_POSTGRESQL:
        yield
        return
    tables = {one._meta.db_table for one in apps.get_app_config("app").get_models() if one.__name__ in UNHEARD}
    tables |= {one._meta.db_table for one in AUDITED} | {truth.ENTRIES}
    throughs = {one.remote_field.through for model in AUDITED for one in model._meta.local_many_to_many}
    tables |= {one._meta.db_table for one in throughs}
    with django_db_blocker.unblock():
        for alias in ALIASES:
            truth.install_triggers(alias, tables)
    yield
    with django_db_blocker.unblock():
        for alias in ALIASES:
            truth.remove_triggers(alias)


@pytest.fixture(scope="module")
def audited(triggers):
    """Audit all models of the tests."""
    for model in AUDITED:
        audit(model)
    yield
    for one in [*truth.AUDITED.values()]:
        one.disconnect()


@pytest.fixture(autouse=True)
def _disconnected():
    """Let models be audited until the last test."""


@pytest.fixture
def made(audited):
    """A world, whose making is not looked at."""
    found = world()
    forget()
    return found


def forget():
    """Forget the writes until now."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {Entry._meta.db_table}")
    if IS_POSTGRESQL:
        for alias in ALIASES:
            truth.forget_triggered(alias)


def faults_of(write, alias="default"):
    """Perform a write, and return what is wrong with the log of it."""
    tables, relations = truth.audited_models(), truth.audited_relations()
    fields = {one._meta.label: truth.fields_of(one) for one in tables}
    before = {} if IS_POSTGRESQL else truth.all_rows(tables, alias)
    pairs = {} if IS_POSTGRESQL else {one: truth.pairs_of(one, alias) for one in relations}
    write()
    if IS_POSTGRESQL:
        steps, changes, transactions = truth.seen_by_triggers(tables, relations, alias)
    else:
        steps, changes, transactions = truth.changed_rows(before, truth.all_rows(tables, alias), alias), {}, {}
        for field, known in pairs.items():
            changes.update(truth.changed_pairs(field, known, truth.pairs_of(field, alias), alias))
    logged, related, twice = truth.logged(alias, transactions)
    expected = {**truth.net_of_all(steps, fields), **changes}
    related = {place: ("related", one) for place, one in related.items() if any(one.values())}
    found = {**truth.net_of_all(logged, fields), **related}
    return {**truth.faults(expected, found), **({"twice": twice} if twice else {})}


in_both_ways = pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "autocommit"])
OF_ROWS = {name: one for name, one in WRITES.items() if one.__module__ == every_write.__name__}
OF_MANY = {name: one for name, one in WRITES.items() if name not in OF_ROWS}


def perform(write, made, *, is_atomic):
    with transaction.atomic() if is_atomic else nullcontext():
        write(made)


@in_both_ways
@pytest.mark.parametrize("write", OF_ROWS.values(), ids=OF_ROWS)
def test_l5_the_log_is_exact_after_every_kind_of_write_of_a_row(made, write, is_atomic):
    assert faults_of(partial(perform, write, made, is_atomic=is_atomic)) == {}


@in_both_ways
@pytest.mark.parametrize("write", OF_MANY.values(), ids=OF_MANY)
def test_l4_the_log_is_exact_after_every_kind_of_write_of_many_rows(made, write, is_atomic):
    assert faults_of(partial(perform, write, made, is_atomic=is_atomic)) == {}


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has DB_CASCADE and DB_SET_NULL since 6.1")
@in_both_ways
def test_the_log_lacks_the_rows_that_the_database_deletes_and_changes_by_itself_and_no_others(made, is_atomic):
    from tests.app.models import Footnote, Sidenote

    handles = audit(Footnote), audit(Sidenote)
    page = Page.objects.create()
    noted = Footnote.objects.create(page=page), Sidenote.objects.create(page=page)
    forget()

    found = faults_of(partial(perform, lambda made: page.delete(), made, is_atomic=is_atomic))

    for handle in handles:
        handle.disconnect()
    assert [*found] == ["missing"]
    changes = {place[2:]: action for place, (action, _) in found["missing"].items()}
    deleted, changed = ((one._meta.label, str(one.pk)) for one in noted)
    assert changes == {deleted: "deleted", changed: "updated"}


def test_a_lost_entry_is_missing_and_a_wrong_one_is_wrong(made):
    """This is the proof that the comparison finds faults where there are any."""

    def lose():
        with transaction.atomic():
            WRITES["save"](made)
            WRITES["delete_children_by_a_query"](made)
        with connection.cursor() as cursor:
            table = Entry._meta.db_table
            cursor.execute(f"UPDATE {table} SET changes = REPLACE(changes, '[5,9]', '[4,9]')")
            cursor.execute(f"DELETE FROM {table} WHERE changes LIKE '%%rank%%'")

    assert {*faults_of(lose)} == {"missing", "wrong"}


def test_the_table_of_writes_is_long():
    assert len(WRITES) >= 111
