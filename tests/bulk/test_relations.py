"""Many-to-many relations, received as the pairs that came and went: cases B19 and B20."""

import gc
import os
from dataclasses import dataclass
from typing import Any

import django
import pytest
from django.core import serializers
from django.db import connection, connections, transaction
from django.db.models import ManyToManyRel, Model, QuerySet, sql
from django.db.models.deletion import Collector
from django.db.models.fields.related import RelatedField
from django.db.models.signals import m2m_changed, post_save

from heliograph import BeforeCommit, OnCommit, mute
from heliograph.signals import m2m_changes, post_bulk_delete, post_update
from tests.app.models import Audiobook, Band, Essay, Genre, Novel, Performance, Reading, Remark, Song, Writer
from tests.helpers.errors import MishapError
from tests.helpers.savepoints import make_savepoint
from tests.helpers.statements import verbs
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])  # where the transaction says nothing: faster

Related = Novel.genres.through


@dataclass(frozen=True)
class Side:
    """One side of a relation: its model, the name of its manager, and the model on the other side."""

    model: type[Any]
    manager: str
    others: type[Any]
    is_far: bool = False
    keys: tuple[str, str] = ("pk", "pk")

    @property
    def through(self) -> Any:
        return getattr(self.model, self.manager).through

    @property
    def field(self) -> Any:
        return getattr(self.model, self.manager).rel.field

    def pair(self, here: Any, there: Any) -> tuple[Any, Any]:
        return tuple(map(getattr, (there, here) if self.is_far else (here, there), self.keys))

    def pairs(self, here: Any, theres: Any) -> frozenset[Any]:
        return frozenset(self.pair(here, there) for there in theres)


BY_NAME = ("code", "slug")
SIDES = {
    "near": Side(Novel, "genres", Genre),
    "far": Side(Genre, "novels", Novel, is_far=True),
    "hidden": Side(Band, "hidden", Song),
    "one way": Side(Band, "heroes", Band),
    "the other way": Side(Band, "fans", Band, is_far=True),
    "own through": Side(Novel, "readers", Writer),
    "own through, far": Side(Writer, "read", Novel, is_far=True),
    "to_field": Side(Band, "songs", Song, keys=BY_NAME),
    "to_field, far": Side(Song, "bands", Band, is_far=True, keys=BY_NAME),
}
of_all_sides = pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)


def make(model, name, using="default"):
    names = {field.name for field in model._meta.fields} & {"name", "code", "slug"}
    return model._base_manager.using(using).create(**dict.fromkeys(names, name))


def related(side, using="default"):
    """Return one object, and three of which the first is related to it."""
    here, theres = make(side.model, "x", using), [make(side.others, name, using) for name in "abc"]
    getattr(here, side.manager).add(theres[0])
    return here, theres


def delivered(received):
    return [(one.payload["added"], one.payload["removed"]) for one in received]


# --- the manager of a relation ------------------------------------------------------------------------------------

OPERATIONS = {
    "add": (lambda manager, a, b, c: manager.add(b, c), "bc", ""),
    "add keys": (lambda manager, a, b, c: manager.add(*(getattr(one, key_of(manager)) for one in (b, c))), "bc", ""),
    "add new and existing": (lambda manager, a, b, c: manager.add(a, b), "b", ""),
    "add existing": (lambda manager, a, b, c: manager.add(a), "", ""),
    "add nothing": (lambda manager, a, b, c: manager.add(), "", ""),
    "remove related and others": (lambda manager, a, b, c: manager.remove(a, b), "", "a"),
    "remove others": (lambda manager, a, b, c: manager.remove(b), "", ""),
    "clear": (lambda manager, a, b, c: manager.clear(), "", "a"),
    "set": (lambda manager, a, b, c: manager.set([b, c]), "bc", "a"),
    "set what is": (lambda manager, a, b, c: manager.set([a]), "", ""),
    "set, clear first": (lambda manager, a, b, c: manager.set([a, b], clear=True), "b", ""),
    "set what is, clear first": (lambda manager, a, b, c: manager.set([a], clear=True), "", ""),
}
of_all_operations = pytest.mark.parametrize(("change", "added", "removed"), OPERATIONS.values(), ids=OPERATIONS)


