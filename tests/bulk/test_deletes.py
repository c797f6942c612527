"""Deletes, and the rows that they change: cases B12 to B17."""

import datetime
from decimal import Decimal
from operator import attrgetter

import django
import pytest
from django.core.checks import run_checks
from django.db import NotSupportedError, connection, transaction
from django.db.models import Count, ProtectedError, RestrictedError
from django.db.models.signals import post_delete, post_init, post_save, pre_delete

from heliograph import BeforeCommit, OnCommit, changed, mute
from heliograph.signals import post_bulk_delete, post_update, pre_bulk_delete
from tests.app import models
from tests.app.models import (
    Article,
    Audiobook,
    Branch,
    Chapter,
    Desk,
    Essay,
    Folder,
    Loan,
    Named,
    Novel,
    Remark,
    Reprint,
    Seat,
    Writer,
)
from tests.helpers.errors import MishapError
from tests.helpers.statements import verbs
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])  # where the transaction says nothing: faster


def make_desks(count, code="a", using="default"):
    """Return a branch that has desks."""
    branch = Branch.objects.using(using).create(code=code, city=f"City of {code}")
    Desk.objects.using(using).bulk_create([Desk(branch=branch, number=number) for number in range(count)])
    return branch


def keys(rows):
    return set(rows.values_list("pk", flat=True))


