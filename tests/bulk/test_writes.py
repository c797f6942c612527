"""Rows that are written in bulk: the cases B1 to B11 and B18, each on a real database."""

import functools
import inspect
import itertools
import re
import threading
from contextlib import contextmanager, nullcontext
from datetime import timedelta, timezone
from decimal import Decimal

import django
import pytest
from asgiref.sync import sync_to_async
from django.core.checks import run_checks
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, JSONField, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce, Concat, JSONObject, Lower, Now, Random, Round, Upper
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now
from django.utils.translation import gettext_lazy

from heliograph import BeforeCommit, OnCommit, capture, changed, changes_of, created, mute, receiver, update_fields
from heliograph.signals import (
    m2m_changed,
    post_bulk_create,
    post_bulk_update,
    post_delete,
    post_save,
    post_update,
    pre_bulk_create,
    pre_bulk_update,
    pre_delete,
    pre_save,
    pre_update,
    request_finished,
)
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Band,
    Chapter,
    Country,
    Genre,
    Novel,
    Performance,
    Reprint,
    Seat,
    Song,
    Ticket,
    Token,
    Voucher,
    Ware,
    Writer,
)
from tests.helpers.errors import MishapError, mishap
from tests.helpers.statements import statements
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

WRITES = (pre_bulk_create, post_bulk_create, pre_bulk_update, post_bulk_update, pre_update, post_update)
ROWS = (pre_save, post_save, pre_delete, post_delete)
# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])
on_both_ends = pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])
in_a_transaction_and_not = pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "autocommit"])

# SQLite has no lock of a row: in a transaction that is open, one statement more takes that of the file.
LOCK = 1 if connection.vendor == "sqlite" else 0
# MariaDB returns nothing of an update, so the rows of a bulk_update() are read before it and after it.
READS = 2 if connection.vendor == "mysql" else 1


def refuse(sender, **kwargs):
    raise MishapError


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog):
    """Show what receivers raise after the commit, which reaches nobody."""
    yield
    assert [one.getMessage() for one in caplog.records if one.name.startswith("heliograph")] == []