def key_of(manager):
    return manager.target_field.target_field.attname


@in_a_test_case
@of_all_sides
@of_all_operations
def test_b19_an_operation_is_one_event_with_what_really_changed(listen, side, change, added, removed):
    here, theres = related(side)
    received = listen(m2m_changes, sender=side.through)
    change(getattr(here, side.manager), *theres)
    came, went = (side.pairs(here, [one for one in theres if one.name in names]) for names in (added, removed))
    assert delivered(received) == ([(came, went)] if came or went else [])


@in_a_test_case
@of_all_operations
def test_b19_beside_a_receiver_of_m2m_changed_it_is_the_same_event(listen, change, added, removed):
    side = SIDES["near"]
    here, theres = related(side)
    listen(m2m_changed, sender=side.through)
    received = listen(m2m_changes, sender=side.through)
    change(here.genres, *theres)
    came, went = (side.pairs(here, [one for one in theres if one.name in names]) for names in (added, removed))
    assert delivered(received) == ([(came, went)] if came or went else [])


@in_a_test_case
@of_all_sides
def test_b19_the_event_names_its_field_from_both_sides(listen, side):
    here, (_, there, _) = related(side)
    received = listen(m2m_changes, sender=side.through)
    getattr(here, side.manager).add(there)
    (one,) = received
    assert one.sender is side.through
    assert one.payload == {
        "field": side.field,
        "added": frozenset({side.pair(here, there)}),
        "removed": frozenset(),
        "using": "default",
        "raw": False,
    }


@in_a_test_case
@pytest.mark.parametrize(
    ("change", "added", "removed"),
    [
        (lambda x, a, b: x.partners.add(a, b), "xb bx", ""),
        (lambda x, a, b: x.partners.add(x), "xx", ""),
        (lambda x, a, b: b.partners.add(x, a), "bx xb ba ab", ""),
        (lambda x, a, b: x.partners.remove(a, b), "", "xa ax"),
        (lambda x, a, b: a.partners.clear(), "", "xa ax"),
        (lambda x, a, b: x.partners.set([b]), "xb bx", "xa ax"),
        (lambda x, a, b: x.partners.set([a, b], clear=True), "xb bx", ""),
        (lambda x, a, b: x.partners.add(a), "", ""),
        (lambda x, a, b: a.delete(), "", "xa ax"),
    ],
    ids=["add", "itself", "from the other", "remove", "clear", "set", "set, clear first", "existing", "delete"],
)
def test_b19_a_symmetrical_relation_has_both_rows_of_a_pair_in_one_event(listen, change, added, removed):
    bands = {name: make(Band, name) for name in "xab"}
    keys = {name: band.pk for name, band in bands.items()}
    bands["x"].partners.add(bands["a"])
    received = listen(m2m_changes, sender=Band.partners.through)
    change(*bands.values())
    came, went = (frozenset((keys[a], keys[b]) for a, b in names.split()) for names in (added, removed))
    assert delivered(received) == ([(came, went)] if came or went else [])


def test_b19_what_the_manager_creates_is_added(listen):
    novel = make(Novel, "x")
    received = listen(m2m_changes, sender=Related)
    genre = novel.genres.create(name="new")
    assert delivered(received) == [({(novel.pk, genre.pk)}, set())]


def test_b19_through_defaults_are_stored_and_make_no_second_event(listen):
    novel, reader = make(Novel, "x"), make(Writer, "a")
    received, rows = listen(m2m_changes, sender=Reading), listen(post_save, sender=Reading, bulk=True)
    novel.readers.add(reader, through_defaults={"stars": 5})
    assert delivered(received) == [({(novel.pk, reader.pk)}, set())]
    assert [one.payload["instance"].stars for one in rows] == [5]