@pytest.fixture
def batches(receive):
    """Connect a receiver of batches: `received = batches(post_delete, sender=Desk, bulk=True)` is the list of them."""

    def connect(signal, policy=BeforeCommit, **options):
        received = []

        @receive(signal, delivery=policy(batch=True), **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


@pytest.fixture
def listen_to_rows(receive):
    """Connect a receiver of single rows: `names = listen_to_rows(post_delete, "name", sender=Writer)` is the list.

    They are read when it is called, because Django takes the key of a row that is gone away from its instance.
    """

    def connect(signal, *names, **options):
        received, value = [], attrgetter(*names or ["pk"])

        @receive(signal, **options)
        def record(sender, instance, **kwargs):
            received.append(value(instance))

        return received

    return connect


# --- deleting a queryset ------------------------------------------------------------------------------------------


def test_b12_a_queryset_that_nobody_receives_is_deleted_in_one_statement(listen):
    make_desks(3)
    for signal in (pre_bulk_delete, post_bulk_delete):
        listen(signal, sender=Article)
    listen(post_delete, sender=Article, bulk=True)
    assert verbs(Desk.objects.all().delete) == ["BEGIN", "DELETE", "COMMIT"]


@pytest.mark.parametrize(
    ("signal", "options"),
    [
        (post_delete, {"bulk": True}),
        (post_delete, {"bulk": True, "delivery": OnCommit()}),
        (pre_bulk_delete, {}),
        (post_bulk_delete, {}),
    ],
)
def test_b12_a_queryset_that_is_received_in_bulk_is_deleted_in_one_statement(listen, signal, options):
    make_desks(3)
    received = listen(signal, sender=Desk, **options)
    assert verbs(Desk.objects.all().delete) == ["BEGIN", "DELETE", "COMMIT"]
    assert received != []


def test_b12_a_receiver_in_bulk_receives_each_row_with_its_key_and_its_fields(listen_to_rows):
    make_desks(3)
    rows = sorted(Desk.objects.values_list("pk", "branch_id", "number"))
    received = listen_to_rows(post_delete, "pk", "branch_id", "number", sender=Desk, bulk=True)
    Desk.objects.all().delete()
    assert sorted(received) == rows


def test_b12_it_receives_what_django_sends(listen):
    make_desks(1)
    received = listen(post_delete, sender=Desk, bulk=True)
    queryset = Desk.objects.filter(number=0)
    queryset.delete()
    (one,) = received
    instance = one.payload.pop("instance")
    assert (one.sender, one.payload) == (Desk, {"using": "default", "origin": queryset})
    assert (type(instance), instance._state.db, instance._state.adding) == (Desk, "default", False)


def test_b12_the_values_of_a_row_are_those_that_django_loads(listen_to_rows):
    Article.objects.create(
        title="a", price=Decimal("1.50"), labels=["x"], published=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    )
    fields = [field.attname for field in Article._meta.concrete_fields]
    row = Article.objects.values_list(*fields).get()
    received = listen_to_rows(post_delete, *fields, sender=Article, bulk=True)
    Article.objects.all().delete()
    assert received == [row]


@pytest.mark.parametrize(
    "rows",
    [Desk.objects.only("branch"), Branch.objects.only("code"), Audiobook.objects.only("name")],
    ids=["in one statement", "with what is below", "of a child"],
)
def test_b12_fields_that_a_queryset_defers_are_known(listen, rows):
    Desk.objects.create(branch=make_desks(0), number=7)
    Audiobook.objects.create(name="a", minutes=9)
    received = listen(post_bulk_delete, sender=rows.model)
    rows.all().delete()
    (instance,) = received[0].payload["batch"].instances
    assert instance.get_deferred_fields() == set()


def test_b12_beside_a_receiver_of_djangos_sends_nobody_receives_a_row_twice(listen_to_rows):
    make_desks(3)
    expected = sorted(keys(Desk.objects))
    received = [listen_to_rows(post_delete, sender=Desk, **options) for options in ({"bulk": True}, {}, {"bulk": True})]
    Desk.objects.all().delete()
    assert [sorted(one) for one in received] == [expected] * 3


def test_b12_beside_a_receiver_of_pre_delete_too(listen, listen_to_rows):
    make_desks(3)
    expected = sorted(keys(Desk.objects))
    received = [listen_to_rows(post_delete, sender=Desk, bulk=True), listen_to_rows(pre_delete, sender=Desk)]
    batch = listen(post_bulk_delete, sender=Desk)
    Desk.objects.all().delete()
    assert [sorted(one) for one in received] == [expected] * 2
    assert [sorted(one.payload["batch"].pks) for one in batch] == [expected]


def test_b12_a_receiver_of_pre_delete_in_bulk_receives_what_django_sends(listen_to_rows):
    make_desks(2)
    expected = sorted(keys(Desk.objects))
    received = listen_to_rows(pre_delete, sender=Desk, bulk=True)
    Desk.objects.all().delete()
    assert sorted(received) == expected


@pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
def test_b12_a_receiver_of_batches_is_called_once_a_transaction(batches, policy):
    make_desks(3)
    expected = keys(Desk.objects)
    received = batches(post_delete, policy, sender=Desk, bulk=True)
    with transaction.atomic():
        Desk.objects.filter(number=0).delete()
        Desk.objects.all().delete()
    (batch,) = received
    assert {one.pk for one in batch.deleted} == set(batch.pks) == expected
    assert {event.kind for event in batch.events} == {"deleted"}


def test_b12_a_row_that_is_written_and_then_deleted_is_deleted(batches):
    branch = make_desks(2)
    expected = keys(Desk.objects)
    received = batches([post_save, post_delete], sender=Desk, bulk=True)
    with transaction.atomic():
        Desk.objects.update(number=9)
        Desk.objects.bulk_create([Desk(branch=branch)])
        Desk.objects.all().delete()
    (batch,) = received
    assert ({one.pk for one in batch.deleted}, batch.created, batch.updated) == (expected, [], [])


def test_b12_a_condition_is_asked_of_each_row(listen):
    make_desks(3)
    received = listen(post_delete, sender=Desk, bulk=True, when=lambda instance, **kwargs: instance.number == 1)
    Desk.objects.all().delete()
    assert [one.payload["instance"].number for one in received] == [1]


def test_b12_post_bulk_delete_is_one_event_with_all_rows(listen):
    make_desks(3)
    rows = set(Desk.objects.values_list("pk", "number"))
    received = listen(post_bulk_delete, sender=Desk)
    queryset = Desk.objects.all()
    queryset.delete()
    (one,) = received
    batch = one.payload.pop("batch")
    assert (one.sender, one.payload) == (Desk, {"using": "default", "origin": queryset})
    assert set(batch.pks) == {key for key, _ in rows}
    assert {(one.pk, one.number) for one in batch.instances} == rows
    assert (batch.deleted, batch.created, batch.updated) == (batch.instances, [], [])


def test_b12_keys_alone_make_no_instances(listen):
    make_desks(3)
    expected = keys(Desk.objects)
    received, made = listen(post_bulk_delete, sender=Desk), listen(post_init, sender=Desk)
    Desk.objects.all().delete()
    assert set(received[0].payload["batch"].pks) == expected
    assert made == []


def test_b12_pre_bulk_delete_comes_with_the_rows_that_will_go(receive):
    make_desks(3)
    received = []

    @receive(pre_bulk_delete, sender=Desk)
    def record(sender, queryset, using, origin, **kwargs):
        received.append((queryset.model, sorted(desk.number for desk in queryset), using, origin))

    queryset = Desk.objects.filter(number__gt=0)
    queryset.delete()
    assert received == [(Desk, [1, 2], "default", queryset)]


@pytest.mark.parametrize(
    ("signal", "options"),
    [
        (pre_bulk_delete, {}),
        (post_bulk_delete, {}),
        (post_delete, {"bulk": True}),
        (post_delete, {"bulk": True, "delivery": BeforeCommit()}),
    ],
)
def test_b12_what_a_receiver_raises_keeps_the_rows(receive, signal, options):
    make_desks(3)

    @receive(signal, sender=Desk, **options)
    def refuse(sender, **kwargs):
        raise MishapError

    with pytest.raises(MishapError):
        Desk.objects.all().delete()
    assert Desk.objects.count() == 3


def test_b12_what_a_receiver_deletes_is_received_too(receive, listen):
    make_desks(2, "a")
    make_desks(3, "b")
    expected, keys_of_rows = sorted(keys(Desk.objects)), []

    @receive(post_delete, sender=Desk, bulk=True)
    def delete_the_others(sender, instance, **kwargs):
        keys_of_rows.append(instance.pk)
        Desk.objects.filter(branch="b").delete()

    batch = listen(post_bulk_delete, sender=Desk)
    Desk.objects.filter(branch="a").delete()
    assert sorted(keys_of_rows) == expected
    assert sorted(len(one.payload["batch"].pks) for one in batch) == [2, 3]


def test_b12_after_a_rollback_nobody_is_called(listen):
    make_desks(3)
    received = listen(post_bulk_delete, sender=Desk, delivery=OnCommit())
    with transaction.atomic():
        Desk.objects.all().delete()
        transaction.set_rollback(True)
    assert received == []


def test_b12_an_instance_that_is_deleted_by_its_own_method_is_received_as_ever(listen):
    desk = Desk.objects.create(branch=make_desks(0))
    in_bulk, batch = listen(post_delete, sender=Desk, bulk=True), listen(post_bulk_delete, sender=Desk)
    assert desk.delete() == (1, {"app.Desk": 1})
    assert [one.payload["instance"] is desk for one in in_bulk] == [True]
    assert in_bulk[0].payload["origin"] is desk
    assert (batch, desk.pk) == ([], None)


def test_b12_where_nothing_goes_there_is_no_event(listen):
    received = [listen(post_bulk_delete, sender=Desk), listen(post_delete, sender=Desk, bulk=True)]
    assert Desk.objects.all().delete() == (0, {})
    assert Desk.objects.none().delete() == (0, {})
    assert received == [[], []]


@in_a_test_case
@pytest.mark.parametrize(
    "rows",
    [
        lambda: Desk.objects.filter(branch__city="City of a"),
        lambda: Desk.objects.exclude(branch__city="City of b"),
        lambda: Desk.objects.order_by("-number"),
        lambda: Desk.objects.distinct(),
        lambda: Desk.objects.select_related("branch"),
        lambda: Desk.objects.annotate(others=Count("branch__desks")).filter(others=2),
        lambda: Desk.objects.filter(pk__in=Desk.objects.filter(number=0)),
        lambda: Branch.objects.filter(desks__number=1),
        lambda: Branch.objects.order_by("-city"),
    ],
    ids=["joined", "excluded", "ordered", "distinct", "related", "grouped", "nested", "parents", "ordered parents"],
)
def test_b12_what_delete_returns_and_what_goes_is_as_in_django(listen, rows):
    def world():
        for code in "ab":
            make_desks(2, code)

    world()
    returned, left = rows().delete(), (Branch.objects.count(), Desk.objects.count())
    Branch.objects.all().delete()
    world()
    received = listen(post_bulk_delete, sender=Desk)
    before = keys(Desk.objects)
    assert rows().delete() == returned
    assert (Branch.objects.count(), Desk.objects.count()) == left
    assert {key for one in received for key in one.payload["batch"].pks} == before - keys(Desk.objects)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (lambda: Desk.objects.order_by("pk")[:1], TypeError),
        (lambda: Desk.objects.distinct("branch"), TypeError),
        (lambda: Desk.objects.values("pk"), TypeError),
        (lambda: Desk.objects.all().union(Desk.objects.all()), NotSupportedError),
    ],
    ids=["sliced", "distinct on a field", "values", "union"],
)
def test_b12_what_cannot_be_deleted_is_djangos_own_error(listen, rows, error):
    make_desks(2)
    with pytest.raises(error) as without:
        rows().delete()
    received = [listen(signal, sender=Desk) for signal in (pre_bulk_delete, post_bulk_delete)]
    with pytest.raises(error) as with_receivers:
        rows().delete()
    assert str(with_receivers.value) == str(without.value)
    assert (received, Desk.objects.count()) == ([[], []], 2)


