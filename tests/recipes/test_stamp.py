"""Stamps: the time of a change, set in the same write by each kind of write, beside the forms of tutorials."""

import datetime

import pytest
from django.core import serializers
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, transaction
from django.db.models import Case, F, Func, Value, When
from django.db.models.functions import Concat, Lower
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from heliograph import changed, created, has, raw, update_fields
from heliograph.recipes.declarations import declarations
from heliograph.recipes.stamp import stamp
from heliograph.signals import post_update
from tests.app.models import Bill, BillProxy, Invoice, Shopper

pytestmark = pytest.mark.django_db(databases=["default", "other"])

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def paid():
    """Stamp bills that are paid."""
    return stamp(Bill, "paid_at", when=changed("status", to="paid"))


def bill(**values):
    """Insert a bill past the ORM's signals, and return a fresh copy."""
    made = Bill(**{"touched": LONG_AGO, **values})
    made.save_base(raw=True)
    return Bill.objects.get(pk=made.pk)


def invoice(**values):
    return Invoice.objects.get(pk=Invoice.objects.create(number="1", **values).pk)


def paid_at(one):
    return Bill.objects.values_list("paid_at", flat=True).get(pk=one.pk)


def is_now(time):
    return time is not None and timezone.now() - time < datetime.timedelta(minutes=5)


def pay(one, **values):
    for name, value in {"status": "paid", **values}.items():
        setattr(one, name, value)
    return one


# --- each kind of write -------------------------------------------------------------------------------------------

PAID = Concat(Value("pa"), Value("id"))
WRITES = {
    "save": lambda one: pay(one).save(),
    "save(update_fields)": lambda one: pay(one).save(update_fields=["status"]),
    "save of a deferred copy": lambda one: pay(Bill.objects.only("note").get(pk=one.pk)).save(),
    "save of an instance made by hand": lambda one: Bill(pk=one.pk, status="paid").save(),
    "update_or_create": lambda one: Bill.objects.update_or_create(pk=one.pk, defaults={"status": "paid"}),
    "bulk_update": lambda one: Bill.objects.bulk_update([pay(one)], ["status"]),
    "update": lambda one: Bill.objects.filter(pk=one.pk).update(status="paid"),
    "update of an expression": lambda one: Bill.objects.filter(pk=one.pk).update(
        status=Concat(Value("pa"), Value("id"))
    ),
    "update through a related manager": lambda one: one.owner.bills.update(status="paid"),
    "proxy": lambda one: pay(BillProxy.objects.get(pk=one.pk)).save(),
    "update of proxies": lambda one: BillProxy.objects.filter(pk=one.pk).update(status="paid"),
}


@pytest.mark.parametrize("name", WRITES)
def test_each_kind_of_write_stamps_what_it_changes(paid, name):
    one, other = (bill(owner=Shopper.objects.create(name="Ada")) for _ in range(2))
    WRITES[name](one)
    assert is_now(paid_at(one))
    assert paid_at(other) is None


@pytest.mark.parametrize("name", WRITES)
def test_no_kind_of_write_stamps_what_it_leaves_as_it_is(paid, name):
    one = bill(owner=Shopper.objects.create(name="Ada"), status="paid", paid_at=LONG_AGO)
    WRITES[name](one)
    assert paid_at(one) == (None if name == "save of an instance made by hand" else LONG_AGO)


INHERITED = {
    "save": lambda one: pay(one).save(),
    "save(update_fields)": lambda one: pay(one).save(update_fields=["status"]),
    "bulk_update": lambda one: Invoice.objects.bulk_update([pay(one)], ["status"]),
    "update": lambda one: Invoice.objects.filter(pk=one.pk).update(status="paid"),
    "update of the parent": lambda one: Bill.objects.filter(pk=one.pk).update(status="paid"),
    "update of both tables": lambda one: Invoice.objects.filter(pk=one.pk).update(number="2", status="paid"),
}


@pytest.mark.parametrize("name", INHERITED)
def test_a_child_by_inheritance_is_stamped_in_the_table_of_its_parent(paid, name):
    one, other = invoice(), invoice(status="paid", paid_at=LONG_AGO)
    INHERITED[name](one)
    INHERITED[name](other)
    assert is_now(paid_at(one))
    assert paid_at(other) == LONG_AGO