def test_b19_a_relation_that_is_inherited_is_that_of_the_parent(listen):
    book, genre = make(Audiobook, "x"), make(Genre, "a")
    received = listen(m2m_changes, sender=Related)
    book.genres.add(genre)
    assert delivered(received) == [({(book.pk, genre.pk)}, set())]


async def test_b19_async_methods_are_received(listen, async_database):
    novel, genre = await Novel.objects.acreate(name="x"), await Genre.objects.acreate(name="a")
    received = listen(m2m_changes, sender=Related)
    await novel.genres.aset([genre])
    await novel.genres.aclear()
    pair = {(novel.pk, genre.pk)}
    assert delivered(received) == [(pair, set()), (set(), pair)]


reads_first = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="Django's set() reads before it writes, which SQLite refuses to two at once"
)


@pytest.mark.parametrize("operation", ["add", "remove", "clear", pytest.param("set", marks=reads_first)])
def test_b19_a_pair_that_several_change_at_once_is_received_once(listen, operation):
    novels, genres = [make(Novel, "x") for _ in range(5)], [make(Genre, name) for name in "abc"]
    for novel in novels:
        novel.genres.set(genres if operation in {"remove", "clear"} else [])
    received = listen(m2m_changes, sender=Related)
    arguments = {"add": genres, "remove": genres, "set": [genres], "clear": []}[operation]

    def change():
        for novel in novels:
            getattr(novel.genres, operation)(*arguments)

    at_once(change, change)
    pairs = sorted(pair for added, removed in delivered(received) for pair in added | removed)
    assert pairs == sorted((novel.pk, genre.pk) for novel in novels for genre in genres)


# --- rows that come and go by other ways --------------------------------------------------------------------------


@in_a_test_case
@of_all_sides
@pytest.mark.parametrize("as_queryset", [False, True], ids=["instance", "queryset"])
def test_b20_pairs_go_with_the_object_that_has_them(listen, side, as_queryset):
    here, theres = related(side)
    getattr(here, side.manager).add(theres[1])
    pairs = side.pairs(here, theres[:2])
    received = listen(m2m_changes, sender=side.through)
    (side.model.objects.filter(pk=here.pk) if as_queryset else here).delete()
    assert delivered(received) == [(set(), pairs)]


@in_a_test_case
@of_all_sides
def test_b20_an_object_that_is_related_to_nothing_goes_without_an_event(listen, side):
    _, (_, there, _) = related(side)
    received = listen(m2m_changes, sender=side.through)
    there.delete()
    assert received == []


def test_b20_an_object_on_both_sides_of_a_relation_takes_the_pairs_of_both(listen):
    x, a, b = (make(Band, name) for name in "xab")
    x.heroes.add(a)
    b.heroes.add(x)
    pairs = {(x.pk, a.pk), (b.pk, x.pk)}
    received = listen(m2m_changes, sender=Band.heroes.through)
    x.delete()
    assert delivered(received) == [(set(), pairs)]


def test_b20_many_objects_that_go_are_one_event(listen):
    genres = [make(Genre, name) for name in "abc"]
    novels = [make(Novel, name) for name in "xy"]
    for novel in novels:
        novel.genres.set(genres)
    received = listen(m2m_changes, sender=Related)
    pairs = {(novel.pk, genre.pk) for novel in novels for genre in genres}
    Genre.objects.all().delete()
    assert delivered(received) == [(set(), pairs)]


def test_b20_each_relation_of_an_object_has_its_own_event(listen):
    novel, genre, reader = make(Novel, "x"), make(Genre, "a"), make(Writer, "b")
    novel.genres.add(genre)
    novel.readers.add(reader)
    expected = {Related: {(novel.pk, genre.pk)}, Reading: {(novel.pk, reader.pk)}}
    received = listen(m2m_changes)
    novel.delete()
    assert {one.sender: one.payload["removed"] for one in received} == expected
    assert len(received) == 2