def test_b12_a_key_of_two_columns_is_received_too(listen):
    Seat.objects.create(row=1, number=2, guest="Ada")
    received = listen(post_bulk_delete, sender=Seat)
    Seat.objects.filter(guest="Ada").delete()
    (batch,) = (one.payload["batch"] for one in received)
    assert [tuple(key) for key in batch.pks] == [(1, 2)]
    assert [one.guest for one in batch.instances] == ["Ada"]


def test_b12_each_database_tells_its_own_rows(listen):
    make_desks(1)
    make_desks(2, using="other")
    received = [listen(post_delete, sender=Desk, bulk=True, using=using) for using in ("default", "other")]
    batch = listen(post_bulk_delete, sender=Desk)
    Desk.objects.using("other").all().delete()
    assert [len(one) for one in received] == [0, 2]
    assert [(one.payload["using"], len(one.payload["batch"].pks)) for one in batch] == [("other", 2)]
    assert {one._state.db for one in batch[0].payload["batch"].instances} == {"other"}


def test_b12_a_muted_delete_is_not_received(listen):
    make_desks(2)
    received = [listen(post_delete, sender=Desk, bulk=True), listen(post_bulk_delete, sender=Desk)]
    with mute(sender=Desk):
        Desk.objects.all().delete()
    assert (received, Desk.objects.count()) == ([[], []], 0)