def test_an_update_stamps_only_the_rows_that_it_changes(paid):
    bills = [bill(), bill(status="paid", paid_at=LONG_AGO), bill(status="sent"), bill(status="paid")]
    Bill.objects.update(status="paid")
    times = [paid_at(one) for one in bills]
    assert (is_now(times[0]), times[1], is_now(times[2]), times[3]) == (True, LONG_AGO, True, None)


def test_bulk_create_stamps_what_is_created():
    stamp(Bill, "paid_at", when=created & has(status="paid"))
    Bill.objects.bulk_create([Bill(status="paid"), Bill(), Bill(status="paid")])
    assert [is_now(one.paid_at) for one in Bill.objects.order_by("pk")] == [True, False, True]


def test_a_bulk_update_stamps_the_instances_that_it_changes(paid):
    one, other = bill(), bill(status="paid", paid_at=LONG_AGO)
    Bill.objects.bulk_update([pay(one), other], ["status"])
    assert (is_now(paid_at(one)), paid_at(other)) == (True, LONG_AGO)


def test_creating_is_not_changing(paid):
    Bill.objects.create(status="paid")
    assert Bill.objects.get().paid_at is None


def test_the_instance_has_the_stamp_that_its_row_has(paid):
    one = pay(bill())
    one.save(update_fields=["status"])
    assert one.paid_at == paid_at(one)


def test_fixtures_are_left_alone():
    stamp(Bill, "paid_at", when=created | changed("status"))
    changed_one, gone = bill(), bill()
    text = serializers.serialize("json", [pay(changed_one), gone])
    gone.delete()
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert [*Bill.objects.order_by("pk").values_list("status", "paid_at")] == [("paid", None), ("open", None)]


def test_each_database_has_its_stamps(paid):
    one = Bill.objects.using("other").create()
    Bill.objects.using("other").update(status="paid")
    assert is_now(Bill.objects.using("other").get(pk=one.pk).paid_at)


def test_a_rollback_takes_the_stamp_along(paid):
    one = bill()
    with transaction.atomic():
        pay(one).save()
        transaction.set_rollback(True)
    assert paid_at(one) is None


def test_a_save_and_an_update_take_no_statement_more(paid):
    one = bill()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        pay(one).save()
        Bill.objects.update(status="open")
    assert [query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]] == ["UPDATE", "UPDATE"]


# --- conditions on an update --------------------------------------------------------------------------------------