@dataclass(frozen=True)
class Rows:
    """The rows of a relation: one object is related to the first of three others."""

    side: Side
    here: Any
    theres: list[Any]
    near: str
    far: str

    @property
    def manager(self) -> Any:
        return self.side.through.objects

    @property
    def first(self) -> Any:
        return self.manager.get()

    def new(self, number: int, **values: Any) -> Any:
        return self.side.through(**{self.near: self.here, self.far: self.theres[number], **values})

    def moved(self, number: int) -> Any:
        row = self.first
        setattr(row, self.far, self.theres[number])
        return row

    def move(self, number: int) -> int:
        return self.manager.update(**{self.far: self.theres[number]})


WRITES = {
    "save of a new row": (lambda rows: rows.new(1).save(), "b", ""),
    "save of a moved row": (lambda rows: rows.moved(1).save(), "b", "a"),
    "save of a moved row's key": (lambda rows: rows.moved(1).save(update_fields=[rows.far]), "b", "a"),
    "save of a row that stays": (lambda rows: rows.first.save(), "", ""),
    "save of nothing": (lambda rows: rows.moved(1).save(update_fields=[rows.near]), "", ""),
    "save of a row made by hand": (lambda rows: rows.new(1, pk=rows.first.pk).save(), "b", "a"),
    "save of a row with a key of its own": (lambda rows: rows.new(1, pk=rows.first.pk + 1).save(), "b", ""),
    "delete of a row": (lambda rows: rows.first.delete(), "", "a"),
    "delete of a queryset": (lambda rows: rows.manager.all().delete(), "", "a"),
    "delete of none": (lambda rows: rows.manager.none().delete(), "", ""),
    "bulk_create": (lambda rows: rows.manager.bulk_create([rows.new(1), rows.new(2)]), "bc", ""),
    "bulk_update": (lambda rows: rows.manager.bulk_update([rows.moved(2)], [rows.far]), "c", "a"),
    "update": (lambda rows: rows.move(1), "b", "a"),
    "update to what is": (lambda rows: rows.move(0), "", ""),
}


@in_a_test_case
@pytest.mark.parametrize(
    ("side", "near", "far"),
    [
        (SIDES["near"], "novel", "genre"),
        (SIDES["one way"], "from_band", "to_band"),
        (SIDES["own through"], "novel", "reader"),
        (SIDES["to_field"], "band", "song"),
    ],
    ids=["automatic", "to itself", "own through", "to_field"],
)
@pytest.mark.parametrize(("write", "added", "removed"), WRITES.values(), ids=WRITES)
def test_b20_a_write_of_the_through_model_is_the_same_event(listen, side, near, far, write, added, removed):
    here, theres = related(side)
    received = listen(m2m_changes, sender=side.through)
    write(Rows(side, here, theres, near, far))
    came, went = (side.pairs(here, [one for one in theres if one.name in names]) for names in (added, removed))
    assert delivered(received) == ([(came, went)] if came or went else [])


def test_b20_a_row_that_was_there_is_not_added_by_a_bulk_create_that_ignores_it(listen):
    novel, (a, b, _) = related(SIDES["near"])
    received = listen(m2m_changes, sender=Related)
    Related.objects.bulk_create([Related(novel=novel, genre=one) for one in (a, b)], ignore_conflicts=True)
    assert delivered(received) == [({(novel.pk, b.pk)}, set())]


def test_b20_a_row_that_somebody_else_has_moved_goes_from_where_it_is(listen):
    novel, (_, b, c) = related(SIDES["near"])
    stale = Related.objects.get()
    Related.objects.update(genre=c)
    received = listen(m2m_changes, sender=Related)
    stale.genre = b
    stale.save()
    assert delivered(received) == [({(novel.pk, b.pk)}, {(novel.pk, c.pk)})]


