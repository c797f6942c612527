"""Transitions: no kind of write makes a forbidden move, beside the receiver that tutorials write."""

import pickle

import pytest
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Case, Value, When
from django.db.models.functions import Concat, Lower
from django.db.models.signals import pre_save

from heliograph import NO_ROW, mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import ForbiddenTransition, transitions
from heliograph.recipes.declarations import declarations
from heliograph.signals import post_save
from tests.app.models import Parcel, ParcelProxy, Registered, Shopper
from tests.helpers.stale_copies import elsewhere
from tests.helpers.statements import statements
from tests.helpers.threads import at_once
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(databases=["default", "other"])

in_autocommit = pytest.mark.django_db(transaction=True)

TABLE = {"new": {"paid", "cancelled"}, "paid": {"shipped"}}


@pytest.fixture
def moves():
    return transitions(Parcel, "status", TABLE)


def parcel(status="new", model=Parcel, **values):
    """Insert a parcel that nobody has refused, and return a fresh copy."""
    with mute(Parcel, Registered):
        made = model.objects.create(**{"code": "a", "status": status, **values})
    return model.objects.get(pk=made.pk)


def to(status, one, **values):
    for name, value in {"status": status, **values}.items():
        setattr(one, name, value)
    return one


def status_of(one):
    return Parcel.objects.values_list("status", flat=True).get(pk=one.pk)


def refused(write):
    """Return the error by which a write is refused."""
    with pytest.raises(ForbiddenTransition) as caught, transaction.atomic():
        write()
    return caught.value


# --- each kind of write -------------------------------------------------------------------------------------------


def computed(status):
    return Concat(Value(status[:2]), Value(status[2:]))


WRITES = {
    "save": lambda one, status: to(status, one).save(),
    "save(update_fields)": lambda one, status: to(status, one).save(update_fields=["status"]),
    "save of a deferred copy": lambda one, status: to(status, Parcel.objects.only("code").get(pk=one.pk)).save(),
    "save of an instance made by hand": lambda one, status: Parcel(pk=one.pk, code="a", status=status).save(),
    "save of an expression": lambda one, status: to(computed(status), one).save(),
    "update_or_create": lambda one, status: Parcel.objects.update_or_create(pk=one.pk, defaults={"status": status}),
    "bulk_update": lambda one, status: Parcel.objects.bulk_update([to(status, one)], ["status"]),
    "bulk_update of an expression": lambda one, status: Parcel.objects.bulk_update(
        [to(computed(status), one)], ["status"]
    ),
    "update": lambda one, status: Parcel.objects.filter(pk=one.pk).update(status=status),
    "update of an expression": lambda one, status: Parcel.objects.filter(pk=one.pk).update(status=computed(status)),
    "update through a related manager": lambda one, status: one.buyer.parcels.update(status=status),
    "upsert": lambda one, status: Parcel.objects.bulk_create(
        [Parcel(code="a", status=status)], **conflict("code", update=["status"])
    ),
    "proxy": lambda one, status: to(status, ParcelProxy.objects.get(pk=one.pk)).save(),
    "update of proxies": lambda one, status: ParcelProxy.objects.filter(pk=one.pk).update(status=status),
}


@pytest.mark.parametrize("name", WRITES)
def test_r15_each_kind_of_write_is_refused_a_move_that_is_not_in_the_table(moves, name):
    one = parcel("paid", buyer=Shopper.objects.create(name="Ada"))
    error = refused(lambda: WRITES[name](one, "cancelled"))
    assert (error.pk, error.old, error.new, error.allowed) == (one.pk, "paid", "cancelled", {"shipped"})
    assert status_of(one) == "paid"


@pytest.mark.parametrize("name", WRITES)
def test_each_kind_of_write_makes_a_move_of_the_table(moves, name):
    one = parcel("paid", buyer=Shopper.objects.create(name="Ada"))
    WRITES[name](one, "shipped")
    assert status_of(one) == "shipped"