SHOUTED = Func(F("status"), function="UPPER")
CONDITIONS = [
    # condition, row, values of the update, whether it is stamped
    (changed("status"), {"status": "open"}, {"status": "paid"}, True),
    (changed("status"), {"status": "paid"}, {"status": "paid"}, False),
    (changed("status"), {"status": "open"}, {"note": "x"}, False),
    (changed("status", "note"), {"note": "x"}, {"note": "y"}, True),
    (changed("status", "note"), {"status": "open", "note": "x"}, {"status": "open", "note": "y"}, True),
    (changed(), {"note": "x"}, {"note": "y"}, True),
    (changed(), {"note": "x"}, {"note": "x"}, False),
    (changed("note"), {"note": None}, {"note": "x"}, True),
    (changed("note"), {"note": "x"}, {"note": None}, True),
    (changed("note"), {"note": None}, {"note": None}, False),
    (changed("note"), {"note": None}, {"note": F("status")}, True),
    (changed("status"), {"status": "open"}, {"status": F("status")}, False),
    (changed("status"), {"status": "open"}, {"status": SHOUTED}, connection.vendor != "mysql"),
    (changed("total"), {"total": 1}, {"total": F("total") + 1}, True),
    (changed("total"), {"total": 1}, {"total": F("total") * 1}, False),
    (changed("total"), {"total": None}, {"total": F("total") + 1}, False),
    (changed("total", to=3), {"total": 1}, {"total": F("total") + 2}, True),
    (changed("total", to=3), {"total": 2}, {"total": F("total") + 2}, False),
    (changed("total", to=[3, None]), {"total": 1}, {"total": None}, True),
    (changed("total", to=None), {"total": 1}, {"total": F("total") + Value(None)}, True),
    (changed("status", was="open", to="paid"), {"status": "open"}, {"status": "paid"}, True),
    (changed("status", was="open", to="paid"), {"status": "sent"}, {"status": "paid"}, False),
    (changed("status", was=["open", "sent"]), {"status": "sent"}, {"status": "paid"}, True),
    (changed("note", was=None), {"note": None}, {"note": "x"}, True),
    (changed("note", was=None), {"note": "y"}, {"note": "x"}, False),
    (changed("status", to="paid"), {"status": "open"}, {"status": "lost"}, False),
    (changed("amount"), {"amount": "1.50"}, {"amount": "1.500"}, False),
    (changed("labels"), {"labels": ["a"]}, {"labels": ["a"]}, False),
    (changed("labels"), {"labels": ["a"]}, {"labels": ["b"]}, True),
    (changed("labels", to=[]), {"labels": ["a"]}, {"labels": []}, True),
    (changed("labels", was=[]), {"labels": []}, {"labels": ["a"]}, True),
    (has(status="paid"), {"status": "paid"}, {"note": "x"}, True),
    (has(status="paid"), {"status": "open"}, {"note": "x"}, False),
    (has(status="paid"), {"status": "open"}, {"status": "paid"}, True),
    (has(status="paid"), {"status": "paid"}, {"status": Lower(Value("OPEN"))}, False),
    (has(status="paid", note=None), {"status": "paid", "note": "x"}, {"note": None}, True),
    (changed("note") & has(status="paid"), {"status": "paid"}, {"note": "x"}, True),
    (changed("note") & ~has(status="paid"), {"status": "paid"}, {"note": "x"}, False),
    (changed("note") & ~has(status="paid"), {"status": "open"}, {"note": "x"}, True),
    (~changed("note"), {"note": None}, {"note": "x"}, False),
    (~changed("note"), {"note": "x"}, {"status": "paid"}, True),
    (created, {}, {"note": "x"}, False),
    (created | changed("note"), {}, {"note": "x"}, True),
    (~raw & changed("note"), {}, {"note": "x"}, True),
    (update_fields("note"), {"note": "x"}, {"note": "x"}, True),
    (update_fields("note"), {}, {"status": "x"}, False),
    (update_fields(), {}, {"status": "x"}, True),
]


@pytest.mark.parametrize(("when", "row", "values", "is_stamped"), CONDITIONS)
def test_an_update_stamps_the_rows_for_which_the_condition_holds(when, row, values, is_stamped):
    stamp(Bill, "paid_at", when=when)
    one, other = bill(**row), bill(**row, paid_at=LONG_AGO)
    Bill.objects.update(**values)
    assert is_now(paid_at(one)) is is_stamped
    assert (paid_at(other) == LONG_AGO) is not is_stamped


@pytest.mark.parametrize("is_by_key", [True, False])
def test_an_update_of_a_foreign_key_is_compared_by_its_key(is_by_key):
    ada, bob = Shopper.objects.create(name="Ada"), Shopper.objects.create(name="Bob")
    stamp(Bill, "paid_at", when=changed("owner", to=bob))
    bills = [bill(owner=ada), bill(owner=bob, paid_at=LONG_AGO), bill()]
    Bill.objects.update(**({"owner_id": bob.pk} if is_by_key else {"owner": bob}))
    times = [paid_at(one) for one in bills]
    assert (is_now(times[0]), times[1], is_now(times[2])) == (True, LONG_AGO, True)


def test_two_stamps_of_one_update_are_both_set():
    stamp(Bill, "paid_at", when=changed("status", to="paid"))
    stamp(Bill, "changed_at", when=changed("status", "note"))
    one, other = bill(), bill(status="paid", paid_at=LONG_AGO, changed_at=LONG_AGO)
    Bill.objects.update(status="paid", note=Case(When(status="open", then=Value("x")), default=F("note")))
    one.refresh_from_db()
    other.refresh_from_db()
    assert (is_now(one.paid_at), is_now(one.changed_at)) == (True, True)
    assert (other.paid_at, other.changed_at) == (LONG_AGO, LONG_AGO)