@pytest.fixture
def batches(receive):
    """Connect a receiver for the time of a test: the list of the batches that it was given."""

    def connect(signal, sender=Article, **options):
        received = []

        @receive(signal, sender=sender, **options)
        def note(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


@pytest.fixture
def net(batches):
    """Connect a receiver of whole transactions, which receives bulk writes too: the list of the batches."""

    def connect(sender=Article, policy=BeforeCommit, signal=post_save, **options):
        return batches(signal, sender=sender, bulk=True, delivery=policy(batch=True), **options)

    return connect


@pytest.fixture
def row_changes(receive):
    """Connect a receiver of rows, which receives bulk writes too: the list of the changes of each, with its key."""

    def connect(sender, *names, **options):
        received = []

        @receive(post_save, sender=sender, bulk=True, when=changed(*names), **options)
        def note(instance, changes, **kwargs):
            received.append((instance.pk, changes))

        return received

    return connect


def rows_of(received):
    """Return the instances that a receiver of rows was given."""
    return [one.payload["instance"] for one in received]


def articles(*words):
    """Return an article for each number of words, stored while nobody listens."""
    with mute():
        return [Article.objects.create(title=f"{number}", words=number) for number in words]


def wares(*names, **fields):
    with mute():
        return Ware.objects.bulk_create([Ware(name=name, **fields) for name in names])


def conflict(*unique, update):
    """Return the options of a bulk_create() that updates what is there; MariaDB looks for it by all that is unique."""
    named = {} if connection.vendor == "mysql" else {"unique_fields": [*unique]}
    return {"update_conflicts": True, "update_fields": [*update], **named}


def shapes(function):
    """Return the statements that a function needs inside a transaction, without their numbers."""
    with transaction.atomic():
        return [re.sub(r"\d+", "0", sql) for sql in statements(function)]


# --- bulk_create --------------------------------------------------------------------------------------------------


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


def outcome_of(function):
    """Return what a function returns, or what it raises."""
    try:
        with transaction.atomic():
            return function()
    except DatabaseError as error:
        return type(error)  # the text may have a number that goes up
    except Exception as error:
        return type(error), str(error)


@in_a_test_case
@pytest.mark.parametrize("name", ["an empty list", "an empty generator", "a name that is there", "a size that is none"])
def test_b2_what_creates_nothing_tells_of_no_row(listen, batches, name):
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


def test_b4_of_conflicts_that_update_the_new_and_the_old_are_told_apart(batches):
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
    told = {one.payload["instance"].name: one.payload for one in received}
    assert {name: payload["created"] for name, payload in told.items()} == {"tea": False, "salt": True}
    assert told["tea"]["update_fields"] == frozenset({"stock"})
    assert (told["tea"]["instance"].pk, told["tea"]["instance"].rank) == (tea.pk, 4)  # not the object of the caller
    assert changes == [(tea.pk, {"stock": (1, 5)})]


def test_b4_a_key_of_the_caller_that_is_not_that_of_the_row_is_not_reported(batches):
    there = Voucher.objects.create(code="a", uses=1)
    received = batches(post_bulk_create, sender=Voucher)
    Voucher.objects.bulk_create([Voucher(code="a", uses=2)], **conflict("code", update=["uses"]))
    (batch,) = received
    assert (batch.pks, batch.created, batch.changes("uses")) == ([there.pk], [], [(there.pk, 1, 2)])


def test_b4_a_conflict_of_keys_is_told_apart_too(batches):
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
    assert len(batch.created) == Ware.objects.count() - 1  # MariaDB does not tell capital letters from others
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


def test_b4_in_a_whole_transaction_the_two_are_told_apart_as_well(net):
    (tea,) = wares("tea", stock=1)
    received = net(Ware, when=created | changed("stock"))
    Ware.objects.bulk_create([Ware(name="tea", stock=5), Ware(name="salt")], **conflict("name", update=["stock"]))
    (batch,) = received
    assert ([one.name for one in batch.created], batch.updated) == (["salt"], [tea])
    assert batch.changes("stock") == [(tea.pk, 1, 5)]


# --- values ------------------------------------------------------------------------------------------------------


VALUES = {
    "a number": lambda: {"words": 7},
    "a number as text": lambda: {"words": "7"},
    "a number that is cut": lambda: {"words": 7.9},
    "a number added": lambda: {"words": F("words") + 1},
    "the time of the database": lambda: {"published": Now()},
    "a time": lambda: {"published": now()},
    "nothing": lambda: {"published": None},
    "a decimal": lambda: {"price": Decimal("1.50")},
    "a decimal of fewer places": lambda: {"price": Decimal("1.5")},
    "a decimal as text": lambda: {"price": "2.5"},
    "a decimal of more places": lambda: {"price": Decimal("1.005")},
    "a decimal that is divided": lambda: {"price": F("price") / 3},
    "another value each time": lambda: {"price": Round(Random() * 100, 2)},
    "a case": lambda: {"words": Case(When(words__gt=1, then=Value(0)), default=F("words"))},
    "a text": lambda: {"title": "new"},
    "a text that is a number": lambda: {"title": 5},
    "a text that is translated": lambda: {"title": gettext_lazy("Yes")},
    "a text made of others": lambda: {"title": Concat(Upper("slug"), Value("-"), "title")},
    "a list": lambda: {"labels": ["a", {"b": None}]},
    "an object made of fields": lambda: {"labels": JSONObject(words=F("words"))},
    "the null of JSON": lambda: {"labels": Value(None, JSONField())},
    "a parent": lambda: {"author": Writer.objects.create()},
    "the key of a parent": lambda: {"author": Writer.objects.create().pk},
    "a key by its column": lambda: {"author_id": Writer.objects.create().pk},
    "no parent": lambda: {"author": None},
    "a file": lambda: {"cover": "covers/new.png"},
    "a time of elsewhere": lambda: {"published": now().astimezone(timezone(timedelta(hours=5)))},
    "a query": lambda: {"title": Subquery(Writer.objects.filter(pk=OuterRef("author")).values("name"))},
    "several fields": lambda: {"words": F("words") * 2, "title": Upper("slug"), "price": F("words")},
}


# Django does not let an object have a key in place of its parent, and makes NULL of the null of JSON among others.
OF_OBJECTS = {name: one for name, one in VALUES.items() if name not in ("the key of a parent", "the null of JSON")}


@pytest.fixture
def of_each_kind():
    """Have articles with a value in every field."""
    author = Writer.objects.create(name="Ann")
    fields = {"author": author, "published": now(), "price": 1}
    return [
        Article.objects.create(words=number, title=f"{number}", slug=f"s{number}", labels=[number], cover="a", **fields)
        for number in (1, 2, 3)
    ]


def assert_truth(write, fields, batches, rows):
    """Assert that receivers are given, of these fields, what was stored before a write and what is after it."""
    before = dict_of_rows(Article)
    write()
    after = dict_of_rows(Article)
    for name in (field.removesuffix("_id") for field in fields):
        told = {key: (old, new) for batch in batches for key, old, new in batch.changes(name)}
        assert told == differences(before, after, name)
        assert {key: changes[name] for key, changes in rows if name in changes} == told


def dict_of_rows(model):
    return {one.pop("pk"): one for one in model.objects.values("pk", *(field.name for field in model._meta.fields))}


def differences(before, after, name):
    return {key: (before[key][name], after[key][name]) for key in after if before[key][name] != after[key][name]}


# --- bulk_update --------------------------------------------------------------------------------------------------


def set_words(objects, *words):
    for one, number in zip(objects, words, strict=True):
        one.words = number
    return objects


def test_b5_bulk_update_lists_the_fields_that_are_written_and_no_others(listen, batches):
    first, second = set_words(articles(1, 2), 11, 12)
    first.title = "another"
    received = listen(post_bulk_update, sender=Article)
    Article.objects.bulk_update([first, second], ["words"])
    (event,) = received
    batch = event.payload["batch"]
    assert (event.payload["update_fields"], event.payload["using"]) == (frozenset({"words"}), "default")
    assert batch.updated == [first, second]
    assert batch.updated[0] is first
    assert sorted(batch.changes("words")) == [(first.pk, 1, 11), (second.pk, 2, 12)]
    assert batch.changes("title") == []


def test_b5_receivers_of_rows_receive_each_as_if_it_were_saved_with_update_fields(listen, row_changes):
    (article,) = set_words(articles(1), 2)
    article.title = "another"
    received, changes = listen(post_save, sender=Article, bulk=True, when=update_fields("words")), row_changes(Article)
    Article.objects.bulk_update([article], ["words"])
    assert rows_of(received) == [article]
    assert (received[0].payload["created"], received[0].payload["update_fields"]) == (False, frozenset({"words"}))
    assert changes == [(article.pk, {"words": (1, 2)})]


@pytest.mark.parametrize("options", [{}, {"bulk": True}], ids=["received by save only", "received in bulk"])
def test_b5_an_instance_stays_changed_in_the_other_fields(listen, options):
    listen(post_save, sender=Article, when=changed("words", "title"), **options)
    articles(1)
    article = Article.objects.get()
    article.words, article.title = 2, "another"
    Article.objects.bulk_update([article], ["words"])
    assert changes_of(article) == {"title": ("1", "another")}


def test_b5_rows_that_are_as_they_were_are_not_reported(listen, net, batches):
    same, other = set_words(articles(1, 2), 1, 3)
    rows, whole, received = listen(post_save, sender=Article, bulk=True), net(), batches(post_bulk_update)
    assert Article.objects.bulk_update([same, other], ["words"]) == 2
    assert rows_of(rows) == whole[0].updated == received[0].updated == [other]


def test_b5_a_row_that_is_gone_is_not_reported(listen):
    gone, there = set_words(articles(1, 2), 3, 4)
    Article.objects.filter(pk=gone.pk).delete()
    received = listen(post_save, sender=Article, bulk=True)
    assert Article.objects.bulk_update([gone, there], ["words"]) == 1
    assert rows_of(received) == [there]


@in_a_test_case
def test_b5_a_row_that_the_queryset_leaves_out_is_not_reported(listen):
    first, second = set_words(articles(1, 2), 11, 12)
    received = listen(post_save, sender=Article, bulk=True)
    assert Article.objects.filter(title="1").bulk_update([first, second], ["words"]) == 1
    assert rows_of(received) == [first]


def test_b5_what_an_expression_comes_to_is_a_number(row_changes, batches):
    first, second = set_words(articles(1, 2), F("words") + 10, 5)
    received, changes = batches(post_bulk_update), row_changes(Article, "words")
    Article.objects.bulk_update([first, second], ["words"])
    assert sorted(received[0].changes("words")) == [(first.pk, 1, 11), (second.pk, 2, 5)]
    assert sorted(changes) == [(first.pk, {"words": (1, 11)}), (second.pk, {"words": (2, 5)})]


@in_a_test_case
def test_b5_of_two_objects_of_one_row_the_one_that_is_written_is_reported(batches):
    (article,) = articles(1)
    twice = set_words([article, Article.objects.get()], 2, 3)
    received = batches(post_bulk_update)
    Article.objects.bulk_update(twice, ["words"])
    assert received[0].changes("words") == [(article.pk, 1, Article.objects.get().words)]


@pytest.mark.parametrize(("signal", "options"), [(pre_bulk_update, {}), (pre_save, {"bulk": True})])
def test_b5_a_receiver_before_may_change_what_is_written(receive, signal, options):
    @receive(signal, sender=Article, **options)
    def double(sender, update_fields, instances=None, instance=None, **kwargs):
        assert update_fields == frozenset({"words"})
        for one in instances or [instance]:
            one.words *= 2

    Article.objects.bulk_update(set_words(articles(1, 2), 10, 20), ["words"])
    assert sorted(Article.objects.values_list("words", flat=True)) == [20, 40]


@in_a_test_case
def test_b5_fields_that_a_receiver_before_sets_are_written_too(receive, listen):
    @receive(pre_save, sender=Article, bulk=True, when=changed("title"), writes=["slug"])
    def make_slug(sender, instance, **kwargs):
        instance.slug = f"about-{instance.title}"

    articles(1)
    article = Article.objects.get()
    received = listen(post_save, sender=Article, bulk=True)
    article.title = "tea"
    Article.objects.bulk_update([article], ["title"])
    assert Article.objects.get().slug == "about-tea"
    assert received[0].payload["update_fields"] == frozenset({"title", "slug"})


@in_a_test_case
def test_b5_keys_of_two_columns_and_keys_of_the_caller_are_reported(batches):
    seat, ticket = Seat.objects.create(row=1, number=2), Ticket.objects.create()
    seats, tickets = batches(post_bulk_update, sender=Seat), batches(post_bulk_update, sender=Ticket)
    seat.guest, ticket.state = "Ann", "sold"
    Seat.objects.bulk_update([seat], ["guest"])
    Ticket.objects.bulk_update([ticket], ["state"])
    assert seats[0].changes("guest") == [((1, 2), "", "Ann")]
    assert tickets[0].changes("state") == [(ticket.pk, "new", "sold")]


@in_a_test_case
def test_b5_fields_of_a_parent_are_reported_with_those_of_the_child(batches):
    book = Audiobook.objects.create(name="a", minutes=1)
    received = batches(post_bulk_update, sender=Audiobook)
    book.name, book.minutes = "b", 2
    Audiobook.objects.bulk_update([book], ["name", "minutes"])
    (batch,) = received
    assert (batch.changes("name"), batch.changes("minutes")) == ([(book.pk, "a", "b")], [(book.pk, 1, 2)])


def test_b5_the_order_of_children_is_a_bulk_update(row_changes):
    novel = Novel.objects.create()
    first, second = (Chapter.objects.create(novel=novel) for _ in range(2))
    received = row_changes(Chapter, "_order")
    novel.set_chapter_order([second.pk, first.pk])
    assert sorted(received) == [(first.pk, {"_order": (0, 1)}), (second.pk, {"_order": (1, 0)})]


BULK_UPDATES = {
    "all": lambda objects: Article.objects.bulk_update(objects, ["words"]),
    "a generator": lambda objects: Article.objects.bulk_update(iter(objects), ["words"]),
    "nothing": lambda objects: Article.objects.bulk_update([], ["words"]),
    "batches": lambda objects: Article.objects.bulk_update(objects, ["words"], 2),
    "batches by name": lambda objects: Article.objects.bulk_update(objs=objects, fields=["words"], batch_size=1),
    "names that come once": lambda objects: Article.objects.bulk_update(objects, (name for name in ["words"])),
    "a filter": lambda objects: Article.objects.filter(title="1").bulk_update(objects, ["words"]),
    "no fields": lambda objects: Article.objects.bulk_update(objects, []),
    "a size that is none": lambda objects: Article.objects.bulk_update(objects, ["words"], -1),
    "the key": lambda objects: Article.objects.bulk_update(objects, ["id"]),
    "a field that is not there": lambda objects: Article.objects.bulk_update(objects, ["no"]),
    "an object without a key": lambda objects: Article.objects.bulk_update([Article()], ["words"]),
    "a parent that is not stored": lambda objects: Article.objects.bulk_update(
        [Article(pk=objects[0].pk, author=Writer())], ["author"]
    ),
    "a value that does not fit": lambda objects: Article.objects.bulk_update(set_words(objects[:1], "x"), ["words"]),
}


@in_a_test_case
@pytest.mark.parametrize("values", OF_OBJECTS.values(), ids=OF_OBJECTS)
def test_b5_old_and_new_are_what_was_stored_and_what_is(batches, row_changes, of_each_kind, values):
    received, rows, given = batches(post_bulk_update), row_changes(Article), values()
    for one, (name, value) in itertools.product(of_each_kind[:2], given.items()):
        setattr(one, name, value)
    assert_truth(lambda: Article.objects.bulk_update(of_each_kind, [*given]), given, received, rows)


@in_a_test_case
@pytest.mark.parametrize("update", BULK_UPDATES.values(), ids=BULK_UPDATES)
def test_b5_results_and_errors_of_bulk_update_are_those_of_django(listen, update):
    def updated():
        with transaction.atomic():
            result = outcome_of(lambda: update(set_words(articles(1, 2, 3), 11, 12, 13)))
            stored = [*Article.objects.order_by("title").values_list("title", "words")]
            transaction.set_rollback(True)
        return result, stored

    plain = updated()
    for signal, options in [*((signal, {}) for signal in WRITES), (post_save, {"bulk": True})]:
        listen(signal, **options)
    assert updated() == plain


def test_b5_batches_of_the_database_are_one_event(batches):
    objects = set_words(articles(1, 2, 3), 11, 12, 13)
    received = batches(post_bulk_update)
    Article.objects.bulk_update(objects, ["words"], batch_size=2)
    assert [len(batch.updated) for batch in received] == [3]


def test_b5_it_takes_no_statements_more_than_those_that_read_the_rows(batches):
    objects = articles(1, 2)
    plain = shapes(lambda: Article.objects.bulk_update(set_words(objects, 3, 4), ["words"]))
    batches(post_bulk_update)
    received = shapes(lambda: Article.objects.bulk_update(set_words(objects, 5, 6), ["words"]))
    assert len(received) <= len(plain) + READS + LOCK


@in_a_test_case
def test_b5_fields_that_are_not_loaded_are_not_loaded_for_it(row_changes, listen):
    articles(1)

    def rename():
        article = Article.objects.only("title").get()
        article.title += "!"
        Article.objects.bulk_update([article], ["title"])

    plain = shapes(rename)
    received, _ = (
        row_changes(Article, "title", "words"),
        listen(pre_save, sender=Article, bulk=True, when=changed("words")),
    )
    assert len(shapes(rename)) <= len(plain) + READS + LOCK
    assert [changes for _, changes in received] == [{"title": ("1!", "1!!")}]


# --- update -------------------------------------------------------------------------------------------------------


def test_b6_update_tells_the_key_the_old_and_the_new_value_of_each_row(listen):
    first, second = articles(1, 2)
    received = listen(post_update, sender=Article)
    assert Article.objects.update(words=F("words") + 1) == 2
    (event,) = received
    batch = event.payload["batch"]
    assert (event.sender, event.payload["update_fields"]) == (Article, frozenset({"words"}))
    assert event.payload["using"] == "default"
    assert sorted(batch.changes("words")) == [(first.pk, 1, 2), (second.pk, 2, 3)]
    assert sorted(batch.pks) == [first.pk, second.pk]
    assert {(one.kind, one.changes["words"]) for one in batch.events} == {("updated", (1, 2)), ("updated", (2, 3))}


def test_b6_receivers_of_rows_receive_each_as_if_it_were_saved(listen, row_changes):
    first, second = articles(1, 2)
    received, changes = listen(post_save, sender=Article, bulk=True), row_changes(Article, "words")
    Article.objects.update(words=F("words") + 1, slug="same")
    assert {(one.pk, one.words, one.slug, one.title) for one in rows_of(received)} == {
        (first.pk, 2, "same", "1"),
        (second.pk, 3, "same", "2"),
    }
    assert {one.payload["update_fields"] for one in received} == {frozenset({"words", "slug"})}
    assert {(one.payload["created"], one.payload["raw"], one.payload["using"]) for one in received} == {
        (False, False, "default")
    }
    assert sorted(changes) == [(first.pk, {"words": (1, 2)}), (second.pk, {"words": (2, 3)})]


def test_b6_changes_are_given_to_who_has_a_parameter_for_them(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True)
    def note(sender, instance, changes, **kwargs):
        received.append((instance.pk, changes))

    (article,) = articles(1)
    Article.objects.update(words=2)
    assert received == [(article.pk, {"words": (1, 2)})]


def test_b6_conditions_on_values_choose_among_the_rows(listen):
    full, _ = articles(9, 1)
    received = listen(post_save, sender=Article, bulk=True, when=changed("words", was=9, to=10))
    others = listen(post_save, sender=Article, bulk=True, when=created | changed("title"))
    Article.objects.update(words=F("words") + 1)
    assert (rows_of(received), others) == ([full], [])


@on_both_ends
def test_b6_conditions_of_ones_own_choose_among_the_rows_too(listen, net, policy):
    def is_long(instance, **kwargs):
        return instance.words > 5

    long, _ = articles(8, 1)
    rows, whole = listen(post_save, sender=Article, bulk=True, when=is_long), net(policy=policy, when=is_long)
    Article.objects.update(title="new")
    assert (rows_of(rows), [batch.updated for batch in whole]) == ([long], [[long]])


def test_b6_rows_that_get_the_value_that_they_have_are_written_and_not_changed(batches):
    same, other = articles(5, 6)
    received = batches(post_update)
    assert Article.objects.update(words=5) == 2
    (batch,) = received
    assert sorted(batch.pks) == [same.pk, other.pk]
    assert batch.changes("words") == [(other.pk, 6, 5)]


def test_b6_one_update_is_at_most_two_statements(batches):
    articles(1, 2)
    batches(post_update)
    assert len(shapes(lambda: Article.objects.update(words=F("words") + 1))) <= 2 + LOCK


def test_b6_who_asks_for_no_values_gets_keys_and_the_database_is_asked_for_no_others(receive):
    articles(1, 2)
    keys = []

    @receive(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    def note(sender, batch, **kwargs):
        keys.extend(batch.pks)

    sent = shapes(lambda: Article.objects.update(words=F("words") + 1))
    asked = [sql.partition("SET")[0] + sql.partition("RETURNING")[2] for sql in sent]
    assert len(keys) == 2
    assert len(sent) <= 2 + LOCK
    assert not any("title" in sql for sql in asked)


def test_b6_an_update_reads_no_value_that_only_a_receiver_of_the_past_has_asked_for(receive, batches):
    articles(1, 2)

    @receive(post_save, sender=Article, when=changed("title", "words"))
    def note(sender, **kwargs):
        pass

    batches(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    update = functools.partial(Article.objects.update, words=F("words") + 1)
    while_watched = shapes(update)
    post_save.disconnect(note, sender=Article)
    assert any("title" in sql for sql in while_watched)
    assert not any("title" in sql for sql in shapes(update))


@pytest.fixture
def many():
    """Rows enough to be more than one statement may have parameters."""
    with mute():
        Ware.objects.bulk_create([Ware(name=f"{number}", rank=number) for number in range(10_000)], 900)
    return Ware.objects.all()


def test_b6_ten_thousand_rows_are_no_more_statements_than_ten(batches, many):
    received = batches(post_update, sender=Ware)
    few = shapes(lambda: many.filter(rank__lt=10).update(stock=F("stock") + 1))
    assert len(shapes(lambda: many.update(stock=F("stock") + 1))) == len(few)
    assert [len(batch.changes("stock")) for batch in received] == [10, 10_000]


def test_b6_nor_are_they_for_receivers_of_rows(row_changes, many):
    received = row_changes(Ware, "stock")
    few = shapes(lambda: many.filter(rank__lt=10).update(stock=F("stock") + 1))
    assert len(shapes(lambda: many.filter(rank__lt=900).update(stock=F("stock") + 1))) == len(few)
    assert len(received) == 910


def test_b6_instances_are_loaded_on_first_use_by_one_query(batches, django_assert_num_queries):
    articles(1, 2, 3)
    received = batches(post_update)
    Article.objects.update(words=F("words") + 1)
    (batch,) = received
    with django_assert_num_queries(0):
        assert len(batch.pks) == len(batch.events) == 3
    with django_assert_num_queries(1):
        assert sorted(one.words for one in batch.instances) == [2, 3, 4]
    with django_assert_num_queries(0):
        assert [one.instance for one in batch.events] == batch.instances == batch.updated


@in_a_test_case
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_b6_old_and_new_are_what_was_stored_and_what_is(batches, row_changes, of_each_kind, values):
    received, rows, given = batches(post_update), row_changes(Article), values()
    assert_truth(lambda: Article.objects.update(**given), given, received, rows)


@in_a_test_case
def test_b6_a_parent_by_a_key_that_is_not_its_primary_key_is_told_by_that(batches):
    (band, other), song = (Band.objects.create(code=code) for code in "ab"), Song.objects.create(slug="s")
    played = Performance.objects.create(band=band, song=song)
    received = batches(post_update, sender=Performance)
    Performance.objects.update(band=other)
    assert received[0].changes("band") == [(played.pk, "a", "b")]


@in_a_test_case
def test_b6_fields_that_are_exchanged_are_told_as_they_are_stored(batches):
    Account.objects.bulk_create([Account(balance=1, limit=2), Account(balance=3, limit=4)])
    received = batches(post_update, sender=Account)
    before = dict_of_rows(Account)
    Account.objects.update(balance=F("limit"), limit=F("balance"))  # MariaDB sets one after the other
    after = dict_of_rows(Account)
    for name in ("balance", "limit"):
        assert {key: (old, new) for key, old, new in received[0].changes(name)} == differences(before, after, name)


@in_a_test_case
def test_b6_generated_columns_of_the_instances_are_those_of_the_database(listen):
    Account.objects.create(balance=1)
    received = listen(post_save, sender=Account, bulk=True)
    Account.objects.update(balance=F("balance") + 4)
    (account,) = rows_of(received)
    assert (account.balance, account.twice, account.limit) == (5, 10, 100)


@in_a_test_case
def test_b6_natural_keys_are_keys_of_the_caller_and_of_two_columns(batches):
    Country.objects.create(code="de")
    ticket = Ticket.objects.create()
    Seat.objects.bulk_create([Seat(row=1, number=1), Seat(row=1, number=2), Seat(row=2, number=1)])
    received = [batches(post_update, sender=model) for model in (Country, Ticket, Seat)]
    Country.objects.update(name="Germany")
    Ticket.objects.update(state="sold")
    Seat.objects.filter(row=1).update(guest="Ann")
    countries, tickets, seats = (batch for (batch,) in received)
    assert countries.changes("name") == [("de", "", "Germany")]
    assert tickets.changes("state") == [(ticket.pk, "new", "sold")]
    assert sorted(seats.changes("guest")) == [((1, 1), "", "Ann"), ((1, 2), "", "Ann")]
    assert sorted(one.pk for one in seats.instances) == [(1, 1), (1, 2)]


@in_a_test_case
def test_b6_a_row_that_gets_another_key_is_told_with_both(batches):
    Country.objects.create(code="de", name="Germany")
    received = batches(post_update, sender=Country)
    Country.objects.update(code="at")
    assert [change[1:] for change in received[0].changes("code")] == [("de", "at")]


@in_a_test_case
def test_b6_fields_of_a_parent_and_of_a_child_are_one_event_of_the_child(listen, batches):
    received, rows = batches(post_update, sender=Audiobook), listen(post_save, sender=Audiobook, bulk=True)
    family, parent = (
        listen(post_save, sender=Novel, bulk=True, subclasses=True),
        listen(post_save, sender=Novel, bulk=True),
    )
    with mute():
        Novel.objects.create(name="no audiobook")
        book = Audiobook.objects.create(name="a", minutes=1)
    Audiobook.objects.update(name="b", minutes=2)
    (batch,) = received
    assert (batch.changes("name"), batch.changes("minutes")) == ([(book.pk, "a", "b")], [(book.pk, 1, 2)])
    assert rows_of(rows) == rows_of(family) == [book]
    assert rows[0].payload["update_fields"] == frozenset({"name", "minutes"})
    assert parent == []


@pytest.mark.parametrize("values", [{"name": "b"}, {"minutes": 2}], ids=["the parent's", "the child's"])
def test_b6_fields_of_one_of_the_two_are_told_as_well(batches, values):
    Novel.objects.create(name="no audiobook")
    book = Audiobook.objects.create(name="a", minutes=1)
    received = batches(post_update, sender=Audiobook)
    ((name, new),) = values.items()
    Audiobook.objects.filter(**{name: getattr(book, name)}).update(**values)
    assert received[0].changes(name) == [(book.pk, getattr(book, name), new)]


@in_a_test_case
def test_b6_a_proxy_is_its_own_sender(listen):
    received, original = listen(post_update, sender=Reprint), listen(post_update, sender=Novel)
    family = listen(post_save, sender=Novel, bulk=True, subclasses=True)
    Novel.objects.create(name="a")
    family.clear()
    Reprint.objects.update(name="b")
    assert (len(received), original) == (1, [])
    assert [type(one) for one in rows_of(family)] == [Reprint]


@in_a_test_case
def test_b6_lazy_and_several_senders_receive(listen):
    lazy = listen(post_update, sender="app.Article")
    several = listen(post_update, sender=[Article, Ware])
    articles(1)
    wares("tea")
    Article.objects.update(words=2)
    Ware.objects.update(stock=2)
    assert ([one.sender for one in lazy], [one.sender for one in several]) == ([Article], [Article, Ware])


def test_b6_each_database_has_its_own_rows(listen):
    Article.objects.create(title="here")
    Article.objects.using("other").create(title="there")
    received, rows = listen(post_update, sender=Article), listen(post_save, sender=Article, bulk=True, using="other")
    Article.objects.update(words=1)
    Article.objects.using("other").update(words=2)
    assert [one.payload["using"] for one in received] == ["default", "other"]
    ((instance,), (there,)) = received[1].payload["batch"].instances, rows_of(rows)
    assert (instance.title, instance._state.db, there.title, there._state.db) == ("there", "other") * 2


@in_a_test_case
def test_b6_the_update_of_a_related_manager_is_one(batches):
    writer = Writer.objects.create()
    novel = Novel.objects.create(writer=writer, name="a")
    Novel.objects.create(name="other")
    received = batches(post_update, sender=Novel)
    writer.novels.update(name="b")
    assert [batch.changes("name") for batch in received] == [[(novel.pk, "a", "b")]]


@in_a_test_case
def test_b6_so_is_one_that_a_queryset_of_ones_own_passes_on(batches):
    class Loud(models.QuerySet):
        def update(self, **values):
            return super().update(**{name: value * 2 for name, value in values.items()})

    (article,) = articles(1)
    received = batches(post_update)
    Loud(Article).update(words=5)
    assert [batch.changes("words") for batch in received] == [[(article.pk, 1, 10)]]


def test_b6_before_the_write_there_are_the_queryset_and_the_values(receive):
    articles(1, 2)
    found = []

    @receive(pre_update, sender=Article)
    def note(sender, queryset, values, using, **kwargs):
        found.append(([one.words for one in queryset], {**values}, using))

    assert Article.objects.filter(words=2).update(words=5, slug="s") == 1
    assert found == [([2], {"words": 5, "slug": "s"}, "default")]


def test_b6_a_receiver_before_may_add_to_the_values(receive, listen):
    @receive(pre_update, sender=Article)
    def add_slug(sender, values, **kwargs):
        values["slug"] = Lower(Value(f"ABOUT-{values['title']}"))

    received = listen(post_update, sender=Article)
    articles(1)
    Article.objects.update(title="ann")
    assert received[0].payload["update_fields"] == frozenset({"title", "slug"})
    Article.objects.update(title="bob")
    assert Article.objects.get().slug == "about-bob"
    assert [change[1:] for change in received[1].payload["batch"].changes("slug")] == [("about-ann", "about-bob")]


def test_b6_pre_save_is_not_sent_for_an_update(listen):
    articles(1)
    received = listen(pre_save, sender=Article, bulk=True)
    Article.objects.update(words=2)
    assert received == []


# --- which rows ---------------------------------------------------------------------------------------------------


def test_b7_rows_are_told_although_they_have_left_the_filter(batches, row_changes):
    first, _ = articles(1, 2)
    received, changes = batches(post_update), row_changes(Article, "words")
    Article.objects.filter(words=1).update(words=5)
    assert received[0].changes("words") == [(first.pk, 1, 5)]
    assert [one.words for one in received[0].instances] == [5]
    assert changes == [(first.pk, {"words": (1, 5)})]


def test_b7_so_are_rows_that_have_left_the_filter_of_a_relation(batches):
    ann, bob = (Writer.objects.create(name=name) for name in ("Ann", "Bob"))
    article = Article.objects.create(author=ann)
    Article.objects.create(author=bob)
    received = batches(post_update)
    Article.objects.filter(author__name="Ann").update(author=bob)
    assert received[0].changes("author") == [(article.pk, ann.pk, bob.pk)]


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB has no LIMIT in such a subquery")
def test_b7_of_a_part_that_is_another_each_time_the_rows_written_are_told(batches):
    assert_told(batches, lambda all: all.filter(pk__in=all.order_by("?").values("pk")[:50]))


def test_b7_so_are_those_of_a_condition_that_holds_by_chance(batches):
    assert_told(batches, lambda all: all.alias(chance=Random()).filter(chance__lt=0.5))


def assert_told(batches, filtered):
    wares(*map(str, range(100)))
    received = batches(post_update, sender=Ware)
    count = filtered(Ware.objects.all()).update(stock=1)
    written = {*Ware.objects.filter(stock=1).values_list("pk", flat=True)}
    assert {key for batch in received for key in batch.pks} == written
    assert {key for batch in received for key, _, _ in batch.changes("stock")} == written
    assert count == len(written)


QUERYSETS = {
    "all": lambda all: all.update(words=F("words") + 1),
    "a part": lambda all: all[:2].update(words=9),
    "a part from the end": lambda all: all.order_by("words")[1:].update(words=9),
    "in an order": lambda all: all.order_by("-words").update(words=F("words") + 1),
    "in the order of a relation": lambda all: all.order_by("author__name").update(words=F("words") + 1),
    "in the order of an annotation": lambda all: all.annotate(n=F("words") * 2).order_by("-n").update(words=F("n")),
    "in the order of an aggregate": lambda all: all.annotate(n=Count("author")).order_by("n").update(words=1),
    "reversed": lambda all: all.order_by("words").reverse().update(words=9),
    "an aggregate as value": lambda all: all.annotate(n=Count("author")).update(words=F("n")),
    "beside an aggregate": lambda all: all.annotate(n=Count("author")).filter(n=1).update(words=9),
    "an average in a filter": lambda all: all.annotate(n=Avg("words")).filter(n__gt=2).update(words=9),
    "joined": lambda all: all.filter(author__name="Ann").update(words=F("words") + 1),
    "joined and excluded": lambda all: all.exclude(author__name="Ann").update(words=9),
    "joined by many": lambda all: Writer.objects.filter(article__words__gt=0).update(name=Concat("name", Value("!"))),
    "joined by many and distinct": lambda all: Writer.objects.filter(article__words__gt=0).distinct().update(name="x"),
    "a field of a relation as value": lambda all: all.update(title=F("author__name")),
    "an annotation of a relation": lambda all: all.annotate(n=F("author__name")).update(title=F("n")),
    "a query as value": lambda all: all.annotate(
        n=Subquery(Writer.objects.filter(pk=OuterRef("author")).values("name"))
    ).update(title=Coalesce(F("n"), Value("none"))),
    "a query in the filter": lambda all: all.filter(Exists(Writer.objects.filter(pk=OuterRef("author")))).update(
        words=9
    ),
    "distinct": lambda all: all.distinct().update(words=9),
    "distinct by a field": lambda all: all.distinct("title").update(words=9),
    "combined": lambda all: all.union(all).update(words=9),
    "two filters": lambda all: (all.filter(words=1) | all.filter(author=None)).update(words=9),
    "values": lambda all: all.values("title").update(words=9),
    "flat values": lambda all: all.values_list("pk", flat=True).update(words=9),
    "grouped values": lambda all: all.values("title").annotate(n=Count("pk")).filter(n=1).update(words=9),
    "with its relations": lambda all: all.select_related("author").update(words=9),
    "with fields deferred": lambda all: all.only("title").update(words=9),
    "for update": lambda all: all.select_for_update().update(words=9),
    "with a condition in SQL": lambda all: all.extra(where=["words > 2"]).update(words=9),
    "evaluated before": lambda all: [queryset := all.filter(words=1), len(queryset), queryset.update(words=9)][2],
    "none": lambda all: all.none().update(words=9),
    "none of these keys": lambda all: all.filter(pk__in=[]).update(words=9),
    "none that is found": lambda all: all.filter(words=99).update(words=9),
    "no value": lambda all: all.update(),
    "a field that is not there": lambda all: all.update(no=9),
    "the key by its nickname": lambda all: all.update(pk=9),
    "a relation to many": lambda all: Novel.objects.update(genres=1),
    "a relation from others": lambda all: Writer.objects.update(novels=1),
    "a generated field": lambda all: Account.objects.update(twice=1),
    "a value that does not fit": lambda all: all.update(words="many"),
    "a value that is not allowed": lambda all: all.update(words=None),
    "an object of another model": lambda all: all.update(author=Genre.objects.create()),
    "a parent that is not stored": lambda all: all.update(author=Writer()),
    "the key of two columns": lambda all: Seat.objects.update(pk=(1, 2)),
}


@contextmanager
def stories():
    """Have articles of two authors and of none, until the end of the block."""
    with transaction.atomic():
        with mute():
            ann, bob = (Writer.objects.create(name=name) for name in ("Ann", "Bob"))
            for words, author in enumerate((ann, ann, bob, None), 1):
                Article.objects.create(title="abcd"[words - 1], words=words, author=author)
        yield
        transaction.set_rollback(True)


@in_a_test_case
@pytest.mark.parametrize("update", QUERYSETS.values(), ids=QUERYSETS)
def test_b8_results_errors_and_rows_are_those_of_django(listen, update):
    def updated():
        with stories():
            result = outcome_of(lambda: update(Article.objects.all()))
            return (
                result,
                [*Article.objects.order_by("pk").values_list("title", "words")],
                [*Writer.objects.order_by("pk").values_list("name")],
            )

    plain = updated()
    for signal, options in [*((signal, {}) for signal in WRITES), (post_save, {"bulk": True, "when": changed()})]:
        listen(signal, **options)
    assert updated() == plain


@in_a_test_case
@pytest.mark.parametrize("update", QUERYSETS.values(), ids=QUERYSETS)
def test_b8_what_is_told_is_what_became_of_the_rows(batches, update):
    received = {model: batches(post_update, sender=model) for model in (Article, Writer)}
    with stories():
        before = {model: dict_of_rows(model) for model in received}
        result = outcome_of(lambda: update(Article.objects.all()))
        after = {model: dict_of_rows(model) for model in received}
    for model, name in ((Article, "words"), (Article, "title"), (Writer, "name")):
        told = {key: (old, new) for batch in received[model] for key, old, new in batch.changes(name)}
        assert told == differences(before[model], after[model], name)
    written = sum(len(batch.pks) for batches in received.values() for batch in batches)
    assert written == (result if isinstance(result, int) else 0)


@pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB has an order in UPDATE")
def test_b8_an_order_that_keeps_values_apart_is_kept(batches):
    Ware.objects.bulk_create([Ware(name=f"{number}", rank=number) for number in (1, 2, 3)])
    received = batches(post_update, sender=Ware)
    assert Ware.objects.order_by("-rank").update(rank=F("rank") + 1) == 3
    assert sorted(change[1:] for change in received[0].changes("rank")) == [(1, 2), (2, 3), (3, 4)]


# --- at the same time ---------------------------------------------------------------------------------------------


@in_a_transaction_and_not
def test_b9_what_is_old_for_one_of_concurrent_writers_is_new_for_another(batches, is_atomic):
    (tea,) = wares("tea")
    received = batches(post_update, sender=Ware)
    start = threading.Barrier(4, timeout=20)

    def add():
        start.wait()
        for _ in range(5):
            with transaction.atomic() if is_atomic else nullcontext():
                Ware.objects.filter(pk=tea.pk).update(stock=F("stock") + 1)

    at_once(add, add, add, add)
    told = sorted(change for batch in received for change in batch.changes("stock"))
    assert told == [(tea.pk, number, number + 1) for number in range(20)]
    assert Ware.objects.get().stock == 20


def test_b9_so_it_is_for_objects_that_are_written_with_an_expression(batches):
    (tea,) = wares("tea")
    received = batches(post_bulk_update, sender=Ware)
    start = threading.Barrier(3, timeout=20)

    def add():
        start.wait()
        for _ in range(4):
            Ware.objects.bulk_update([Ware(pk=tea.pk, stock=F("stock") + 1)], ["stock"])

    at_once(add, add, add)
    told = sorted(change for batch in received for change in batch.changes("stock"))
    assert told == [(tea.pk, number, number + 1) for number in range(12)]


def test_b9_so_it_is_for_conflicts_that_update(batches):
    wares("tea")
    received = batches(post_bulk_create, sender=Ware)
    start = threading.Barrier(4, timeout=20)

    def take(number):
        start.wait()
        Ware.objects.bulk_create([Ware(name="tea", stock=number)], **conflict("name", update=["stock"]))

    at_once(*(functools.partial(take, number) for number in (1, 2, 3, 4)))
    told = [change[1:] for batch in received for change in batch.changes("stock")]
    assert sorted(new for _, new in told) == [1, 2, 3, 4]
    assert sorted([*(old for old, _ in told), Ware.objects.get().stock]) == [0, 1, 2, 3, 4]


def meanwhile(first, second):
    """Run `second` in another thread while the transaction of `first` is open, and return what it returns."""
    is_written, is_about_to = threading.Event(), threading.Event()

    def lead():
        with transaction.atomic():
            first()
            is_written.set()
            is_about_to.wait(20)

    def follow():
        is_written.wait(20)
        is_about_to.set()  # whether it comes to the row before the commit or after: what it writes on is the commit's
        return second()

    return at_once(lead, follow)[1]


def test_b9_the_old_value_is_what_the_statement_found_and_not_what_was_read_before_it(batches):
    (tea,) = wares("tea")
    received = batches(post_update, sender=Ware)
    meanwhile(lambda: Ware.objects.update(stock=5), lambda: Ware.objects.update(stock=9))
    assert [batch.changes("stock") for batch in received] == [[(tea.pk, 0, 5)], [(tea.pk, 5, 9)]]


def test_b9_a_row_that_has_left_the_filter_meanwhile_is_not_told(batches):
    wares("tea")
    received = batches(post_update, sender=Ware)
    count = meanwhile(lambda: Ware.objects.update(stock=5), lambda: Ware.objects.filter(stock=0).update(stock=9))
    assert (count, [batch.changes("stock") for batch in received if batch.pks][1:]) == (0, [])


# --- nobody listens -----------------------------------------------------------------------------------------------

METHODS = ("bulk_create", "bulk_update", "update", "abulk_create", "abulk_update", "aupdate", "delete", "adelete")
DJANGOS = {name: (getattr(models.QuerySet, name), getattr(models.QuerySet, name).__code__) for name in METHODS}


def write_everything():
    objects = Article.objects.bulk_create([Article(words=1), Article(words=2)])
    Article.objects.bulk_update(set_words(objects, 3, 4), ["words"])
    Article.objects.filter(words=3).update(words=F("words") + 1)
    Country.objects.bulk_create([Country(code="de"), Country(code="de")], ignore_conflicts=True)
    Country.objects.bulk_create([Country(code="de", name="x")], **conflict("code", update=["name"]))
    Article.objects.all().delete()
    Country.objects.all().delete()


@in_a_transaction_and_not
def test_b10_a_model_that_nobody_listens_to_has_the_statements_of_django(listen, is_atomic):
    def sent():
        with transaction.atomic() if is_atomic else nullcontext(), CaptureQueriesContext(connection) as queries:
            write_everything()
        return [re.sub(r"\d+", "0", query["sql"]) for query in queries.captured_queries]

    plain = sent()
    for signal in WRITES:
        listen(signal, sender=Ware)
    listen(post_save, sender=Ware, bulk=True, when=changed("stock"))
    listen(post_save, sender=Article)
    listen(post_save, sender=Article, when=changed("words"))
    assert sent() == plain


@in_a_test_case
@pytest.mark.parametrize("name", METHODS)
def test_b10_methods_look_as_they_do_without_receivers(listen, name):
    owners = [owner for owner in (models.QuerySet, models.Manager) if hasattr(owner, name)]
    plain = [looks(getattr(owner, name)) for owner in owners]
    for signal, options in [*((signal, {}) for signal in WRITES), *((one, {"bulk": True}) for one in ROWS)]:
        listen(signal, sender=Article, **options)
    assert [looks(getattr(owner, name)) for owner in owners] == plain


def looks(function):
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "alters_data", "queryset_only")
    attributes = [getattr(function, name, None) for name in names]
    return inspect.signature(function), inspect.iscoroutinefunction(function), attributes


@in_a_test_case
@pytest.mark.parametrize(("signal", "options"), [*((one, {}) for one in WRITES), (post_save, {"bulk": True})])
def test_b10_after_the_last_receiver_the_methods_are_djangos_own(signal, options):
    def note(sender, **kwargs): ...

    for sender in (Article, Ware):
        signal.connect(note, sender=sender, **options)
    for sender in (Article, Ware):
        signal.disconnect(note, sender=sender)
    assert {name: getattr(models.QuerySet, name) for name in METHODS} == {
        name: one for name, (one, _) in DJANGOS.items()
    }
    assert all(function.__code__ is code for function, code in DJANGOS.values())


def test_b10_while_all_is_muted_nothing_is_told_and_everything_is_written(listen):
    articles(1)
    received = [listen(signal, sender=Article) for signal in WRITES] + [listen(post_save, sender=Article, bulk=True)]
    for target in ([], [Article], [*WRITES, post_save]):
        with mute(*target):
            Article.objects.update(words=F("words") + 1)
            Article.objects.bulk_create([Article(words=-9)])
    assert received == [[]] * 7
    assert (Article.objects.get(title="1").words, Article.objects.count()) == (4, 4)


def test_b10_a_capture_receives_what_nobody_else_does():
    (article,) = articles(1)
    with capture(post_update, sender=Article) as sent:
        Article.objects.update(words=2)
        Ware.objects.update(stock=1)
    (event,) = sent
    assert event is sent.assert_sent(using="default", update_fields=frozenset({"words"}))
    assert event.kwargs["batch"].pks == [article.pk]


@in_a_test_case
@pytest.mark.parametrize("signal", [m2m_changed, request_finished, post_update, post_bulk_create])
def test_b10_bulk_is_refused_for_signals_that_are_not_about_the_write_of_a_row(signal):
    def note(sender, **kwargs): ...

    with pytest.raises(TypeError, match="bulk"):
        receiver(signal, sender=Article, bulk=True)(note)
    signal.disconnect(note, sender=Article)


@in_a_test_case
def test_b10_the_checks_find_nothing_wrong_with_receivers_of_writes(batches, net):
    for signal in (post_bulk_create, post_bulk_update, post_update):
        batches(signal)
    net()
    assert [one for one in run_checks() if one.id.startswith("heliograph.")] == []


# --- async, and one row at a time ---------------------------------------------------------------------------------


async def test_b11_from_async_code_each_write_is_one_event(listen, batches, async_database):
    received = {signal: batches(signal, sender=Ware) for signal in (post_bulk_create, post_bulk_update, post_update)}
    rows = listen(post_save, sender=Ware, bulk=True)
    objects = await Ware.objects.abulk_create([Ware(name="tea"), Ware(name="salt")])
    for one in objects:
        one.stock = 3
    await Ware.objects.abulk_update(objects, ["stock"])
    assert await Ware.objects.aupdate(stock=F("stock") + 1) == 2
    assert {signal: [len(batch.pks) for batch in one] for signal, one in received.items()} == {
        signal: [2] for signal in received
    }
    assert len(rows) == 6
    assert sorted(change[1:] for change in received[post_update][0].changes("stock")) == [(3, 4), (3, 4)]


async def test_b11_an_async_receiver_receives_writes_from_async_code(receive, async_database):
    received = []

    @receive(post_update, sender=Ware)
    async def note(sender, batch, **kwargs):
        received.append(batch.changes("stock"))

    tea = await Ware.objects.acreate(name="tea")
    await Ware.objects.aupdate(stock=1)
    assert received == [[(tea.pk, 0, 1)]]


async def test_b11_a_mute_of_a_task_holds_for_its_writes(listen, async_database):
    received = listen(post_update, sender=Ware)
    await Ware.objects.acreate(name="tea")
    with mute(post_update):
        await Ware.objects.aupdate(stock=1)
    assert received == []


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_b11_what_writes_one_row_is_one_event_and_no_bulk_write(listen, is_async, async_database):
    rows, writes = listen(post_save, sender=Ware, bulk=True), [listen(signal, sender=Ware) for signal in WRITES]
    every = Ware.objects
    get, update = (
        (every.aget_or_create, every.aupdate_or_create)
        if is_async
        else map(sync_to_async, (every.get_or_create, every.update_or_create))
    )
    told = []
    for call in (get, get, update):
        await call(name="tea", defaults={"stock": len(told)})
        told.append(len(rows))
    await update(name="salt", defaults={"stock": 9})
    assert told == [1, 1, 2]
    assert [one.payload["created"] for one in rows] == [True, False, True]
    assert writes == [[]] * 6


def test_b11_get_or_create_is_one_event_also_when_racing(listen, net):
    rows, whole = listen(post_save, sender=Ware, bulk=True), net(Ware)
    start = threading.Barrier(4, timeout=20)

    def get():
        start.wait()
        return Ware.objects.get_or_create(name="tea")[1]

    assert sorted(at_once(get, get, get, get)) == [False, False, False, True]
    assert [one.payload["created"] for one in rows] == [True]
    assert [len(batch.created) for batch in whole] == [1]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one reader who may become a writer")
def test_b11_update_or_create_is_one_event_for_each_also_when_racing(listen):
    received = listen(post_save, sender=Ware, bulk=True)
    start = threading.Barrier(2, timeout=20)

    def update():
        start.wait()
        Ware.objects.update_or_create(name="tea", defaults={"stock": 1})

    at_once(update, update)  # a third one would be a deadlock of InnoDB, with Django alone as well
    assert sorted(one.payload["created"] for one in received) == [False, True]


# --- not twice ----------------------------------------------------------------------------------------------------


def test_b18_the_updates_inside_a_bulk_update_are_not_reported_by_themselves(listen, net):
    objects = set_words(articles(1, 2), 3, 4)
    updates, rows, whole = listen(post_update, sender=Article), listen(post_save, sender=Article, bulk=True), net()
    Article.objects.bulk_update(objects, ["words"], batch_size=1)
    assert (updates, len(rows), [len(batch.events) for batch in whole]) == ([], 2, [2])


def test_b18_the_update_of_the_collector_is_reported_once(listen, net):
    writer = Writer.objects.create()
    article = Article.objects.create(author=writer)
    rows, whole = listen(post_save, sender=Article, bulk=True), net(when=changed("author"))
    writer_id = writer.pk
    writer.delete()
    assert rows_of(rows) == [article]
    assert [batch.changes("author") for batch in whole] == [[(article.pk, writer_id, None)]]


def test_b18_what_a_save_does_is_no_update(listen):
    received = [listen(signal) for signal in WRITES]
    article = Article.objects.create(words=1)
    article.save()
    article.save(update_fields=["words"])
    Audiobook.objects.create(name="a").save()
    assert received == [[]] * 6


def test_b18_two_receivers_of_which_one_asks_for_values_receive_one_write(
    listen, row_changes, django_assert_num_queries
):
    articles(1)
    rows, changes = listen(post_save, sender=Article, bulk=True), row_changes(Article, "words")
    Article.objects.update(words=2)
    assert (len(rows), len(changes)) == (1, 1)
    assert rows_of(rows)[0].words == 2


# --- whole transactions -------------------------------------------------------------------------------------------


@in_a_test_case
@on_both_ends
def test_all_writes_of_a_transaction_are_one_batch(net, policy):
    old, changing = articles(1, 2)
    received = net(policy=policy)
    with transaction.atomic():
        (new,) = Article.objects.bulk_create([Article(words=3)])
        Article.objects.filter(pk=old.pk).update(words=9)
        changing.words = 8
        Article.objects.bulk_update([changing], ["words"])
        saved = Article.objects.create(words=4)
        assert received == []
    (batch,) = received
    assert batch.created == [new, saved]
    assert batch.updated == [old, changing]
    assert batch.pks == [new.pk, old.pk, changing.pk, saved.pk]


@in_a_test_case
@on_both_ends
def test_what_is_created_in_bulk_and_then_updated_is_created_with_the_final_values(net, policy):
    received = net(policy=policy)
    with transaction.atomic():
        Article.objects.bulk_create([Article(words=1), Article(words=2)])
        Article.objects.update(words=F("words") + 10)
    (batch,) = received
    assert sorted(one.words for one in batch.created) == [11, 12]
    assert (batch.updated, {event.kind for event in batch.events}) == ([], {"created"})


@in_a_test_case
@on_both_ends
def test_what_is_updated_there_and_back_is_nothing(net, policy):
    articles(1)
    received = net(policy=policy, when=changed("words"))
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(words=F("words") - 1)
    assert received == []


@in_a_test_case
@on_both_ends
@pytest.mark.parametrize("is_bulk", [True, False], ids=["by a queryset", "one by one"])
def test_what_is_created_in_bulk_and_deleted_is_nothing(net, policy, is_bulk):
    received = net(policy=policy, signal=[post_save, post_delete])
    with transaction.atomic():
        objects = Article.objects.bulk_create([Article(words=1), Article(words=2)])
        if is_bulk:
            Article.objects.all().delete()
        else:
            for one in objects:
                one.delete()
    assert received == []


def test_what_is_updated_and_deleted_is_deleted(net):
    (article,) = articles(1)
    received = net(signal=[post_save, post_delete])
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.all().delete()
    (batch,) = received
    assert ([one.pk for one in batch.deleted], batch.updated) == ([article.pk], [])


@in_a_test_case
@on_both_ends
def test_an_update_and_a_save_are_one_net_change(net, policy):
    received = net(policy=policy, when=changed("words"))
    articles(1, 1)
    first, second = Article.objects.order_by("pk")
    with transaction.atomic():
        first.words = 2
        first.save()
        Article.objects.update(words=F("words") + 10)
        second.refresh_from_db()
        second.words = 20
        second.save()
    (batch,) = received
    assert batch.changes("words") == [(first.pk, 1, 12), (second.pk, 1, 20)]
    assert {event.pk: event.changes for event in batch.events} == {
        first.pk: {"words": (1, 12)},
        second.pk: {"words": (1, 20)},
    }


@in_a_test_case
def test_fields_that_different_updates_have_written_come_together(net):
    (article,) = articles(1)
    received = net(when=changed("words", "title"))
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(title="new")
    ((event,),) = (batch.events for batch in received)
    assert event.changes == {"words": (1, 2), "title": ("1", "new")}
    assert event.kwargs["update_fields"] == frozenset({"words", "title"})
    assert (event.pk, event.sender) == (article.pk, Article)


@in_a_test_case
@on_both_ends
def test_a_batch_needs_no_query_for_its_keys_and_changes(net, policy, django_assert_num_queries):
    (article,) = articles(1)
    received = net(policy=policy, when=changed("words"))
    Article.objects.update(words=2)
    with django_assert_num_queries(0):
        assert received[0].pks == [article.pk]
        assert received[0].changes("words") == [(article.pk, 1, 2)]


@in_a_test_case
@on_both_ends
def test_calls_for_each_row_come_at_the_end_of_the_transaction(listen, policy):
    articles(1, 2)
    received = listen(post_save, sender=Article, bulk=True, delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=F("words") + 1)
        assert received == []
    assert sorted(one.words for one in rows_of(received)) == [2, 3]


@in_a_test_case
@on_both_ends
def test_and_they_are_given_the_changes_of_their_row(row_changes, policy):
    (article,) = articles(1)
    received = row_changes(Article, "words", delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=2)
        Article.objects.update(words=3)
    assert received == [(article.pk, {"words": (1, 2)}), (article.pk, {"words": (2, 3)})]


@in_a_test_case
@on_both_ends
def test_so_do_calls_for_a_write(batches, policy):
    (article,) = articles(1)
    received = batches(post_update, delivery=policy())
    with transaction.atomic():
        Article.objects.update(words=2)
        assert received == []
    assert [batch.changes("words") for batch in received] == [[(article.pk, 1, 2)]]


def test_a_savepoint_that_is_rolled_back_takes_its_writes_with_it(listen, net):
    (article,) = articles(1)
    rows = listen(post_save, sender=Article, bulk=True, delivery=OnCommit())
    whole = net(policy=OnCommit, when=created | changed("words"))
    with transaction.atomic():
        Article.objects.update(words=2)
        with mishap(), transaction.atomic():
            Article.objects.update(words=3)
            Article.objects.bulk_create([Article()])
            raise MishapError
    assert rows_of(rows) == [article]
    assert [batch.changes("words") for batch in whole] == [[(article.pk, 1, 2)]]


def test_after_a_rollback_nobody_is_called(listen, net):
    articles(1)
    received = [listen(post_save, sender=Article, bulk=True, delivery=OnCommit()), net(), net(policy=OnCommit)]
    with mishap(), transaction.atomic():
        Article.objects.update(words=2)
        raise MishapError
    assert received == [[], [], []]


WRITTEN = {
    "bulk_create": lambda there: Article.objects.bulk_create([Article(words=5)]),
    "bulk_update": lambda there: Article.objects.bulk_update(set_words(there, 5), ["words"]),
    "update": lambda there: Article.objects.update(words=5),
}


@in_a_transaction_and_not
@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("write", WRITTEN)
def test_what_a_receiver_of_the_write_raises_undoes_it(connect, when, write, is_atomic):
    there = articles(1)
    name = "update" if write == "update" else write
    signal = {f"{one.name.rpartition('.')[2]}": one for one in WRITES}[f"{when}_{name}"]
    connect(signal, refuse, sender=Article)
    with mishap(), transaction.atomic() if is_atomic else nullcontext():
        WRITTEN[write](there)
    assert [*Article.objects.values_list("words", flat=True)] == [1]
    assert not connection.in_atomic_block


@pytest.mark.parametrize("options", [{}, {"batch": True}], ids=["each", "batch"])
@pytest.mark.parametrize("write", WRITTEN)
def test_what_a_receiver_before_the_commit_raises_undoes_the_write_in_autocommit(connect, write, options):
    there = articles(1)

    def refuse(sender, batch=None, **kwargs):
        raise MishapError

    connect(post_save, refuse, sender=Article, bulk=True, delivery=BeforeCommit(**options))
    with mishap():
        WRITTEN[write](there)
    assert [*Article.objects.values_list("words", flat=True)] == [1]


def test_an_update_that_the_database_refuses_tells_nothing(listen, batches):
    wares("tea", "salt")
    rows, received = listen(post_save, sender=Ware, bulk=True), batches(post_update, sender=Ware)
    with pytest.raises(IntegrityError):
        Ware.objects.update(name="tea")
    assert (rows, received, connection.in_atomic_block) == ([], [], False)
    assert sorted(Ware.objects.values_list("name", flat=True)) == ["salt", "tea"]


@in_a_test_case
class TestInsideATestCase:
    """Inside a TestCase of Django, which rolls everything back."""

    @on_both_ends
    def test_an_update_without_a_block_is_its_own_commit(self, net, listen, policy):
        (article,) = articles(1)
        whole, rows = net(policy=policy), listen(post_save, sender=Article, bulk=True, delivery=policy())
        Article.objects.update(words=2)
        assert ([batch.updated for batch in whole], rows_of(rows)) == ([[article]], [article])

    @on_both_ends
    def test_the_end_of_the_outermost_block_is_the_commit(self, net, policy):
        received = net(policy=policy)
        with transaction.atomic():
            Article.objects.bulk_create([Article(words=1)])
            Article.objects.update(words=2)
            assert received == []
        assert [len(batch.created) for batch in received] == [1]

    @pytest.mark.parametrize("write", WRITTEN)
    def test_what_a_receiver_raises_undoes_the_write_and_not_the_test(self, connect, write):
        there = articles(1)
        for signal in (post_bulk_create, post_bulk_update, post_update):
            connect(signal, refuse, sender=Article)
        with mishap():
            WRITTEN[write](there)
        assert [*Article.objects.values_list("words", flat=True)] == [1]


# --- what instances remember --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bulk": True}], ids=["received by save only", "received in bulk"])
def test_objects_that_were_created_in_bulk_know_what_they_change_next(receive, options):
    received = []

    @receive(post_save, sender=Article, when=changed("words"), **options)
    def note(changes, **kwargs):
        received.append(changes)

    (article,) = Article.objects.bulk_create([Article(words=1)])
    assert changes_of(article) == {}
    article.words = 2
    assert changes_of(article) == {"words": (1, 2)}
    article.save()
    assert received == [{"words": (1, 2)}]


def test_objects_whose_creation_was_refused_in_autocommit_are_as_they_were(connect, listen):
    listen(post_save, sender=Article, when=changed("words"))
    connect(post_bulk_create, refuse, sender=Article)
    article = Article(words=1)
    with mishap():
        Article.objects.bulk_create([article])
    assert (article.pk, article._state.adding) == (None, True)


@in_a_transaction_and_not
def test_after_a_rollback_an_object_that_was_updated_in_bulk_is_changed_again(receive, listen, is_atomic):
    listen(post_save, sender=Article, when=changed("words", "title"))
    articles(1)
    article = Article.objects.get()
    article.words, article.title = 2, "another"
    if not is_atomic:
        receive(post_bulk_update, sender=Article)(refuse)
    with mishap(), transaction.atomic() if is_atomic else nullcontext():
        Article.objects.bulk_update([article], ["words"])
        raise MishapError
    assert changes_of(article) == {"words": (1, 2), "title": ("1", "another")}


def test_after_a_savepoint_is_rolled_back_what_was_written_before_it_counts(listen):
    listen(post_save, sender=Article, when=changed("words"), bulk=True)
    articles(1)
    article = Article.objects.get()
    with transaction.atomic():
        Article.objects.bulk_update(set_words([article], 2), ["words"])
        with mishap(), transaction.atomic():
            Article.objects.bulk_update(set_words([article], 3), ["words"])
            raise MishapError
    assert changes_of(article) == {"words": (2, 3)}


def test_an_instance_that_was_loaded_for_a_receiver_knows_what_it_changes_next(listen):
    received = listen(post_save, sender=Article, when=changed("words"), bulk=True)
    articles(1)
    Article.objects.update(words=2)
    (article,) = rows_of(received)
    article.words = 3
    assert changes_of(article) == {"words": (2, 3)}


# --- receivers that write -----------------------------------------------------------------------------------------


REPEATS = {
    "by an update": lambda pks: Article.objects.filter(pk__in=pks).update(words=F("words") + 1),
    "by a save": lambda pks: [set_words([one], one.words + 1)[0].save() for one in Article.objects.filter(pk__in=pks)],
    "by a bulk update": lambda pks: Article.objects.bulk_update(
        [set_words([one], one.words + 1)[0] for one in Article.objects.filter(pk__in=pks)], ["words"]
    ),
}


@in_a_test_case
@pytest.mark.parametrize("again", REPEATS.values(), ids=REPEATS)
@pytest.mark.parametrize("policy", [None, BeforeCommit, OnCommit])
def test_a_receiver_that_writes_its_row_again_is_not_called_again_for_it(receive, policy, again):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, **({"delivery": policy()} if policy else {}))
    def write_again(sender, instance, **kwargs):
        calls.append(instance.pk)
        again([instance.pk])

    Article.objects.update(title="new")
    assert sorted(calls) == [first.pk, second.pk]
    assert sorted(Article.objects.values_list("words", flat=True)) == [2, 3]


@in_a_test_case
@pytest.mark.parametrize("again", REPEATS.values(), ids=REPEATS)
@on_both_ends
def test_nor_is_one_of_batches_for_the_rows_of_its_batch(receive, policy, again):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=policy(batch=True))
    def write_again(sender, batch, **kwargs):
        calls.append(sorted(batch.pks))
        again(batch.pks)

    Article.objects.update(title="new")
    assert calls == [[first.pk, second.pk]]
    assert sorted(Article.objects.values_list("words", flat=True)) == [2, 3]


