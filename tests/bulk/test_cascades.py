"""Rows that a deletion takes along or changes: cases B13, B14 and B17."""

import pytest
from django.db.models.signals import post_delete, post_save

from heliograph import OnCommit, changed
from heliograph.signals import post_bulk_delete, post_update, pre_bulk_delete
from tests.app.models import Article, Branch, Chapter, Desk, Essay, Folder, Loan, Novel, Remark, Writer
from tests.helpers.errors import MishapError
from tests.helpers.statements import verbs
from tests.helpers.writes import NOWHERE, keys, make_desks, make_loans

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

in_a_test_case = pytest.mark.django_db(databases=["default", "other"])  # where the transaction says nothing: faster

# --- cascades -----------------------------------------------------------------------------------------------------


def test_b13_children_are_one_batch(listen, batches_at_the_end):
    branch = make_desks(1000)
    expected = keys(Desk.objects)
    received = [
        batches_at_the_end(post_delete, sender=Desk, bulk=True),
        batches_at_the_end(post_delete, OnCommit, sender=Desk, bulk=True),
    ]
    event = listen(post_bulk_delete, sender=Desk)
    branch.delete()
    assert [[set(batch.pks) for batch in one] for one in received] == [[expected]] * 2
    assert [(set(one.payload["batch"].pks), one.payload["origin"]) for one in event] == [(expected, branch)]


def test_b13_more_children_are_no_more_queries(listen, batches_at_the_end):
    few, many = make_desks(10, "few"), make_desks(1000, "many")
    without_receivers = verbs(make_desks(10, "unreceived").delete)
    batches_at_the_end(post_delete, sender=Desk, bulk=True)
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


def test_b13_rows_that_go_are_not_sent_as_updated(listen):
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


def test_b14_a_row_that_loses_several_keys_is_one_event_of_a_batch(batches_at_the_end):
    Branch.objects.create(code="main")
    gone = Branch.objects.create(code="gone")
    Loan.objects.create(nulled=gone, defaulted=gone, computed=gone)
    received = batches_at_the_end(post_save, sender=Loan, bulk=True, when=changed("nulled", "defaulted", "computed"))
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


def test_b14_each_database_sends_its_own_updates(listen):
    branch = Branch.objects.using("other").create(code="gone")
    Loan.objects.using("other").create(nulled=branch, **NOWHERE)
    received = listen(post_update, sender=Loan)
    branch.delete()
    assert [one.payload["using"] for one in received] == ["other"]


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