def test_receivers_of_the_update_receive_the_stamp(paid, listen):
    received = listen(post_update, sender=Bill)
    bill()
    Bill.objects.update(status="paid")
    assert received[0].payload["update_fields"] == {"paid_at", "status"}
    assert [is_now(new) for _, _, new in received[0].payload["batch"].changes("paid_at")] == [True]


# --- values of the caller -----------------------------------------------------------------------------------------

GIVEN = {
    "save": lambda one: pay(one, paid_at=LONG_AGO).save(),
    "save(update_fields)": lambda one: pay(one, paid_at=LONG_AGO).save(update_fields=["status", "paid_at"]),
    "bulk_update": lambda one: Bill.objects.bulk_update([pay(one, paid_at=LONG_AGO)], ["status", "paid_at"]),
    "update": lambda one: Bill.objects.update(status="paid", paid_at=LONG_AGO),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_value_that_the_write_gives_is_left_alone(paid, name):
    one = bill(paid_at=timezone.now())
    GIVEN[name](one)
    assert paid_at(one) == LONG_AGO


def test_a_value_that_is_assigned_and_not_written_is_not_given(paid):
    one = pay(bill(), paid_at=LONG_AGO)
    one.save(update_fields=["status"])
    assert is_now(paid_at(one))


@pytest.mark.parametrize("create", [Bill.objects.create, lambda **values: Bill.objects.bulk_create([Bill(**values)])])
def test_a_new_row_keeps_the_value_that_it_is_given(create):
    stamp(Bill, "paid_at", when=created)
    create(paid_at=LONG_AGO)
    create()
    assert [one.paid_at == LONG_AGO for one in Bill.objects.order_by("pk")] == [True, False]


def test_no_value_is_not_a_value_that_is_given(paid):
    one = bill(paid_at=LONG_AGO)
    pay(one, paid_at=None).save()
    assert is_now(paid_at(one))


# --- fields and upserts -------------------------------------------------------------------------------------------


def test_a_date_and_a_time_of_day_are_in_the_zone_of_the_settings(settings):
    stamp(Bill, "paid_on", when=changed("status"))
    stamp(Bill, "paid_time", when=changed("status"))
    bills = [bill(), bill()]
    with timezone.override(datetime.timezone(datetime.timedelta(hours=14))):
        before = timezone.localtime(timezone=timezone.get_default_timezone())
        pay(bills[0]).save()
        Bill.objects.filter(pk=bills[1].pk).update(status="paid")
        after = timezone.localtime(timezone=timezone.get_default_timezone())
    for one in Bill.objects.all():
        written = datetime.datetime.combine(one.paid_on, one.paid_time, before.tzinfo)
        assert before - datetime.timedelta(seconds=1) <= written <= after


def test_without_time_zones_the_time_is_naive(settings):
    settings.USE_TZ = False
    from heliograph.recipes.stamp import now

    assert now(Bill._meta.get_field("paid_at")).tzinfo is None
    assert now(Bill._meta.get_field("paid_on")) == datetime.date.today()


def upsert(*names, **values):
    by_key = {} if connection.vendor == "mysql" else {"unique_fields": ["id"]}
    Bill.objects.bulk_create([Bill(**values)], update_conflicts=True, update_fields=[*names], **by_key)


def test_an_upsert_that_may_change_rows_without_their_stamp_is_refused(paid):
    one = bill()
    with pytest.raises(TypeError) as raised, transaction.atomic():
        upsert("status", pk=one.pk, status="paid")
    assert str(raised.value) == (
        "bulk_create(update_conflicts=True) would change app.Bill.status and leave 'paid_at' as it is. Add 'paid_at' to"
        " update_fields, or update() the rows."
    )
    upsert("status", "paid_at", pk=one.pk, status="paid", paid_at=LONG_AGO)
    assert paid_at(one) == LONG_AGO
    upsert("note", pk=one.pk, note="x")
    assert Bill.objects.get().note == "x"


@pytest.mark.parametrize("when", [changed(), changed("owner_id"), has(owner=None), ~changed("owner")])
def test_an_upsert_is_refused_whatever_the_condition_asks_of_the_field(when):
    stamp(Bill, "paid_at", when=when)
    with pytest.raises(TypeError) as raised, transaction.atomic():
        upsert("owner", pk=1)
    assert str(raised.value).startswith("bulk_create(update_conflicts=True) would change app.Bill.owner and leave")


# --- declarations -------------------------------------------------------------------------------------------------


def test_a_stamp_ends_with_its_declaration(paid):
    paid.disconnect()
    one = bill()
    pay(one).save()
    Bill.objects.update(status="paid", note="x")
    assert paid_at(one) is None


def test_the_declaration_reads_as_it_was_written(paid):
    assert paid.text == "stamp(app.Bill, 'paid_at', when=changed('status', to='paid'))"


REFUSED = [
    ("payed_at", changed("status"), "app.Bill has no field 'payed_at' with a column. Did you mean 'paid_at'?"),
    (
        "nothing",
        changed("status"),
        "app.Bill has no field 'nothing' with a column. It has changed_at, paid_at, paid_on, paid_time, touched.",
    ),
    (
        "status",
        changed("note"),
        "app.Bill.status is a CharField, and no DateTimeField or DateField or TimeField. It has changed_at, paid_at,"
        " paid_on, paid_time, touched.",
    ),
    ("touched", changed("status"), "'touched' has auto_now=True, which sets it by itself. Take that away."),
    (
        "paid_at",
        lambda instance, **kwargs: True,
        "cannot be asked of the rows of an update(), which has no instances. Write it with changed(), has(), created,"
        " raw and update_fields().",
    ),
]


@pytest.mark.parametrize(("name", "when", "text"), REFUSED)
def test_what_cannot_be_stamped_is_refused(name, when, text):
    with pytest.raises(TypeError) as raised:
        stamp(Bill, name, when=when)
    assert str(raised.value).startswith(f"stamp(app.Bill, {name!r}, when=")
    assert str(raised.value).endswith(text)
    assert declarations == []


def test_a_second_stamp_of_a_field_is_refused_until_the_first_is_disconnected(paid):
    with pytest.raises(TypeError) as raised:
        stamp(BillProxy, "paid_at", when=changed("note"))
    assert str(raised.value).endswith(f"'paid_at' is stamped already, at {paid.line}. Join the conditions by |.")
    paid.disconnect()
    stamp(Bill, "paid_at", when=changed("note"))


def test_a_condition_on_a_field_that_there_is_not_is_refused():
    with pytest.raises(FieldDoesNotExist) as raised:
        stamp(Bill, "paid_at", when=created | changed("state"))
    assert str(raised.value) == "changed('state'): app.Bill has no field 'state'. Did you mean 'status'?"


def test_a_condition_on_another_table_is_refused():
    with pytest.raises(TypeError) as raised:
        stamp(Invoice, "paid_at", when=changed("number"))
    assert str(raised.value) == (
        "stamp(app.Invoice, 'paid_at', when=changed('number')): 'number' is a column of app.Invoice, and 'paid_at' one"
        " of app.Bill. An update() cannot compare them: ask for fields of one table."
    )


def test_a_condition_on_a_computed_field_is_refused():
    with pytest.raises(TypeError) as raised:
        stamp(Bill, "paid_at", when=changed("shown"))
    assert str(raised.value).endswith("'shown' is computed by the database. Ask for the fields of its expression.")


# --- the forms of tutorials, for which the same tests fail ----------------------------------------------------------


def set_paid_at(sender, instance, **kwargs):
    """Compare with the row, as many answers do."""
    before = sender.objects.filter(pk=instance.pk).first()
    if before is not None and before.status != "paid" and instance.status == "paid":
        instance.paid_at = timezone.now()


@pytest.mark.parametrize(
    ("name", "is_right"),
    [(name, name in ("save", "save of an instance made by hand", "update_or_create")) for name in WRITES],
)
def test_a_receiver_that_compares_with_a_query_is_right_for_saves_of_all_fields_only(connect, name, is_right):
    connect(pre_save, set_paid_at, sender=Bill)
    one = bill(owner=Shopper.objects.create(name="Ada"))
    WRITES[name](one)
    assert is_now(paid_at(one)) is is_right


def test_auto_now_misses_an_update_and_is_set_although_nothing_is_changed():
    one = bill(touched=LONG_AGO)
    Bill.objects.update(status="paid")
    assert Bill.objects.get().touched == LONG_AGO
    one.save()
    assert Bill.objects.get().touched != LONG_AGO
