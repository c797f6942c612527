"""Each row that a transaction has changed has one entry, in the same transaction."""

import contextlib
import json

import pytest
from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.deletion import Collector
from django.test.utils import isolate_apps

from heliograph import mute
from heliograph.audit import audit, history
from heliograph.audit.audited_models import AUDITED
from heliograph.audit.entry_insertion import FEW
from heliograph.audit.models import Entry
from heliograph.context import acting
from tests.app.models import Cart, Item, Ware
from tests.app.models_of_books import Page
from tests.audit.logs import findings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def item():
    audit(Item)
    return Item.objects.create(cart=Cart.objects.create())


def entries():
    return [(one.kind.action, one.object, json.loads(one.text)) for one in Entry.objects.select_related("kind")]


def test_a_transaction_has_one_entry_for_a_row(item):
    with transaction.atomic():
        item.quantity = 5
        item.save()
        item.quantity = 6
        item.save()

    assert entries()[1:] == [("updated", str(item.pk), {"quantity": [1, 6]})]


def test_a_stale_copy_that_reverts_a_column_has_an_entry(item):
    Item.objects.update(quantity=F("quantity") + 1)

    item.save()

    assert [changes for *_, changes in entries()][1:] == [{"quantity": [1, 2]}, {"quantity": [2, 1]}]


def test_a_row_with_nothing_but_its_key_has_an_entry_for_its_deletion():
    audit(Page)
    page = Page.objects.create()
    key = str(page.pk)

    page.delete()

    assert entries() == [("created", key, {}), ("deleted", key, {})]


def test_muting_everything_does_not_silence_the_audit(item):
    with mute():
        item.quantity = 8
        item.save()

    assert entries()[1:] == [("updated", str(item.pk), {"quantity": [1, 8]})]


def test_a_model_that_is_not_audited_any_more_has_no_entries(item):
    AUDITED[Item].disconnect()
    item.quantity = 5
    item.save()

    assert len(entries()) == 1


def test_what_is_rolled_back_has_no_entry(item):
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        item.delete()
        raise ZeroDivisionError

    assert len(entries()) == 1


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 3 * FEW])
@pytest.mark.parametrize("is_mixed", [False, True], ids=["one kind", "several kinds"])
def test_few_and_many_entries_are_written_alike(is_mixed, count):
    rows = [Ware.objects.create(name=str(number)) for number in range(count)]
    audit(Ware)
    with transaction.atomic():
        for number, one in enumerate(rows):
            one.name = f"é' %s {number}"
            one.stock += number % 2 if is_mixed else 1
            one.save()

    assert [(key, changes["name"], "stock" in changes) for _, key, changes in entries()] == [
        (str(one.pk), [str(number), f"é' %s {number}"], bool(number % 2) or not is_mixed)
        for number, one in enumerate(rows)
    ]
    assert findings() == []


# --- writes that nobody is told of --------------------------------------------------------------------------------


def _by_sql(item):
    table = connection.ops.quote_name(Item._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET quantity = 9 WHERE id = %s", [item.pk])


@pytest.mark.parametrize(
    "write",
    [_by_sql, lambda item: Item.objects.filter(pk=item.pk)._raw_delete("default")],
    ids=["SQL of the project's own", "_raw_delete()"],
)
def test_a_write_past_the_signals_has_no_entry(item, write):
    write(item)

    assert [action for action, *_ in entries()] == ["created"]
    assert not Item.objects.filter(pk=item.pk, quantity=1).exists()


def test_a_reason_and_an_actor_with_characters_that_a_database_refuses_are_stored_with_escapes(item):
    with acting("cron\0\ud800é", reason="a\0b\udfff"):
        item.quantity = 5
        item.save()

    change_set = Entry.objects.latest("pk").change_set
    assert (change_set.actor, change_set.actor_label) == ("cron\\x00\\ud800é",) * 2
    assert change_set.reason == "a\\x00b\\udfff"
    assert history(item).by("cron\0\ud800é").count() == 1
    assert findings() == []


# --- keys that a collation takes for the same ---------------------------------------------------------------------

FOLDING = {"postgresql": "folding", "mysql": "utf8mb4_general_ci", "sqlite": "nocase"}[connection.vendor]


@pytest.fixture
def nation():
    """A model with a row "de" that is also found by the key "DE", as on MariaDB by default."""
    if connection.vendor == "postgresql":
        options = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE COLLATION IF NOT EXISTS folding ({options})")
    with isolate_apps("tests.app"):

        class Nation(models.Model):
            code = models.CharField(max_length=10, primary_key=True, db_collation=FOLDING)
            name = models.CharField(max_length=10)

            class Meta:
                app_label = "app"

    with connection.schema_editor() as editor:
        editor.create_model(Nation)
    audit(Nation)
    for code in ("de", "fr", "it"):
        Nation.objects.create(code=code, name="old")
    yield Nation
    with connection.schema_editor() as editor:
        editor.delete_model(Nation)


def test_a_row_that_is_found_by_another_key_has_entries_under_its_own(nation):
    germany = nation(code="DE", name="new")

    germany.save()
    germany.name = "newer"
    germany.save()
    germany.delete()
    nation.objects.filter(code="FR").delete()

    assert [one[:2] for one in entries()[3:]] == [
        ("updated", "de"),
        ("updated", "de"),
        ("deleted", "de"),
        ("deleted", "fr"),
    ]


def test_rows_that_are_found_by_other_keys_are_deleted_as_without_the_log(nation):
    collector = Collector(using="default")
    collector.collect([nation(code="DE"), nation(code="fr"), nation(code="IT"), nation(code="es")])

    collector.delete()

    assert not nation.objects.exists()
    assert sorted(one[:2] for one in entries()[3:]) == [("deleted", "de"), ("deleted", "fr"), ("deleted", "it")]