def test_b20_other_columns_of_the_through_model_are_no_event(listen):
    novel, _ = related(SIDES["own through"])
    received = listen(m2m_changes, sender=Reading)
    Reading.objects.update(stars=5)
    row = Reading.objects.get()
    row.stars = 4
    row.save()
    assert (received, novel.readers.count()) == ([], 1)


def test_b20_get_or_create_of_a_row_is_one_event(listen):
    novel, (_, b, _) = related(SIDES["own through"])
    received = listen(m2m_changes, sender=Reading)
    for _ in range(2):
        Reading.objects.get_or_create(novel=novel, reader=b)
    assert delivered(received) == [({(novel.pk, b.pk)}, set())]


# --- fixtures -----------------------------------------------------------------------------------------------------


def load(data):
    for one in serializers.deserialize("json", data):
        one.save()


def test_b19_the_pairs_of_a_fixture_are_received_as_such(listen):
    novel, (a, _, c) = related(SIDES["near"])
    data = serializers.serialize("json", [novel])
    novel.genres.set([c])
    received = listen(m2m_changes, sender=Related)
    load(data)
    assert delivered(received) == [({(novel.pk, a.pk)}, {(novel.pk, c.pk)})]
    # Before Django 6.1 the manager of a relation does not know that it loads a fixture.
    assert received[0].payload["raw"] is (django.VERSION >= (6, 1))


def test_b20_rows_of_a_fixture_are_received_as_such(listen):
    novel, (a, *_) = related(SIDES["own through"])
    data = serializers.serialize("json", Reading.objects.all())
    Reading.objects.all().delete()
    received = listen(m2m_changes, sender=Reading)
    load(data)
    assert [(one.payload["added"], one.payload["raw"]) for one in received] == [({(novel.pk, a.pk)}, True)]


# --- connecting, delivering ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["app.Novel_genres", "app.novel_genres", [Related, Reading], None])
def test_b19_a_receiver_receives_the_relation_that_it_names(listen, sender):
    novel, (_, b, _) = related(SIDES["near"])
    received, elsewhere = listen(m2m_changes, sender=sender), listen(m2m_changes, sender=Performance)
    novel.genres.add(b)
    assert [one.sender for one in received] == [Related]
    assert elsewhere == []


def test_b19_each_database_sends_its_own_pairs(listen):
    novel, (a, b, _) = related(SIDES["near"], using="other")
    pair = {(novel.pk, a.pk)}
    received = listen(m2m_changes, sender=Related)
    novel.genres.set([b])
    a.delete()
    b.delete()
    assert [one.payload["using"] for one in received] == ["other", "other"]
    assert received[0].payload["removed"] == pair


CHANGES = {
    "add": lambda novel, a, b: novel.genres.add(b),
    "set": lambda novel, a, b: novel.genres.set([b]),
    "clear": lambda novel, a, b: novel.genres.clear(),
    "delete of the far object": lambda novel, a, b: a.delete(),
    "delete of the near object": lambda novel, a, b: novel.delete(),
    "create of a row": lambda novel, a, b: Related.objects.create(novel=novel, genre=b),
    "delete of a row": lambda novel, a, b: Related.objects.get().delete(),
    "update": lambda novel, a, b: Related.objects.update(genre=b),
}
of_all_changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@of_all_changes
@pytest.mark.parametrize("options", [{}, {"delivery": BeforeCommit()}], ids=["inline", "before the commit"])
def test_b19_what_a_receiver_raises_undoes_the_change(receive, change, options):
    novel, (a, b, _) = related(SIDES["near"])

    @receive(m2m_changes, sender=Related, **options)
    def refuse(sender, **kwargs):
        raise MishapError

    with pytest.raises(MishapError):
        change(novel, a, b)
    assert [*Related.objects.values_list("novel__name", "genre__name")] == [("x", "a")]


@of_all_changes
def test_b19_after_the_commit_a_change_is_delivered(listen, change):
    novel, (a, b, _) = related(SIDES["near"])
    received = listen(m2m_changes, sender=Related, delivery=OnCommit())
    with transaction.atomic():
        change(novel, a, b)
        assert received == []
    assert len(received) == 1


