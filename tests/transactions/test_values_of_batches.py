"""The values of a batch are those that were written or deleted, whatever becomes of the instances afterwards."""

from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Upper
from django.db.models.signals import post_delete, post_save, pre_save

from heliograph import NO_ROW, UNKNOWN, BeforeCommit, Durable, Inline, OnCommit, changed, created
from heliograph.outbox.work.runner import drain
from heliograph.signals import post_bulk_create, post_bulk_delete
from tests.app.models import Article, Audiobook, Branch, Country, Desk, Ware
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

AT_THE_END = [BeforeCommit, OnCommit]
POLICIES = [*AT_THE_END, Inline]
BOTH = [post_save, post_delete]


@pytest.fixture
def values(receive):
    """Connect a receiver of batches: `got = values("words")` has the kind, old and new value of each row."""

    def connect(*names, policy=BeforeCommit, signal=BOTH, sender=Article, when=None, **options):
        got = []

        @receive(
            signal,
            sender=sender,
            when=created | changed(*names) if when is None else when,
            delivery=policy(batch=True),
            order=1,
            **options,
        )
        def record(batch, **kwargs):
            got.extend((event.kind, *((event.old(name), event.new(name)) for name in names)) for event in batch.events)

        return got

    return connect


@pytest.fixture
def _spoiled(receive):
    """Let another receiver change each instance before the batch is delivered."""

    @receive(post_save, sender=Article, bulk=True)
    def change(instance, **kwargs):
        spoil(instance)


def spoil(*instances):
    """Change instances, and do not save them."""
    for one in instances:
        one.words = 53
        one.labels.append("unsaved")


def new(**fields):
    return Article(words=4, labels=["a"], **fields)


def saved():
    one = new()
    one.save()
    return one


def inserted(**options):
    (one,) = Article.objects.bulk_create([new()], **options)
    return one


def upserted():
    return inserted(**conflict("id", update=["words"]))


def inserted_if_new():
    return inserted(ignore_conflicts=True)


WAYS_TO_CREATE = [saved, inserted, upserted, inserted_if_new]


@pytest.mark.parametrize("policy", AT_THE_END)
@pytest.mark.parametrize("way", WAYS_TO_CREATE)
def test_a_new_row_has_the_values_of_the_write_if_the_instance_is_changed_afterwards(values, way, policy):
    got = values("words", "labels", policy=policy, bulk=True)
    with transaction.atomic():
        spoil(way())
    assert got == [("created", (NO_ROW, 4), (NO_ROW, ["a"]))]


@pytest.mark.parametrize("way", WAYS_TO_CREATE)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.usefixtures("_spoiled")
def test_and_if_another_receiver_changes_the_instance(values, way, policy):
    got = values("words", "labels", policy=policy, bulk=True)
    way()
    assert got == [("created", (NO_ROW, 4), (NO_ROW, ["a"]))]


@pytest.mark.parametrize("way", [saved, inserted])
def test_a_new_row_that_a_worker_is_given_has_them_too(receive, way):
    got = []

    @receive(post_save, sender=Article, when=created | changed("words"), bulk=True, delivery=Durable(batch=True))
    def new_row(batch, **kwargs):
        got.extend((event.old("words"), event.new("words")) for event in batch.events)

    with transaction.atomic():
        spoil(way())
    drain()
    assert got == [(NO_ROW, 4)]


def test_a_receiver_of_the_whole_write_gets_them_after_the_commit(receive):
    got = []

    @receive(post_bulk_create, sender=Article, delivery=OnCommit())
    def record(batch, **kwargs):
        got.extend((event.old("words"), event.new("words"), event.new("labels")) for event in batch.events)

    with transaction.atomic():
        spoil(inserted())
    assert got == [(NO_ROW, 4, ["a"])]


def created_of(**fields):
    return Article.objects.create(**fields)


def inserted_of(**fields):
    (one,) = Article.objects.bulk_create([Article(**fields)])
    return one


@pytest.mark.parametrize("way", [created_of, inserted_of])
def test_a_value_that_the_database_computes_is_unknown_or_the_written_one(values, way):
    got = values("title", bulk=True)
    with transaction.atomic():
        way(title=Upper(Value("a"))).title = "unsaved"
    ((_, (_, title)),) = got
    assert title in ("A", UNKNOWN)


@pytest.mark.parametrize("way", [created_of, inserted_of])
@pytest.mark.parametrize("price", [Decimal("4.005"), Decimal(4), "4.10", 4.5], ids=repr)
def test_a_new_row_has_its_decimals_as_they_are_stored(values, way, price):
    got = values("price", bulk=True)
    way(price=price)
    assert got == [("created", (NO_ROW, Article.objects.get().price))]


def test_a_row_that_an_upsert_inserts_and_then_updates_has_the_fields_that_are_in_the_row(values):
    got = values("stock", "rank", sender=Ware, bulk=True)
    wares = [Ware(name="tea", stock=1, rank=1), Ware(name="tea", stock=2, rank=2)]
    Ware.objects.bulk_create(wares, batch_size=1, **conflict("name", update=["stock"]))
    assert got == [
        ("created", (NO_ROW, stock), (NO_ROW, rank)) for stock, rank in Ware.objects.values_list("stock", "rank")
    ]


