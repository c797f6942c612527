"""Writes past Django's ORM leave a gap, which `audit verify --continuity` finds."""

import json
from decimal import Decimal

import django
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from heliograph.audit import audit
from heliograph.audit.continuity import Continuity
from heliograph.audit.models import Entry
from tests.app.models import Bill, Cart, Invoice, Item, Page, Voucher
from tests.audit.logs import command, findings, tamper
from tests.helpers.threads import at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def item():
    audit(Item)
    return Item.objects.create(cart=Cart.objects.create(), quantity=1, price=Decimal("1.50"))


def past_the_orm(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def gaps(*labels):
    return findings("--continuity", *labels)


def test_writes_by_the_orm_leave_no_gap(item):
    item.price = Decimal("2.5")
    item.sold_at = timezone.now()
    item.save()
    Item.objects.update(quantity=5, weight=1.5, note="ü")
    item.refresh_from_db()
    item.giver_id = None
    item.save()
    other = Item.objects.create()
    other.delete()

    assert gaps() == []


def test_a_row_that_was_updated_past_the_orm_is_named(item):
    past_the_orm("UPDATE app_item SET quantity = 9 WHERE id = %s", item.pk)

    [found] = gaps()
    last = Entry.objects.last().pk
    assert found.startswith(f"app.Item {item.pk} has quantity = 9, and its entries up to #{last} left 1. Look for")


def test_an_update_past_the_orm_is_named_by_the_entry_after_it(item):
    past_the_orm("UPDATE app_item SET quantity = 9 WHERE id = %s", item.pk)
    item.quantity = 10
    item.save()

    [found] = gaps()
    number = Entry.objects.last().pk
    assert found.startswith(f"Entry #{number} of app.Item {item.pk} begins with quantity = 9, and the entry before it")


def test_a_row_that_was_deleted_past_the_orm_is_named(item):
    past_the_orm("DELETE FROM app_item")

    [found] = gaps()
    assert found.startswith(f"app.Item {item.pk} is gone, and its last entry #{Entry.objects.last().pk} is no deletion")


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has DB_CASCADE and DB_SET_NULL since 6.1")
def test_rows_that_the_database_deleted_and_changed_with_another_row_are_named():
    from tests.app.models import Footnote, Sidenote

    audit(Footnote)
    audit(Sidenote)
    page = Page.objects.create()
    note, aside = Footnote.objects.create(page=page), Sidenote.objects.create(page=page)
    assert gaps() == []

    page.delete()

    deleted, changed = gaps()
    assert deleted.startswith(f"app.Footnote {note.pk} is gone, and its last entry #")
    assert changed.startswith(f"app.Sidenote {aside.pk} has page = None, and its entries up to #")


def test_a_row_that_came_back_past_the_orm_is_named(item):
    number = item.pk
    item.delete()
    with_columns = Item(pk=number)
    audited = [*Entry.objects.values_list("pk", flat=True)]
    Item.objects.bulk_create([with_columns])
    tamper("DELETE FROM {Entry} WHERE id > %s", audited[-1])

    [found] = gaps()
    assert found.startswith(f"app.Item {number} is there, and its last entry #{audited[-1]} is its deletion")


def test_a_creation_of_a_row_that_was_there_is_named(item):
    past_the_orm("DELETE FROM app_item")
    Item.objects.create(pk=item.pk)

    [found] = gaps()
    assert "creates a row that was there: its deletion has no entry" in found


def test_an_entry_that_was_removed_leaves_a_gap_even_without_a_seal(item):
    item.quantity = 2
    item.save()
    item.quantity = 3
    item.save()
    tamper("DELETE FROM {Entry} WHERE id = %s", Entry.objects.all()[1].pk)

    assert len(gaps()) == 1


def test_a_raw_deletion_is_named(item):
    Item.objects.all()._raw_delete("default")

    assert len(gaps()) == 1


def test_labels_choose_the_models(item):
    audit(Cart)
    past_the_orm("UPDATE app_item SET quantity = 9")

    assert gaps("app.Cart") == []
    assert len(gaps("app.Item")) == 1


def test_what_was_masked_or_forgotten_is_no_gap():
    audit(Item, mask=["note"])
    item = Item.objects.create(note="a", quantity=1)
    item.note, item.quantity = "b", 2
    item.save()
    item.quantity = 3
    item.save()
    command("forget", "app.Item", str(item.pk))
    item.quantity = 4
    item.save()

    assert gaps() == []


def test_values_of_many_kinds_are_compared_as_they_are_stored():
    audit(Bill)
    audit(Invoice)
    audit(Voucher)
    now = timezone.now()
    Invoice.objects.create(
        number="7", amount=Decimal("1.1"), labels=[{"a": 1.5}], paid_at=now, paid_on=now.date(), paid_time=now.time()
    )
    Bill.objects.update(total=3, status="paid")
    Voucher.objects.create(code="x")
    Voucher.objects.update(uses=2)

    assert gaps() == []
    past_the_orm("UPDATE app_voucher SET uses = 3")
    past_the_orm("UPDATE app_invoice SET number = '8'")
    assert len(gaps()) == 2


def test_a_row_that_is_older_than_the_log_has_no_gap():
    cart = Cart.objects.create(title="a")
    audit(Cart)
    cart.total = 5
    cart.save()

    assert gaps() == []


def test_a_site_that_writes_meanwhile_has_no_gaps(item):
    found = []

    def write():
        for number in range(30):
            with transaction.atomic():
                Item.objects.filter(pk=item.pk).update(quantity=number + 100)

    at_once(write, lambda: found.extend(one for _ in range(10) for one in gaps()))

    assert found == []


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a statement that reads keeps the writer out")
@pytest.mark.parametrize("saves", [1, 2])
def test_an_entry_of_a_kind_that_was_new_meanwhile_is_no_gap(item, saves):
    def write():
        for _ in range(saves):
            Item.objects.filter(pk=item.pk).update(quantity=F("quantity") + 1, note="x")
            Item.objects.filter(pk=item.pk).update(quantity=F("quantity") + 1)

    def write_after_the_kinds(execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if writes and "heliograph_audit_kind" in sql:
            in_thread(writes.pop())
        return found

    Item.objects.filter(pk=item.pk).update(quantity=5)  # so that this kind is there before
    writes = [write]
    with connection.execute_wrapper(write_after_the_kinds):
        assert [*Continuity("default").findings()] == []
    assert writes == []


@pytest.mark.parametrize(
    ("value", "gaps_there"),
    [
        ({"old": 1, "new": 2, "names": ["a", "b"]}, 0),  # a foreign key with names is compared
        ({"old": 5, "new": 2, "names": ["a", "b"]}, 1),
        ({"old": "x", "new": "y", "cut": [9, 9]}, 0),  # of a text that was cut nobody knows the rest
        ([{"$": "unknown", "value": None}, 2], 0),
        ("masked", 0),
    ],
)
def test_values_with_more_than_two_sides_are_compared_as_far_as_they_are_known(item, value, gaps_there):
    item.quantity = 2
    item.save()
    tamper("UPDATE {Entry} SET changes = %s WHERE id = %s", json.dumps({"quantity": value}), Entry.objects.last().pk)

    assert len([*Continuity("default").findings()]) == gaps_there