def test_b19_after_a_rollback_nothing_is_delivered(listen):
    novel, (_, b, _) = related(SIDES["near"])
    received = listen(m2m_changes, sender=Related, delivery=OnCommit())
    with transaction.atomic():
        novel.genres.add(b)
        transaction.set_rollback(True)
    assert received == []


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_a_savepoint_in_the_middle_of_an_operation_has_undone_is_not_sent(listen, receive, by_hand):
    novel, (a, b, c) = related(SIDES["near"])
    novel.genres.clear()
    received = listen(m2m_changes, sender=Related)

    @receive(m2m_changed, sender=Related)
    def add_another(sender, action, **kwargs):
        if action == "post_add":
            if by_hand:
                savepoint = make_savepoint()
                Related.objects.create(novel=novel, genre=c)
                transaction.savepoint_rollback(savepoint)
            else:
                with transaction.atomic():
                    Related.objects.create(novel=novel, genre=c)
                    transaction.set_rollback(True)
            Related.objects.create(novel=novel, genre=b)

    novel.genres.add(a)
    assert [one.payload["added"] for one in received] == [{(novel.pk, a.pk), (novel.pk, b.pk)}]


def test_b19_a_batch_has_the_net_change_of_each_relation(receive):
    novel, (a, b, _) = related(SIDES["near"])
    received = []

    @receive(m2m_changes, sender=Related, delivery=OnCommit(batch=True))
    def record(sender, batch, **kwargs):
        received.append([(event.kwargs["added"], event.kwargs["removed"]) for event in batch.events])

    with transaction.atomic():
        novel.genres.add(b)
        novel.genres.remove(a)
    assert received == [[({(novel.pk, b.pk)}, {(novel.pk, a.pk)})]]


def test_b19_a_muted_change_is_not_received(listen):
    novel, (_, b, _) = related(SIDES["near"])
    received = listen(m2m_changes, sender=Related)
    with mute(m2m_changes):
        novel.genres.add(b)
    assert received == []


# --- what stays as it is ------------------------------------------------------------------------------------------


def change_all(side, here, theres):
    """Change a relation in every way, and leave it as it was."""
    manager = getattr(here, side.manager)
    a, b, c = theres
    manager.add(a, b)
    manager.remove(b, c)
    manager.set([b, c])
    manager.clear()
    manager.set([a], clear=True)
    getattr(here, side.manager).all().count()
    make_and_delete(side)


def make_and_delete(side):
    here, there = make(side.model, "here"), make(side.others, "there")
    getattr(here, side.manager).add(there)
    there.delete()
    here.delete()


@pytest.mark.parametrize("name", ["near", "far", "one way", "own through", "to_field"])
def test_b19_where_nobody_listens_the_statements_are_djangos(listen, name):
    side = SIDES[name]
    here, theres = related(side)
    without = verbs(lambda: change_all(side, here, theres))
    listen(m2m_changes, sender=Band.partners.through)
    assert verbs(lambda: change_all(side, here, theres)) == without


@pytest.mark.parametrize("name", ["near", "far", "one way", "own through", "to_field"])
def test_b19_m2m_changed_is_sent_as_ever(listen, name):
    side = SIDES[name]
    here, theres = related(side)
    received = listen(m2m_changed, sender=side.through)

    def sent():
        received.clear()
        getattr(here, side.manager).add(*theres[:2])
        getattr(here, side.manager).remove(theres[0])
        getattr(here, side.manager).set(theres[1:])
        getattr(here, side.manager).clear()
        getattr(here, side.manager).set(theres[:1], clear=True)
        return [(one.sender, {**one.payload, "instance": one.payload["instance"].pk}) for one in received]

    without = sent()
    listen(m2m_changes, sender=side.through)
    assert sent() == without
    assert [payload["action"] for _, payload in without].count("post_add") == 3