async def test_b12_adelete_is_received(listen, async_database):
    branch = await Branch.objects.acreate(code="a")
    desk = await Desk.objects.acreate(branch=branch)
    received = [listen(post_delete, sender=Desk, bulk=True), listen(post_bulk_delete, sender=Desk)]
    assert await Desk.objects.filter(pk=desk.pk).adelete() == (1, {"app.Desk": 1})
    assert [len(one) for one in received] == [1, 1]


@pytest.mark.parametrize("model", [Desk, Branch], ids=["in one statement", "with what is below"])
def test_b12_a_row_that_several_delete_at_once_is_received_once(listen, model):
    received = listen(post_bulk_delete, sender=model)
    for number in range(10):
        make_desks(20, f"round {number}")
    expected = sorted(keys(model.objects))
    at_once(*[model.objects.all().delete] * 3)
    assert sorted(key for one in received for key in one.payload["batch"].pks) == expected


def test_b12_senders_are_named_as_for_other_signals(listen):
    Writer.objects.create(name="a")
    received = [
        listen(post_bulk_delete, sender="app.Writer"),
        listen(post_bulk_delete, sender=[Branch, Writer]),
        listen(post_bulk_delete, sender=Named, subclasses=True),
        listen(post_bulk_delete),
    ]
    Writer.objects.all().delete()
    assert [[one.sender for one in each] for each in received] == [[Writer]] * 4


def test_b12_a_proxy_is_the_sender_as_in_django(listen):
    Novel.objects.create(name="a")
    received = [listen(post_bulk_delete, sender=sender) for sender in (Reprint, Novel)]
    Reprint.objects.all().delete()
    assert [len(one) for one in received] == [1, 0]


def test_b12_the_rows_of_parents_are_events_of_their_own_models(listen):
    book, novel = Audiobook.objects.create(name="a", minutes=9), Novel.objects.create(name="b")
    received = [listen(post_bulk_delete, sender=sender) for sender in (Audiobook, Novel)]
    Audiobook.objects.all().delete()
    assert [[one.payload["batch"].pks for one in each] for each in received] == [[[book.pk]], [[book.pk]]]
    of_child = received[0][0].payload["batch"].instances
    assert [(one.name, one.minutes) for one in of_child] == [("a", 9)]
    assert Novel.objects.get() == novel


def test_b12_a_child_goes_with_its_parent(listen, listen_to_rows):
    book = Audiobook.objects.create(name="a", minutes=9)
    received, rows = (
        listen(post_bulk_delete, sender=Audiobook),
        listen_to_rows(post_delete, sender=Audiobook, bulk=True),
    )
    Novel.objects.all().delete()
    assert [one.payload["batch"].pks for one in received] == [rows] == [[book.pk]]


def test_b12_a_parent_that_is_kept_is_no_event(listen):
    book = Audiobook.objects.create(name="a")
    received = [listen(post_bulk_delete, sender=Novel), listen(post_delete, sender=Novel, bulk=True)]
    book.delete(keep_parents=True)
    assert (received, Novel.objects.count()) == ([[], []], 1)


# --- cascades -----------------------------------------------------------------------------------------------------