@pytest.mark.parametrize("name", WRITES)
def test_no_kind_of_write_is_refused_the_state_that_it_has(moves, name):
    one = parcel("shipped", buyer=Shopper.objects.create(name="Ada"))
    WRITES[name](one, "shipped")
    assert status_of(one) == "shipped"


@pytest.mark.parametrize("name", WRITES)
def test_a_copy_that_is_older_than_its_row_does_not_count(moves, name):
    one = parcel("new", buyer=Shopper.objects.create(name="Ada"))
    with mute(Parcel):
        elsewhere(one, status="shipped")
    assert refused(lambda: WRITES[name](one, "paid")).old == "shipped"
    assert status_of(one) == "shipped"


INHERITED = {
    "save": lambda one: to("cancelled", one).save(),
    "bulk_update": lambda one: Registered.objects.bulk_update([to("cancelled", one)], ["status"]),
    "update": lambda one: Registered.objects.update(status="cancelled"),
    "update of both tables": lambda one: Registered.objects.update(number="2", status="cancelled"),
    "update of the parent": lambda one: Parcel.objects.update(status="cancelled"),
}


@pytest.mark.parametrize("name", INHERITED)
def test_a_child_by_inheritance_is_refused_as_its_parent(moves, name):
    one = parcel("paid", model=Registered)
    assert refused(lambda: INHERITED[name](one)).pk == one.pk
    assert status_of(one) == "paid"


def test_a_write_of_many_rows_is_refused_for_one_and_writes_none(moves):
    first, second = parcel(), parcel("shipped", code="b")
    assert refused(lambda: Parcel.objects.update(status="cancelled", note="x")).pk == second.pk
    by_row = Case(When(code="a", then=Value("paid")), default=Value("new"))
    assert refused(lambda: Parcel.objects.update(status=by_row)).new == "new"
    assert refused(lambda: Parcel.objects.bulk_update([to("paid", first), to("paid", second)], ["status"]))
    assert [*Parcel.objects.order_by("code").values_list("status", "note")] == [("new", ""), ("shipped", "")]


def test_r15_nothing_is_written_before_it_is_refused(moves):
    one = parcel("shipped")
    sent = []
    for write in ("save", "update", "bulk_update", "upsert"):
        sent += statements(lambda write=write: refused(lambda: WRITES[write](one, "paid")))
    assert [sql for sql in sent if sql.startswith(("UPDATE", "INSERT")) and "0 = 1" not in sql] == []


def test_other_fields_are_written_in_any_state(moves):
    one = parcel("shipped")
    to("shipped", one, note="late").save()
    to("new", one, note="later").save(update_fields=["note"])
    Parcel.objects.update(note="last")
    assert [*Parcel.objects.values_list("status", "note")] == [("shipped", "last")]


@in_autocommit
def test_r15_of_two_at_once_one_wins_and_the_other_is_refused(moves):
    one = parcel()
    copies = [Parcel.objects.get(pk=one.pk) for _ in range(2)]
    results = []

    def move(copy, status):
        try:
            to(status, copy).save()
            results.append(("moved", status))
        except ForbiddenTransition as error:
            results.append(("refused", error.old, error.new))

    at_once(*(lambda copy=copy, to=to: move(copy, to) for copy, to in zip(copies, ["paid", "cancelled"], strict=True)))
    moved, lost = sorted(results)
    assert moved[0] == "moved"
    assert lost == ("refused", moved[1], "cancelled" if moved[1] == "paid" else "paid")
    assert status_of(one) == moved[1]


@pytest.mark.django_db(transaction=True)
async def test_async_writes_are_refused(moves, async_database):
    one = await Parcel.objects.acreate(code="a", status="shipped")
    with pytest.raises(ForbiddenTransition):
        await to("new", one).asave()
    with pytest.raises(ForbiddenTransition):
        await Parcel.objects.aupdate(status="new")
    assert await Parcel.objects.filter(status="shipped").acount() == 1