@pytest.mark.parametrize("policy", AT_THE_END)
def test_a_row_that_is_created_and_saved_in_part_has_what_was_saved(values, policy):
    got = values("words", "labels", policy=policy)
    with transaction.atomic():
        one = saved()
        one.title = "b"
        spoil(one)
        one.save(update_fields=["title"])
    assert got == [("created", (NO_ROW, 4), (NO_ROW, ["a"]))]


@pytest.mark.parametrize("policy", AT_THE_END)
def test_a_row_that_is_created_and_updated_has_the_values_of_the_update(values, policy):
    got = values("words", "labels", policy=policy, bulk=True)
    with transaction.atomic():
        one = saved()
        Article.objects.update(words=F("words") + 1)
        spoil(one)
    assert got == [("created", (NO_ROW, 5), (NO_ROW, ["a"]))]


def save_in_part(one):
    one.save(update_fields=["words"])


def update_in_bulk(one):
    Article.objects.bulk_update([one], ["words"])


def update(one):
    Article.objects.update(words=5)


@pytest.mark.parametrize("policy", AT_THE_END)
@pytest.mark.parametrize("way", [save_in_part, update_in_bulk, update])
def test_a_changed_row_has_the_values_of_the_write(values, way, policy):
    saved()
    got = values("words", "labels", policy=policy, bulk=True)
    one = Article.objects.get()
    with transaction.atomic():
        one.words = 5
        one.labels.append("unsaved")
        way(one)
        spoil(one)
    assert got == [("updated", (4, 5), (["a"], ["a"]))]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("bulk", [True, False])
def test_a_deleted_row_has_its_own_values_and_not_those_of_the_instance(values, policy, bulk):
    one = saved()
    spoil(one)
    got = values("words", "labels", policy=policy, bulk=bulk)
    one.delete()
    assert got == [("deleted", (4, NO_ROW), (["a"], NO_ROW))]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_values_of_deleted_rows_stay_if_another_receiver_changes_the_instances(receive, values, policy):
    @receive(post_bulk_delete, sender=Article)
    def change(batch, **kwargs):
        spoil(*batch.instances)

    @receive(post_delete, sender=Article, bulk=True, delivery=policy(batch=True), order=-1)
    def change_too(batch, **kwargs):
        spoil(*batch.deleted)

    saved()
    got = values("words", "labels", policy=policy, bulk=True)
    Article.objects.all().delete()
    assert got == [("deleted", (4, NO_ROW), (["a"], NO_ROW))]


@pytest.mark.parametrize("policy", POLICIES)
def test_nor_do_the_values_of_rows_that_are_read_before_they_are_deleted(receive, values, policy):
    @receive(post_bulk_delete, sender=Audiobook)
    def change(batch, **kwargs):
        for one in batch.instances:
            one.minutes = 53

    for _ in range(2):
        Audiobook.objects.create(minutes=4)
    got = values("minutes", sender=Audiobook, policy=policy, bulk=True)
    Audiobook.objects.all().delete()
    assert got == [("deleted", (4, NO_ROW))] * 2


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("bulk", [True, False])
def test_a_row_that_a_cascade_deletes_has_its_own_values(values, policy, bulk):
    branch = Branch.objects.create(code="a")
    Desk.objects.create(branch=branch, number=4)
    got = values("number", "branch", sender=Desk, policy=policy, bulk=bulk)
    branch.delete()
    assert got == [("deleted", (4, NO_ROW), ("a", NO_ROW))]


def test_a_row_that_gets_another_key_is_gone_and_new_with_the_values_of_the_row(values):
    Country.objects.create(code="de", name="Germany")
    got = values("code", "name", sender=Country, bulk=True)
    with transaction.atomic():
        Country.objects.update(code="dd", name="East Germany")
        Country.objects.get().name = "unsaved"
    assert got == [
        ("deleted", ("de", NO_ROW), ("Germany", NO_ROW)),
        ("created", (NO_ROW, "dd"), (NO_ROW, "East Germany")),
    ]


@pytest.mark.parametrize("policy", AT_THE_END)
def test_a_batch_of_pre_save_has_what_was_written_in_the_end(receive, values, policy):
    got = values("words", "labels", signal=pre_save, policy=policy)

    @receive(pre_save, sender=Article, order=2)
    def change(instance, **kwargs):
        instance.words += 1

    with transaction.atomic():
        one = saved()
        spoil(one)
    with transaction.atomic():
        one.words, one.labels = 7, ["b"]
        one.save()
        spoil(one)
    assert got == [
        ("created", (NO_ROW, 5), (NO_ROW, ["a"])),
        ("updated", (5, 8), (["a"], ["b"])),
    ]


def test_nor_do_the_values_of_pre_save_in_bulk_follow_the_instance(values):
    got = values("words", "labels", signal=pre_save, bulk=True)
    with transaction.atomic():
        spoil(inserted())
    assert got == [("created", (NO_ROW, 4), (NO_ROW, ["a"]))]


def test_the_key_of_an_event_is_the_one_that_was_written(receive):
    got = []

    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        got.extend(batch.events)

    one = saved()
    key, one.pk = one.pk, None
    assert [(event.pk, event.old("id"), event.new("id")) for event in got] == [(key, NO_ROW, key)]