def test_b13_children_are_one_batch(listen, batches):
    branch = make_desks(1000)
    expected = keys(Desk.objects)
    received = [batches(post_delete, sender=Desk, bulk=True), batches(post_delete, OnCommit, sender=Desk, bulk=True)]
    event = listen(post_bulk_delete, sender=Desk)
    branch.delete()
    assert [[set(batch.pks) for batch in one] for one in received] == [[expected]] * 2
    assert [(set(one.payload["batch"].pks), one.payload["origin"]) for one in event] == [(expected, branch)]


def test_b13_more_children_are_no_more_queries(listen, batches):
    few, many = make_desks(10, "few"), make_desks(1000, "many")
    without_receivers = verbs(make_desks(10, "unreceived").delete)
    batches(post_delete, sender=Desk, bulk=True)
    listen(post_bulk_delete, sender=Desk)
    assert verbs(few.delete) == verbs(many.delete) == without_receivers


def test_b13_the_instance_whose_own_method_was_called_is_not_among_them(listen):
    branch = make_desks(2)
    received = [listen(signal, sender=Branch) for signal in (pre_bulk_delete, post_bulk_delete)]
    branch.delete()
    assert received == [[], []]


def test_b13_pre_bulk_delete_is_sent_for_children_that_are_still_there(receive):
    branch, received = make_desks(2), []

    @receive(pre_bulk_delete, sender=Desk)
    def record(sender, queryset, **kwargs):
        received.append((queryset.count(), kwargs["origin"]))

    branch.delete()
    assert received == [(2, branch)]


def test_b13_parents_that_go_as_a_queryset_are_one_event_and_their_children_another(listen):
    for code in "ab":
        make_desks(2, code)
    received = [listen(post_bulk_delete, sender=sender) for sender in (Branch, Desk)]
    Branch.objects.all().delete()
    assert [[len(one.payload["batch"].pks) for one in each] for each in received] == [[2], [4]]


def make_shelf():
    """Return a writer with two novels, of two chapters each."""
    writer = Writer.objects.create(name="w")
    for name in "ab":
        novel = Novel.objects.create(name=name, writer=writer)
        for number in "12":
            Chapter.objects.create(name=name + number, novel=novel)
    return writer


def test_b13_every_level_of_a_cascade_is_one_event(listen):
    writer = make_shelf()
    received = [listen(post_bulk_delete, sender=sender) for sender in (Writer, Novel, Chapter)]
    writer.delete()
    names = [[sorted(row.name for row in one.payload["batch"].instances) for one in each] for each in received]
    assert names == [[], [["a", "b"]], [["a1", "a2", "b1", "b2"]]]


def test_b13_every_level_is_received_row_by_row(listen):
    writer = make_shelf()
    received = [listen(post_delete, sender=sender, bulk=True) for sender in (Writer, Novel, Chapter)]
    writer.delete()
    names = [sorted(one.payload["instance"].name for one in each) for each in received]
    assert names == [["w"], ["a", "b"], ["a1", "a2", "b1", "b2"]]


def test_b13_receivers_below_leave_the_statements_above_as_they_are(listen):
    without = verbs(make_shelf().delete)
    listen(post_delete, sender=Chapter, bulk=True)
    listen(post_bulk_delete, sender=Novel)
    assert verbs(make_shelf().delete) == without


def test_b13_rows_that_go_are_not_told_to_be_updated(listen):
    # Where constraints cannot wait for the commit, Django empties a nullable key before it deletes the row.
    writer = make_shelf()
    received = [listen(post_update, sender=Novel), listen(post_save, sender=Novel, bulk=True)]
    writer.delete()
    assert received == [[], []]


def test_b13_rows_that_django_deletes_in_several_statements_are_one_event(listen):
    writer = Writer.objects.create(name="w")
    Novel.objects.bulk_create([Novel(name=str(number), writer=writer) for number in range(250)])
    received, rows = listen(post_bulk_delete, sender=Novel), listen(post_delete, sender=Novel, bulk=True)
    writer.delete()
    assert [len(one.payload["batch"].pks) for one in received] == [len(rows)] == [250]


def test_b13_rows_below_one_of_their_own_kind_are_an_event_without_it(listen):
    top = Folder.objects.create(name="top")
    middle = Folder.objects.create(name="middle", parent=top)
    Folder.objects.create(name="below", parent=middle)
    received, rows = listen(post_bulk_delete, sender=Folder), listen(post_delete, sender=Folder, bulk=True)
    top.delete()
    (names,) = [sorted(row.name for row in one.payload["batch"].instances) for one in received]
    assert names == ["below", "middle"]
    assert sorted(one.payload["instance"].name for one in rows) == ["below", "middle", "top"]