def test_a_receiver_that_moves_the_row_on_is_judged_by_each_of_its_moves(connect):
    def ship(sender, instance, **kwargs):
        if instance.status == "paid":
            to("shipped", instance).save()

    connect(post_save, ship, sender=Parcel)  # it is called first
    transitions(Parcel, "status", TABLE)
    one = parcel()
    to("paid", one).save()
    assert status_of(one) == "shipped"


def test_each_database_is_asked_for_its_own_rows(moves):
    one = parcel("paid")
    with mute(Parcel):
        Parcel.objects.using("other").create(pk=one.pk, code="a", status="new")
    Parcel.objects.using("other").update(status="cancelled")
    refused(lambda: to("cancelled", one).save(using="default"))


# --- new rows -----------------------------------------------------------------------------------------------------

CREATIONS = {
    "save": lambda status: Parcel(code="a", status=status).save(),
    "create": lambda status: Parcel.objects.create(code="a", status=status),
    "bulk_create": lambda status: Parcel.objects.bulk_create([Parcel(code="a", status=status)]),
    "upsert": lambda status: Parcel.objects.bulk_create(
        [Parcel(code="a", status=status)], **conflict("code", update=["status"])
    ),
    "child": lambda status: Registered.objects.create(code="a", status=status),
    "expression": lambda status: Parcel.objects.create(code="a", status=Lower(Value(status.upper()))),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_a_new_row_may_begin_in_any_state(moves, name):
    CREATIONS[name]("shipped")
    assert Parcel.objects.get().status == "shipped"


@pytest.mark.parametrize("name", CREATIONS)
def test_a_new_row_begins_in_one_of_the_initial_states(name):
    transitions(Parcel, "status", TABLE, initial={"new"})
    error = refused(lambda: CREATIONS[name]("paid"))
    kind = "Registered" if name == "child" else "Parcel"
    assert str(error) == f"app.{kind}.status of a new row cannot be 'paid'. It may begin as 'new'."
    assert (error.old, error.new, error.allowed, Parcel.objects.count()) == (NO_ROW, "paid", {"new"}, 0)
    CREATIONS[name]("new")
    assert Parcel.objects.get().status == "new"


def test_fixtures_are_left_alone():
    transitions(Parcel, "status", TABLE, initial={"new"})
    one = parcel("shipped")
    for made in serializers.deserialize("json", serializers.serialize("json", [to("new", one)])):
        made.save()
    assert status_of(one) == "new"


# --- the error ----------------------------------------------------------------------------------------------------


def test_the_error_says_which_row_and_what_is_allowed(moves):
    one, other = parcel(), parcel("shipped", code="b")
    error = refused(to("shipped", one).save)
    assert str(error) == (
        f"app.Parcel.status of {one.pk} cannot go from 'new' to 'shipped'. It may become 'cancelled' or 'paid'."
    )
    error = refused(to("new", other).save)
    assert str(error) == f"app.Parcel.status of {other.pk} cannot go from 'shipped' to 'new'. 'shipped' is final."


def test_the_error_is_one_that_forms_understand(moves):
    error = refused(to("shipped", parcel()).save)
    assert isinstance(error, ValidationError)
    assert (error.code, error.messages) == ("forbidden_transition", [str(error)])
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.pk, copy.allowed) == (str(error), error.pk, error.allowed)


