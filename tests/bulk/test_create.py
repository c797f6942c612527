"""Rows that bulk_create() writes: cases B1 to B4."""

import django
import pytest
from django.db import connection, transaction

from heliograph import changed, created
from heliograph.signals import (
    post_bulk_create,
    post_save,
    pre_bulk_create,
    pre_save,
)
from tests.app.models import Article, Audiobook, Chapter, Country, Novel, Reprint, Seat, Token, Voucher, Ware, Writer
from tests.helpers.writes import WRITES, conflict, outcome_of, rows_of, shapes, wares

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])


def test_b1_bulk_create_is_one_event_with_all_its_objects(listen):
    received = listen(post_bulk_create, sender=Article)
    created = Article.objects.bulk_create([Article(words=1), Article(words=2), Article(words=3)])
    (event,) = received
    batch = event.payload["batch"]
    assert (event.sender, event.payload["update_fields"], event.payload["using"]) == (Article, None, "default")
    assert batch.created == batch.instances == created
    assert batch.pks == [one.pk for one in Article.objects.order_by("words")]


def test_b1_a_receiver_of_rows_receives_each_of_them_as_if_it_were_saved(listen):
    received = listen(post_save, sender=Article, bulk=True)
    first, second = Article.objects.bulk_create([Article(words=1), Article(words=2)])
    assert rows_of(received) == [first, second]
    assert rows_of(received)[0] is first
    payload = {"created": True, "update_fields": None, "raw": False, "using": "default"}
    assert [one.payload for one in received] == [{"instance": first, **payload}, {"instance": second, **payload}]


def test_b1_conditions_mean_of_new_rows_what_they_mean_for_a_save(listen, row_changes):
    new = listen(post_save, sender=Article, bulk=True, when=created)
    changes = row_changes(Article, "words")
    Article.objects.bulk_create([Article(words=1)])
    assert (len(new), changes) == (1, [])


def test_b1_a_receiver_that_does_not_ask_for_bulk_writes_receives_none(listen):
    received = listen(post_save, sender=Article)
    (article,) = Article.objects.bulk_create([Article(words=1)])
    article.words = 2
    Article.objects.bulk_update([article], ["words"])
    Article.objects.update(words=3)
    assert received == []


def test_b1_objects_with_a_key_and_without_come_in_the_order_in_which_they_were_given(batches):
    received = batches(post_bulk_create)
    created = Article.objects.bulk_create([Article(), Article(pk=10**6), Article()])
    (batch,) = received
    assert batch.created == created
    assert batch.pks[1] == 10**6
    assert {*batch.pks} == {*Article.objects.values_list("pk", flat=True)}


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django 5.2 leaves keys that the database computes unknown")
def test_b1_keys_that_the_database_computes_are_known(batches):
    received = batches(post_bulk_create, sender=Token)
    Token.objects.bulk_create([Token(name="a"), Token(name="b")])
    (batch,) = received
    assert {*batch.pks} == {*Token.objects.values_list("pk", flat=True)}


def test_b1_keys_of_two_columns_are_pairs(batches):
    received = batches(post_bulk_create, sender=Seat)
    Seat.objects.bulk_create([Seat(row=1, number=1), Seat(row=1, number=2)])
    assert [batch.pks for batch in received] == [[(1, 1), (1, 2)]]


@pytest.mark.parametrize(("signal", "options"), [(pre_bulk_create, {}), (pre_save, {"bulk": True})])
def test_b1_a_receiver_before_may_change_what_is_created(receive, signal, options):
    found = []

    @receive(signal, sender=Article, **options)
    def set_slug(sender, instances=None, instance=None, **kwargs):
        for one in instances or [instance]:
            found.append((one.pk, one._state.adding))
            one.slug = f"about-{one.title}"

    Article.objects.bulk_create([Article(title="a"), Article(title="b")])
    assert found == [(None, True)] * 2
    assert sorted(Article.objects.values_list("slug", flat=True)) == ["about-a", "about-b"]