def test_b13_rows_of_a_generic_relation_go_along(listen):
    essay = Essay.objects.create(name="a")
    Remark.objects.create(target=essay, text="here")
    received = [listen(post_bulk_delete, sender=Remark), listen(post_delete, sender=Remark, bulk=True)]
    essay.delete()
    assert [[row.text for row in one.payload["batch"].instances] for one in received[0]] == [["here"]]
    assert [one.payload["instance"].text for one in received[1]] == ["here"]


@pytest.mark.parametrize("method", ["remove", "clear"])
def test_b13_the_manager_of_a_generic_relation_deletes(listen, method):
    essay = Essay.objects.create(name="a")
    remark = Remark.objects.create(target=essay)
    key = remark.pk
    received = listen(post_bulk_delete, sender=Remark)
    getattr(essay.remarks, method)(*[remark][: method == "remove"])
    assert [one.payload["batch"].pks for one in received] == [[key]]


# --- rows that stay, with another key -----------------------------------------------------------------------------

LEFT_BEHIND = pytest.mark.parametrize(
    ("field", "new"), [("nulled", None), ("defaulted", "main"), ("fixed", "main"), ("computed", "main")]
)
NOWHERE = {"defaulted": None}


def make_loans(count, field="nulled", code="gone"):
    """Return a branch that has loans, beside the one to which they may fall."""
    Branch.objects.get_or_create(code="main")
    branch = Branch.objects.create(code=code)
    Loan.objects.bulk_create([Loan(**{**NOWHERE, field: branch}) for _ in range(count)])
    return branch


@in_a_test_case
@LEFT_BEHIND
def test_b14_the_key_of_a_row_that_stays_is_an_update(listen, field, new):
    branch = make_loans(2, field)
    Loan.objects.create(**NOWHERE)  # which has nothing to do with it
    expected = sorted((key, "gone", new) for key in keys(Loan.objects.exclude(**{field: None})))
    received = listen(post_update, sender=Loan)
    branch.delete()
    (one,) = received
    batch = one.payload.pop("batch")
    assert (one.sender, one.payload) == (Loan, {"using": "default", "update_fields": frozenset({field})})
    assert sorted(batch.changes(field)) == expected
    assert {getattr(row, f"{field}_id") for row in batch.updated} == {new}


@in_a_test_case
@LEFT_BEHIND
def test_b14_it_is_received_as_a_save_of_this_field(listen, field, new):
    branch = make_loans(1, field)
    (key,) = keys(Loan.objects)
    received = listen(post_save, sender=Loan, bulk=True, when=changed(field, was="gone", to=new))
    branch.delete()
    (one,) = received
    instance = one.payload.pop("instance")
    assert (instance.pk, getattr(instance, f"{field}_id")) == (key, new)
    assert one.payload == {"created": False, "raw": False, "using": "default", "update_fields": frozenset({field})}


@in_a_test_case
@LEFT_BEHIND
def test_b14_a_receiver_that_asks_for_changes_gets_the_old_key(receive, field, new):
    branch, received = make_loans(1, field), []

    @receive(post_save, sender=Loan, bulk=True)
    def record(sender, changes, **kwargs):
        received.append(changes[field])

    branch.delete()
    assert received == [("gone", new)]


def test_b14_rows_left_by_a_queryset_are_one_event(listen):
    make_loans(2, code="x")
    make_loans(3, code="y")
    received = listen(post_update, sender=Loan)
    Branch.objects.exclude(code="main").delete()
    assert [sorted(old for _, old, _ in one.payload["batch"].changes("nulled")) for one in received] == [
        ["x", "x", "y", "y", "y"]
    ]


def test_b14_rows_that_django_changes_in_several_statements_are_one_event(listen):
    branch = make_loans(250, "computed")
    received = listen(post_update, sender=Loan)
    branch.delete()
    assert [len(one.payload["batch"].changes("computed")) for one in received] == [250]


def test_b14_a_row_that_loses_several_keys_is_one_event_of_a_batch(batches):
    Branch.objects.create(code="main")
    gone = Branch.objects.create(code="gone")
    Loan.objects.create(nulled=gone, defaulted=gone, computed=gone)
    received = batches(post_save, sender=Loan, bulk=True, when=changed("nulled", "defaulted", "computed"))
    gone.delete()
    (event,) = (event for batch in received for event in batch.events)
    assert event.changes == {"nulled": ("gone", None), "defaulted": ("gone", "main"), "computed": ("gone", "main")}


def test_b14_more_rows_are_no_more_queries(listen):
    few, many = make_loans(10, code="few"), make_loans(1000, code="many")
    received = listen(post_update, sender=Loan)
    assert len(verbs(few.delete)) == len(verbs(many.delete))
    assert [len(one.payload["batch"].changes("nulled")) for one in received] == [10, 1000]


