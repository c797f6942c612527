"""The deletion of querysets: cases B12, B15 and B16."""

import datetime
from decimal import Decimal
from operator import attrgetter

import django
import pytest
from django.core.checks import run_checks
from django.db import NotSupportedError, connection, transaction
from django.db.models import Count, ProtectedError, RestrictedError
from django.db.models.signals import post_delete, post_init, post_save, pre_delete

from heliograph import BeforeCommit, OnCommit, mute
from heliograph.signals import post_bulk_delete, post_update, pre_bulk_delete
from tests.app import models
from tests.app.models import Article, Audiobook, Branch, Desk, Loan, Named, Novel, Reprint, Seat, Writer
from tests.helpers.errors import MishapError
from tests.helpers.statements import verbs
from tests.helpers.threads import at_once
from tests.helpers.writes import NOWHERE, keys, make_desks, make_loans

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

in_a_test_case = pytest.mark.django_db(databases=["default", "other"])  # where the transaction says nothing: faster


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
def test_b12_a_receiver_of_batches_is_called_once_a_transaction(batches_at_the_end, policy):
    make_desks(3)
    expected = keys(Desk.objects)
    received = batches_at_the_end(post_delete, policy, sender=Desk, bulk=True)
    with transaction.atomic():
        Desk.objects.filter(number=0).delete()
        Desk.objects.all().delete()
    (batch,) = received
    assert {one.pk for one in batch.deleted} == set(batch.pks) == expected
    assert {event.kind for event in batch.events} == {"deleted"}


def test_b12_a_row_that_is_written_and_then_deleted_is_deleted(batches_at_the_end):
    branch = make_desks(2)
    expected = keys(Desk.objects)
    received = batches_at_the_end([post_save, post_delete], sender=Desk, bulk=True)
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


def test_b12_each_database_sends_its_own_rows(listen):
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


# --- rows that stay, with another key -----------------------------------------------------------------------------


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