# --- declaring ----------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown field": (lambda: transitions(Parcel, "statu", TABLE), r"has no field 'statu'.* Did you mean 'status'\?$"),
    "unknown state": (
        lambda: transitions(Parcel, "status", {"new": {"payed"}}),
        r"^transitions\(app.Parcel, 'status', {'new': {'payed'}}\): 'payed' is not among the choices of 'status'."
        r" Did you mean 'paid'\?$",
    ),
    "unknown initial state": (
        lambda: transitions(Parcel, "status", TABLE, initial={"x"}),
        r"'x' is not among .* It has 'cancelled', 'new', 'paid', 'shipped'.$",
    ),
    "a text for a set": (
        lambda: transitions(Parcel, "status", {"new": "paid"}),
        r": 'paid' is not a set of states. Write \{'paid'\}.$",
    ),
    "pairs for a table": (
        lambda: transitions(Parcel, "status", [("new", "paid")]),
        r"^transitions\(app.Parcel, 'status', \[\('new', 'paid'\)\]\): the table is a mapping, such as"
        r" \{'new': \{'paid'\}\}, not \[\('new', 'paid'\)\].$",
    ),
    "field of the parent": (
        lambda: transitions(Registered, "status", TABLE),
        r": 'status' is a column of app.Parcel, which others may write. Declare it for 'app.Parcel'.$",
    ),
    "proxy": (lambda: transitions(ParcelProxy, "status", TABLE), r"Declare it for 'app.Parcel'.$"),
}


@pytest.mark.parametrize(("declare", "text"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_work_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=text):
        declare()
    assert declarations == []


def test_a_model_may_be_named():
    transitions("app.Parcel", "status", TABLE)
    refused(to("shipped", parcel()).save)


def test_a_state_that_nothing_leads_to_is_no_mistake():
    transitions(Parcel, "status", {"paid": {"shipped"}})


def test_disconnected_it_refuses_nothing_and_leaves_no_receiver(moves):
    assert moves.disconnect()
    assert not moves.disconnect()
    assert not pre_save.has_listeners(Parcel)
    assert not post_save.has_listeners(Parcel)
    one = parcel("shipped")
    to("new", one).save()
    assert status_of(one) == "new"


def test_muted_it_refuses_nothing(moves):
    one = parcel("shipped")
    with mute(Parcel):
        to("new", one).save()
        Parcel.objects.update(status="paid")
        Parcel.objects.update(status=computed("new"))
    assert status_of(one) == "new"


def test_a_state_that_is_known_before_the_write_is_asked_for_once(moves):
    one, other = parcel(), parcel(code="b")
    with trace() as known:
        to("paid", one).save()
    with trace() as unknown:
        to(computed("paid"), other).save()
    calls = [[one for one in flow.events if isinstance(one, Called)] for flow in (known, unknown)]
    assert [*map(len, calls)] == [1, 2]


def test_a_trace_shows_it_by_its_name(moves):
    one = parcel()
    with trace() as flow:
        to("paid", one).save()
    assert "transitions(app.Parcel.status)" in str(flow)
    assert "is not called: no state was computed by the database" in str(flow)


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    """Connect what tutorials write: it asks for the row, and compares."""

    def check(sender, instance, **kwargs):
        before = Parcel.objects.filter(pk=instance.pk).first()
        if before and before.status != instance.status and instance.status not in TABLE.get(before.status, ()):
            raise ValidationError("not allowed")

    connect(pre_save, check, sender=Parcel)


MISSED = ["bulk_update", "update", "update of an expression", "update through a related manager", "upsert", "proxy"]


@pytest.mark.usefixtures("tutorial")
class TestTutorial:
    @pytest.mark.parametrize("name", MISSED)
    def test_writes_that_it_does_not_receive_make_any_move(self, name):
        one = parcel("paid", buyer=Shopper.objects.create(name="Ada"))
        WRITES[name](one, "cancelled")
        assert status_of(one) == "cancelled"

    def test_a_move_between_its_query_and_the_write_is_lost(self, connect):
        one = parcel()

        def pay_meanwhile(sender, instance, **kwargs):
            elsewhere(one, status="paid")

        connect(pre_save, pay_meanwhile, sender=Parcel)
        to("cancelled", Parcel.objects.get(pk=one.pk)).save()
        assert status_of(one) == "cancelled"