@LEFT_BEHIND
def test_b14_where_nobody_listens_the_statements_are_djangos(listen, field, new):
    first, second = make_loans(2, field, "first"), make_loans(2, field, "second")
    without = verbs(first.delete)
    listen(post_update, sender=Article)
    listen(post_save, sender=Article, bulk=True, when=changed("title"))
    listen(post_save, sender=Loan)
    assert verbs(second.delete) == without


def test_b14_what_a_receiver_raises_brings_both_rows_back(receive):
    branch = make_loans(1)

    @receive(post_update, sender=Loan)
    def refuse(sender, **kwargs):
        raise MishapError

    with pytest.raises(MishapError):
        branch.delete()
    assert Loan.objects.get().nulled == branch


def test_b14_each_database_tells_its_own_updates(listen):
    branch = Branch.objects.using("other").create(code="gone")
    Loan.objects.using("other").create(nulled=branch, **NOWHERE)
    received = listen(post_update, sender=Loan)
    branch.delete()
    assert [one.payload["using"] for one in received] == ["other"]


# --- what cannot be received -----------------------------------------------------------------------------------------

SINCE_6_1 = pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has DB_CASCADE since 6.1")


def warnings():
    return [(one.id, one.obj) for one in run_checks() if one.id.startswith("heliograph.W")]


@SINCE_6_1
@pytest.mark.parametrize("signal", [pre_delete, post_delete])
@pytest.mark.parametrize("options", [{}, {"bulk": True}], ids=["plain", "bulk"])
def test_b15_a_check_warns_of_receivers_of_rows_that_the_database_deletes(receive, signal, options):
    @receive(signal, sender=models.Footnote, **options)
    def wait_in_vain(sender, **kwargs): ...

    ((number, receiver),) = warnings()
    assert number == "heliograph.W001"
    assert "wait_in_vain" in receiver


@SINCE_6_1
def test_b15_a_check_warns_of_receivers_in_bulk_of_rows_that_the_database_changes(receive):
    @receive(post_save, sender=models.Sidenote, bulk=True)
    def wait_in_vain(sender, **kwargs): ...

    assert [number for number, _ in warnings()] == ["heliograph.W001"]


@SINCE_6_1
def test_b15_a_check_does_not_warn_of_what_is_received(receive):
    assert warnings() == []

    @receive(post_save, sender=[models.Footnote, models.Sidenote])
    def receive_saves(sender, **kwargs): ...

    @receive(post_delete, sender=[models.Page, models.Sidenote, Desk], bulk=True)
    def receive_deletes(sender, **kwargs): ...

    assert warnings() == []


@SINCE_6_1
def test_b15_rows_that_the_database_deletes_are_not_received(listen):
    page = models.Page.objects.create()
    models.Footnote.objects.create(page=page)
    received = [listen(signal, sender=models.Footnote) for signal in (pre_bulk_delete, post_bulk_delete)]
    page.delete()
    assert (received, models.Footnote.objects.count()) == ([[], []], 0)


@pytest.mark.parametrize(("field", "error"), [("protected", ProtectedError), ("restricted", RestrictedError)])
@pytest.mark.parametrize("as_queryset", [True, False])
def test_b16_a_delete_that_is_refused_has_no_events(listen, field, error, as_queryset):
    branch = make_loans(1, field)
    Loan.objects.create(nulled=branch, **NOWHERE)
    Desk.objects.create(branch=branch)
    received = [
        listen(signal, sender=sender)
        for signal in (pre_bulk_delete, post_bulk_delete, post_update)
        for sender in (Branch, Desk, Loan)
    ]
    received += [listen(post_delete, sender=Desk, bulk=True), listen(post_save, sender=Loan, bulk=True)]
    with pytest.raises(error):
        (Branch.objects.filter(pk=branch.pk) if as_queryset else branch).delete()
    assert [one for one in received if one] == []


def test_b16_deletes_past_the_orm_are_not_received(listen):
    make_desks(2)
    received = [listen(signal, sender=Desk) for signal in (pre_bulk_delete, post_bulk_delete)]
    received.append(listen(post_delete, sender=Desk, bulk=True))
    Desk.objects.filter(number=0)._raw_delete("default")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM app_desk")
    assert (received, Desk.objects.count()) == ([[], [], []], 0)


# --- related managers of a foreign key ----------------------------------------------------------------------------


@pytest.fixture
def shelf():
    """Two writers, and novels of the first, of the second and of nobody."""
    one, two = (Writer.objects.create(name=name) for name in ("one", "two"))
    return [
        one,
        two,
        *(Novel.objects.create(name=name, writer=writer) for name, writer in zip("abc", (one, two, None), strict=True)),
    ]