def test_b1_before_the_write_there_are_all_objects_and_the_names_written_on_conflict(listen):
    received = listen(pre_bulk_create, sender=Ware)
    objects = [Ware(name="tea"), Ware(name="salt")]
    Ware.objects.bulk_create(iter(objects))
    Ware.objects.bulk_create([Ware(name="tea", stock=3)], **conflict("name", update=["stock"]))
    assert received[0].payload == {"instances": objects, "update_fields": None, "using": "default"}
    assert [*received[1].payload["update_fields"]] == ["stock"]


@in_a_test_case
@pytest.mark.skipif(django.VERSION < (6, 0), reason="in Django 5.2 bulk_create() does not set the order")
def test_b1_an_order_with_respect_to_something_is_as_without_receivers(batches):
    received = batches(post_bulk_create, sender=Chapter)
    novel = Novel.objects.create()
    first, second = Chapter.objects.bulk_create([Chapter(novel=novel, name=name) for name in "ab"])
    assert [one._order for one in received[0].created] == [0, 1]
    assert [*novel.get_chapter_order()] == [first.pk, second.pk]


def some(names, shape=list):
    return shape(Ware(name=name) for name in names)


CREATIONS = {
    "a list": lambda: Ware.objects.bulk_create(some("abc")),
    "a tuple": lambda: Ware.objects.bulk_create(some("abc", tuple)),
    "a generator": lambda: Ware.objects.bulk_create(Ware(name=name) for name in "abc"),
    "an empty list": lambda: Ware.objects.bulk_create([]),
    "an empty tuple": lambda: Ware.objects.bulk_create(()),
    "an empty generator": lambda: Ware.objects.bulk_create(iter(())),
    "a batch size by its place": lambda: Ware.objects.bulk_create(some("abc"), 2),
    "a batch size by its name": lambda: Ware.objects.bulk_create(some("abc"), batch_size=2),
    "a size that is none": lambda: Ware.objects.bulk_create(some("abc"), 0),
    "two ways with conflicts": lambda: Ware.objects.bulk_create(some("a"), None, True, True),
    "no field to update": lambda: Ware.objects.bulk_create(some("a"), update_conflicts=True),
    "a field that is not there": lambda: Ware.objects.bulk_create(some("a"), **conflict("name", update=["no"])),
    "a child of another table": lambda: Audiobook.objects.bulk_create([Audiobook(name="a")]),
    "a parent that is not stored": lambda: Novel.objects.bulk_create([Novel(writer=Writer())]),
    "a name that is there": lambda: Ware.objects.bulk_create(some("aa")),
    "conflicts ignored": lambda: Ware.objects.bulk_create(some("aa"), ignore_conflicts=True),
    "conflicts updated": lambda: (
        wares("a"),
        Ware.objects.bulk_create(some("abc"), **conflict("name", update=["stock"])),
    )[1],
    "conflicts updated in batches": lambda: Ware.objects.bulk_create(
        some("abc"), 2, **conflict("name", update=["stock"])
    ),
    "names that come once": lambda: Ware.objects.bulk_create(
        some("ab"), **conflict("name", update=[]) | {"update_fields": iter(["stock"])}
    ),
    "a related manager": lambda: Writer.objects.create().novels.bulk_create([Novel(name="a")]),
    "a proxy": lambda: Reprint.objects.bulk_create([Reprint(name="a")]),
}


@in_a_test_case
@pytest.mark.parametrize("create", CREATIONS.values(), ids=CREATIONS)
def test_b2_results_and_errors_of_bulk_create_are_those_of_django(listen, create):
    plain = creation(create)
    for signal, options in [*((signal, {}) for signal in WRITES), (post_save, {"bulk": True})]:
        listen(signal, **options)
    assert creation(create) == plain


def creation(create):
    """Return what a bulk_create() returns or raises, how it leaves its objects, and what is stored then."""
    with transaction.atomic():
        result = outcome_of(create)
        if isinstance(result, list | tuple) and not isinstance(next(iter(result), None), type):
            result = type(result), [getattr(one, "name", one) for one in result], [is_stored(one) for one in result]
        stored = [[*model.objects.order_by("name").values_list("name")] for model in (Ware, Novel)]
        transaction.set_rollback(True)
    return result, stored