def test_b19_rows_of_the_through_model_are_saved_and_deleted_as_ever(listen):
    novel, (_, b, _) = related(SIDES["own through"])
    listen(m2m_changes, sender=Reading)
    received = listen(post_save, sender=Reading)
    novel.readers.add(b)
    assert received == []
    row = Reading.objects.create(novel=novel, reader=b)
    assert [one.payload["instance"] is row for one in received] == [True]
    assert Reading.objects.filter(reader=b).delete() == (2, {"app.Reading": 2})


@pytest.mark.parametrize(
    ("signal", "options"),
    [
        (m2m_changes, {"sender": Related}),
        (m2m_changes, {}),
        (post_update, {"sender": Related}),
        (post_bulk_delete, {"sender": Related}),
        (post_save, {"sender": Novel, "bulk": True}),
    ],
    ids=["a relation", "all relations", "updates", "deletes", "saves"],
)
def test_b19_when_the_last_receiver_left_all_functions_are_djangos_own_again(signal, options):
    side = SIDES["near"]
    here, theres = related(side)

    def record(sender, **kwargs): ...

    let_go()
    assert patched(here.genres) == set()
    signal.connect(record, **options)
    change_all(side, here, theres)
    Novel.objects.update(name="y")
    assert patched(here.genres) != set()
    signal.disconnect(record, sender=options.get("sender"))
    assert patched(here.genres) == set()


class Labels(RelatedField):
    """A field that says it is many-to-many and is no ManyToManyField, as the one for tags of django-taggit."""

    many_to_many, many_to_one, one_to_many, one_to_one = True, False, False, False

    def __init__(self, to, through):
        super().__init__(rel=ManyToManyRel(self, to, through=through))


@pytest.fixture(params=[Remark, Reading], ids=["a relation of its own", "a relation that a field has too"])
def labelled(request):
    """Give Essay such a field, and return the model of its relation."""
    labels = Labels(Genre, request.param)
    labels.set_attributes_from_name("labels")
    labels.model = Essay
    Essay._meta.add_field(labels)
    yield request.param
    Essay._meta.local_many_to_many.remove(labels)
    Essay._meta._expire_cache()


def test_rows_of_a_relation_that_is_no_many_to_many_field_are_left_alone(listen, labelled):
    received = listen(m2m_changes)
    novel, writer = make(Novel, "n"), make(Writer, "w")
    keys = {"novel": novel, "reader": writer} if labelled is Reading else {"object_id": 1, "content_type_id": 1}
    row = labelled.objects.create(**keys)
    row.save()
    labelled.objects.bulk_create([labelled(**keys)])
    labelled.objects.update(**keys)
    row.delete()
    labelled.objects.all().delete()
    assert {one.payload["field"] for one in received} == ({Novel.readers.field} if labelled is Reading else set())


@in_a_test_case
def test_a_generic_relation_is_none(listen):
    received, essay = listen(m2m_changes), make(Essay, "e")
    essay.remarks.add(Remark(text="a"), bulk=False)
    essay.remarks.set([Remark.objects.create(text="b", target=essay)])
    essay.remarks.clear()
    assert received == []


def let_go():
    """Let go of the errors that Django keeps of failed transactions: they keep what they went through."""
    for one in connections.all():
        one.rollback_exc = None
    gc.collect()


def patched(manager):
    """Return the names of the functions of Django's classes that are not its own."""
    owners = [Model, QuerySet, Collector, type(manager), serializers.base.DeserializedObject]
    owners += [one for one in vars(sql.subqueries).values() if isinstance(one, type)]
    owners += [connection.ops.compiler(f"SQL{kind}Compiler") for kind in ("Insert", "Update", "Delete")]
    home = os.path.dirname(django.__file__)
    return {
        f"{owner.__name__}.{name}"
        for owner in owners
        for name, value in vars(owner).items()
        if (code := getattr(getattr(value, "__func__", value), "__code__", None))
        and not code.co_filename.startswith(home)
    }