MOVES = {
    "add": (lambda one, a, b, c: one.novels.add(a, b, c), "bc"),
    "remove": (lambda one, a, b, c: one.novels.remove(a), "a"),
    "clear": (lambda one, a, b, c: one.novels.clear(), "a"),
    "set": (lambda one, a, b, c: one.novels.set([b, c]), "abc"),
    "set to what it is": (lambda one, a, b, c: one.novels.set([a]), ""),
    "set, and clear first": (lambda one, a, b, c: one.novels.set([b], clear=True), "ab"),
    "add, one by one": (lambda one, a, b, c: one.novels.add(a, b, c, bulk=False), "bc"),
    "remove, one by one": (lambda one, a, b, c: one.novels.remove(a, bulk=False), "a"),
    "clear, one by one": (lambda one, a, b, c: one.novels.clear(bulk=False), "a"),
    "set, one by one": (lambda one, a, b, c: one.novels.set([b, c], bulk=False), "abc"),
}


@in_a_test_case
@pytest.mark.parametrize(("move", "names"), MOVES.values(), ids=MOVES)
def test_b17_rows_that_a_related_manager_moves_are_received_once_each_with_the_old_key(receive, shelf, move, names):
    one, _, *novels = shelf
    before = dict(Novel.objects.values_list("name", "writer"))
    received = []

    @receive(post_save, sender=Novel, bulk=True, when=changed("writer"))
    def record(sender, instance, created, changes, **kwargs):
        received.append((instance.name, created, *changes["writer"]))

    move(one, *(Novel.objects.get(pk=novel.pk) for novel in novels))
    after = dict(Novel.objects.values_list("name", "writer"))
    assert sorted(received) == [(name, False, before[name], after[name]) for name in names]


@in_a_test_case
@pytest.mark.parametrize(
    ("move", "names"),
    [(move, names) for name, (move, names) in MOVES.items() if "one by one" not in name],
    ids=[name for name in MOVES if "one by one" not in name],
)
def test_b17_they_are_updates_with_the_old_key(listen, shelf, move, names):
    one, _, *novels = shelf
    before = dict(Novel.objects.values_list("pk", "writer"))
    received = listen(post_update, sender=Novel)
    move(one, *novels)
    after = dict(Novel.objects.values_list("pk", "writer"))
    moved = {key: (old, new) for call in received for key, old, new in call.payload["batch"].changes("writer")}
    assert moved == {novel.pk: (before[novel.pk], after[novel.pk]) for novel in novels if novel.name in names}
    assert {call.payload["update_fields"] for call in received} <= {frozenset({"writer"})}


@pytest.mark.parametrize("method", ["add", "set"])
def test_b17_one_by_one_they_are_saves(listen, shelf, method):
    one, _, _, b, _ = shelf
    updates, saves = listen(post_update, sender=Novel), listen(post_save, sender=Novel)
    {"add": lambda: one.novels.add(b, bulk=False), "set": lambda: one.novels.set([b], bulk=False)}[method]()
    assert updates == []
    assert b in [call.payload["instance"] for call in saves]


def test_b17_what_a_receiver_raises_moves_them_back(receive, shelf):
    one, *_ = shelf

    @receive(post_update, sender=Novel)
    def refuse(sender, **kwargs):
        raise MishapError

    with pytest.raises(MishapError):
        one.novels.clear()
    assert [novel.name for novel in one.novels.all()] == ["a"]


def test_b17_where_nobody_listens_the_statements_are_djangos(listen, shelf):
    one, _, *novels = shelf

    def move():
        one.novels.set(novels)
        one.novels.clear()
        one.novels.add(novels[0])

    without = verbs(move)
    listen(post_update, sender=Article)
    listen(post_save, sender=Novel)
    assert verbs(move) == without


async def test_b17_async_methods_are_received(listen, async_database):
    writer = await Writer.objects.acreate(name="a")
    novel = await Novel.objects.acreate(name="a", writer=writer)
    received = listen(post_update, sender=Novel)
    await writer.novels.aclear()
    assert [one.payload["batch"].changes("writer") for one in received] == [[(novel.pk, writer.pk, None)]]


def test_b17_a_generic_relation_moves_rows_too(listen):
    essay, other = (Essay.objects.create(name=name) for name in "ab")
    remark = Remark.objects.create(target=essay)
    received = listen(post_update, sender=Remark)
    other.remarks.add(remark)
    assert [one.payload["batch"].changes("object_id") for one in received] == [[(remark.pk, essay.pk, other.pk)]]