def is_stored(instance):
    state = getattr(instance, "_state", None)
    return state and (instance.pk is not None, state.adding, state.db)


@in_a_test_case
@pytest.mark.parametrize("name", ["an empty list", "an empty generator", "a name that is there", "a size that is none"])
def test_b2_what_creates_nothing_sends_no_row(listen, batches, name):
    rows, received = listen(post_save, sender=Ware, bulk=True), batches(post_bulk_create, sender=Ware)
    outcome_of(CREATIONS[name])
    assert (rows, [batch.pks for batch in received if batch.pks]) == ([], [])


def test_b2_batches_of_the_database_are_one_event_and_no_more_statements(batches):
    def create():
        Article.objects.bulk_create([Article(words=number) for number in range(5)], 2)

    plain = shapes(create)
    received = batches(post_bulk_create)
    assert shapes(create) == plain
    assert [len(batch.created) for batch in received] == [5]


# One that is there, and two to create: the first is in its way.
IGNORED = {
    "a natural key": lambda: (Country(code="de"), [Country(code="de", name="again"), Country(code="at")]),
    "a unique field": lambda: (Ware(name="tea"), [Ware(name="tea"), Ware(name="salt")]),
    "a unique field beside a key that is made before": lambda: (
        Voucher(code="a"),
        [Voucher(code="a"), Voucher(code="b")],
    ),
    "a key of two columns": lambda: (Seat(row=1, number=1), [Seat(row=1, number=1), Seat(row=1, number=2)]),
}


@pytest.fixture(params=IGNORED.values(), ids=IGNORED)
def ignored(request):
    there, objects = request.param()
    there.save()
    return type(there), there, objects


@in_a_test_case
def test_b3_of_conflicts_that_are_ignored_only_the_real_insert_is_reported(batches, ignored):
    model, there, objects = ignored
    received = batches(post_bulk_create, sender=model)
    model.objects.bulk_create(objects, ignore_conflicts=True)
    (batch,) = received
    new = model.objects.exclude(pk=there.pk).get()
    assert (batch.created, batch.pks, [*batch.unknown]) == ([new], [new.pk], [])


@in_a_test_case
def test_b3_receivers_of_rows_receive_only_the_real_insert(listen, ignored):
    model, there, objects = ignored
    received = listen(post_save, sender=model, bulk=True)
    model.objects.bulk_create(objects, ignore_conflicts=True)
    assert rows_of(received) == [model.objects.exclude(pk=there.pk).get()]
    assert received[0].payload["created"]


@in_a_test_case
def test_b3_the_callers_objects_are_as_django_leaves_them(listen, ignored):
    model, _, objects = ignored
    before = [one.pk for one in objects]
    listen(post_save, sender=model, bulk=True)
    result = model.objects.bulk_create(objects, ignore_conflicts=True)
    assert [one.pk for one in result] == before
    assert all(one is given for one, given in zip(result, objects, strict=True))


def test_b3_of_two_that_are_in_the_way_of_each_other_one_is_reported(batches):
    received = batches(post_bulk_create, sender=Ware)
    Ware.objects.bulk_create([Ware(name="tea", stock=1), Ware(name="tea", stock=2)], ignore_conflicts=True)
    assert [(one.pk, one.stock) for one in received[0].created] == [(Ware.objects.get().pk, 1)]


def test_b3_where_nothing_is_inserted_nothing_is_reported(listen):
    wares("tea")
    received = listen(post_save, sender=Ware, bulk=True)
    Ware.objects.bulk_create([Ware(name="tea")], ignore_conflicts=True)
    assert received == []