@in_a_test_case
@on_both_ends
def test_for_the_other_rows_of_what_it_writes_it_is_called(receive, policy):
    first, second = articles(1, 2)
    calls = []

    @receive(post_save, sender=Article, bulk=True, delivery=policy(batch=True))
    def write_all(sender, batch, **kwargs):
        calls.append(batch.pks)
        Article.objects.update(words=F("words") + 1)

    Article.objects.filter(pk=first.pk).update(title="new")
    assert calls == [[first.pk], [second.pk]]


def test_a_receiver_that_allows_it_is_called_again(receive):
    articles(1)
    calls = []

    @receive(post_save, sender=Article, bulk=True, reentrant="allow")
    def write_again(sender, instance, **kwargs):
        calls.append(instance.words)
        if instance.words < 4:
            Article.objects.update(words=F("words") + 1)

    Article.objects.update(title="new")
    assert calls == [1, 2, 3, 4]


def test_a_receiver_of_a_write_may_write_something_else(batches, receive):
    wares("tea")

    @receive(post_update, sender=Article)
    def count(sender, batch, **kwargs):
        Ware.objects.update(stock=F("stock") + len(batch.pks))

    received = batches(post_update, sender=Ware)
    articles(1, 2)
    Article.objects.update(words=5)
    assert [change[1:] for change in received[0].changes("stock")] == [(0, 2)]