def test_b4_of_conflicts_that_update_the_new_and_the_old_are_distinguished(batches):
    (tea,) = wares("tea", stock=1)
    received = batches(post_bulk_create, sender=Ware)
    objects = [Ware(name="tea", stock=5), Ware(name="salt", stock=7)]
    Ware.objects.bulk_create(objects, **conflict("name", update=["stock"]))
    (batch,) = received
    assert ([one.name for one in batch.created], [one.name for one in batch.updated]) == (["salt"], ["tea"])
    assert sorted(batch.pks) == sorted(Ware.objects.values_list("pk", flat=True))
    assert batch.changes("stock") == [(tea.pk, 1, 5)]


def test_b4_receivers_of_rows_receive_a_creation_and_an_update(listen, row_changes):
    (tea,) = wares("tea", stock=1, rank=4)
    received, changes = listen(post_save, sender=Ware, bulk=True), row_changes(Ware)
    objects = [Ware(name="tea", stock=5), Ware(name="salt", stock=7)]
    Ware.objects.bulk_create(objects, **conflict("name", update=["stock"]))
    delivered = {one.payload["instance"].name: one.payload for one in received}
    assert {name: payload["created"] for name, payload in delivered.items()} == {"tea": False, "salt": True}
    assert delivered["tea"]["update_fields"] == frozenset({"stock"})
    assert (delivered["tea"]["instance"].pk, delivered["tea"]["instance"].rank) == (
        tea.pk,
        4,
    )  # not the object of the caller
    assert changes == [(tea.pk, {"stock": (1, 5)})]


def test_b4_a_key_of_the_caller_that_is_not_that_of_the_row_is_not_reported(batches):
    there = Voucher.objects.create(code="a", uses=1)
    received = batches(post_bulk_create, sender=Voucher)
    Voucher.objects.bulk_create([Voucher(code="a", uses=2)], **conflict("code", update=["uses"]))
    (batch,) = received
    assert (batch.pks, batch.created, batch.changes("uses")) == ([there.pk], [], [(there.pk, 1, 2)])


def test_b4_a_conflict_of_keys_is_distinguished_too(batches):
    Seat.objects.create(row=1, number=1, guest="Ann")
    received = batches(post_bulk_create, sender=Seat)
    objects = [Seat(row=1, number=1, guest="Bob"), Seat(row=1, number=2, guest="Cem")]
    Seat.objects.bulk_create(objects, **conflict("row", "number", update=["guest"]))
    (batch,) = received
    assert [one.pk for one in batch.created] == [(1, 2)]
    assert batch.changes("guest") == [((1, 1), "Ann", "Bob")]


@in_a_test_case
def test_b4_what_the_database_takes_for_the_same_is_updated(batches):
    wares("tea")
    received = batches(post_bulk_create, sender=Ware)
    Ware.objects.bulk_create([Ware(name="TEA", stock=1)], **conflict("name", update=["stock"]))
    (batch,) = received
    assert len(batch.created) == Ware.objects.count() - 1  # MariaDB does not report capital letters from others
    assert len(batch.created) + len(batch.updated) == 1


@in_a_test_case
@pytest.mark.skipif(connection.vendor == "postgresql", reason="PostgreSQL refuses to update a row twice at once")
def test_b4_a_row_that_two_objects_write_is_created_once(batches):
    received = batches(post_bulk_create, sender=Ware)
    Ware.objects.bulk_create(
        [Ware(name="tea", stock=1), Ware(name="tea", stock=2)], **conflict("name", update=["stock"])
    )
    (batch,) = received
    assert [(one.pk, one.stock) for one in batch.created] == [Ware.objects.values_list("pk", "stock").get()]
    assert batch.updated == []


def test_b4_in_a_whole_transaction_the_two_are_distinguished_as_well(net):
    (tea,) = wares("tea", stock=1)
    received = net(Ware, when=created | changed("stock"))
    Ware.objects.bulk_create([Ware(name="tea", stock=5), Ware(name="salt")], **conflict("name", update=["stock"]))
    (batch,) = received
    assert ([one.name for one in batch.created], batch.updated) == (["salt"], [tea])
    assert batch.changes("stock") == [(tea.pk, 1, 5)]
