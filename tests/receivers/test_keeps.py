"""Receivers of pre_save that keep columns as they are in the database: keeps=."""

import gc
import re
from io import StringIO

import pytest
from django.apps import apps
from django.core import serializers
from django.core.exceptions import FieldDoesNotExist
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from heliograph import Signal, changed, changes_of
from heliograph.checks import check_conditions
from heliograph.orm.kept_columns import KEPT
from heliograph.receivers import keeping
from heliograph.signals import post_save, post_update, pre_bulk_create, pre_bulk_update, pre_save
from tests.app.models import Account, Audiobook, Novel, Offer, Reprint, Seat, Ware, Writer
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

STOCK = Ware._meta.get_field("stock")


@pytest.fixture
def keep(connect):
    """Connect a receiver that keeps fields: `keep(Ware, "stock")`."""

    def keep(sender, *names, **options):
        def receiver(**kwargs):
            """A receiver that does nothing else."""

        connect(pre_save, receiver, sender=sender, keeps=[*names], **options)
        return receiver

    return keep


@pytest.fixture
def stale(keep):
    """An instance that remembers a stock of 5, has a name that is not saved, and whose row has a stock of 8."""
    keep(Ware, "stock")
    ware = Ware.objects.create(name="tea", stock=5)
    Ware.objects.filter(pk=ware.pk).update(stock=8)
    ware.name = "green tea"
    return ware


def row():
    return Ware.objects.values_list("name", "stock").get()


# --- saves --------------------------------------------------------------------------------------------------------


SAVES = {
    "save()": lambda ware: ware.save(),
    "save(force_update=True)": lambda ware: ware.save(force_update=True),
    "save(update_fields=...)": lambda ware: ware.save(update_fields=["name", "stock"]),
    "save() of an instance made by hand": lambda ware: Ware(pk=ware.pk, name="green tea", stock=1).save(),
    "save() of an instance with deferred fields": lambda ware: save_deferred(ware),
    "update_or_create()": lambda ware: Ware.objects.update_or_create(
        pk=ware.pk, defaults={"name": "green tea", "stock": 1}
    ),
    "bulk_update()": lambda ware: Ware.objects.bulk_update([ware], ["name", "stock"]),
    "bulk_update() of names that are read once": lambda ware: Ware.objects.bulk_update([ware], iter(["name", "stock"])),
}


def save_deferred(ware):
    found = Ware.objects.defer("rank").get(pk=ware.pk)
    found.name, found.stock = "green tea", 1
    found.save()


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_writes_of_an_existing_row_leave_the_column_as_it_is(stale, save):
    stale.stock = 1
    save(stale)
    assert row() == ("green tea", 8)


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
def test_without_such_a_receiver_they_write_it(save):
    ware = Ware.objects.create(name="tea", stock=5)
    Ware.objects.update(stock=8)
    ware.name, ware.stock = "green tea", 1
    save(ware)
    assert row() == ("green tea", 1)


@pytest.mark.parametrize("name", ["save()", "save(update_fields=...)", "bulk_update()"])
def test_the_instance_has_the_value_of_the_row_afterwards(stale, name):
    stale.stock = 1
    SAVES[name](stale)
    assert stale.stock == 8


def test_a_save_that_reads_the_value_back_takes_one_statement(stale):
    returns = getattr(connection.features, "can_return_rows_from_update", False)
    assert verbs(lambda: (stale.save(), stale.stock)) == (["UPDATE"] if returns else ["UPDATE", "SELECT"])


async def test_async_saves_leave_it_too(keep, async_database):
    keep(Ware, "stock")
    ware = await Ware.objects.acreate(name="tea", stock=5)
    await Ware.objects.aupdate(stock=8)
    await ware.asave()
    await Ware.objects.abulk_update([ware], ["stock"])
    assert await Ware.objects.values_list("stock", flat=True).aget() == 8


def test_an_update_says_what_it_writes(stale):
    Ware.objects.update(stock=1)
    assert row() == ("tea", 1)


INSERTS = {
    "create()": lambda: Ware.objects.create(name="tea", stock=5),
    "save() with a key": lambda: Ware(pk=99, name="tea", stock=5).save(),
    "save(force_insert=True)": lambda: Ware(pk=99, name="tea", stock=5).save(force_insert=True),
    "bulk_create()": lambda: Ware.objects.bulk_create([Ware(name="tea", stock=5)]),
    "update_or_create()": lambda: Ware.objects.update_or_create(name="tea", defaults={"stock": 5}),
}


@pytest.mark.parametrize("insert", INSERTS.values(), ids=INSERTS)
def test_a_new_row_has_the_value_that_it_is_given(keep, insert):
    keep(Ware, "stock")
    insert()
    assert row() == ("tea", 5)


def test_the_receiver_may_set_the_value_of_a_new_row(receive):
    @receive(pre_save, sender=Ware, keeps=["stock"])
    def begin(instance, **kwargs):
        instance.stock = 3

    ware = Ware.objects.create(name="tea", stock=5)
    assert row() == ("tea", 3)
    Ware.objects.update(stock=8)
    ware.save()
    assert row() == ("tea", 8)


def test_a_fixture_is_written_as_it_is(stale):
    text = serializers.serialize("json", [Ware(pk=stale.pk, name="old", stock=2)])
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert row() == ("old", 2)


def test_update_fields_of_nothing_else_save_nothing_as_in_django(stale, listen):
    received = listen(post_save, sender=Ware)
    stale.stock = 1
    assert verbs(lambda: stale.save(update_fields=["stock"])) == []
    assert (received, row(), stale.stock) == ([], ("tea", 8), 8)


def test_it_is_left_alone_on_every_database(keep):
    keep(Ware, "stock")
    ware = Ware.objects.using("other").create(name="tea", stock=5)
    Ware.objects.using("other").update(stock=8)
    ware.save()
    assert Ware.objects.using("other").get().stock == 8


def test_a_foreign_key_is_kept_and_its_instance_with_it(keep):
    keep(Novel, "writer")
    old, new = Writer.objects.create(name="old"), Writer.objects.create(name="new")
    novel = Novel.objects.create(name="a", writer=old)
    Novel.objects.update(writer=new)
    novel.save()
    assert Novel.objects.get().writer == novel.writer == new


@pytest.mark.parametrize("name", ["code", "price"])
def test_a_field_with_its_own_pre_save_or_attribute_is_kept(keep, name):
    keep(Offer, name)
    offer = Offer.objects.create(code="a", price=1)
    before = Offer.objects.values_list(name).get()
    offer.code, offer.price = "b", 2
    offer.save()
    assert Offer.objects.values_list(name).get() == before


def test_a_row_that_is_gone_is_an_error_as_in_django(stale):
    Ware.objects.filter(pk=stale.pk).delete()
    with transaction.atomic(), pytest.raises(DatabaseError, match="did not affect any rows"):
        stale.save(force_update=True)


# --- bulk writes --------------------------------------------------------------------------------------------------


def test_a_bulk_update_of_nothing_else_writes_no_row(stale):
    stale.stock = 1
    assert verbs(lambda: Ware.objects.bulk_update([stale], ["stock"])) == []
    assert Ware.objects.bulk_update([stale], ["stock"]) == 0
    assert (row(), stale.stock) == (("tea", 8), 8)


@pytest.fixture
def upsert():
    unique = {"unique_fields": ["name"]} if connection.features.supports_update_conflicts_with_target else {}

    def upsert(*wares, names):
        return Ware.objects.bulk_create(wares, update_conflicts=True, update_fields=names, **unique)

    return upsert


def test_an_upsert_leaves_it_out_of_its_update(stale, upsert):
    upsert(Ware(name="tea", stock=1, rank=1), Ware(name="rum", stock=2), names=["rank", "stock"])
    assert {*Ware.objects.values_list("name", "stock", "rank")} == {("tea", 8, 1), ("rum", 2, None)}


def test_an_upsert_of_nothing_else_ignores_rows_in_conflict(stale, upsert):
    upsert(Ware(name="tea", stock=1, rank=1), Ware(name="rum", stock=2), names=["stock"])
    assert {*Ware.objects.values_list("name", "stock", "rank")} == {("tea", 8, None), ("rum", 2, None)}


# --- what receivers see -------------------------------------------------------------------------------------------


def test_receivers_of_a_save_see_the_names_that_are_written(stale, listen):
    before, after = listen(pre_save, sender=Ware), listen(post_save, sender=Ware)
    stale.save(update_fields=["name", "stock"])
    assert [one.payload["update_fields"] for one in (*before, *after)] == [{"name"}, {"name"}]


def test_receivers_of_bulk_writes_see_the_names_that_are_written(stale, listen, upsert):
    seen = [listen(pre_bulk_update, sender=Ware), listen(pre_bulk_create, sender=Ware)]
    Ware.objects.bulk_update([stale], ["name", "stock"])
    upsert(Ware(name="tea", stock=1), names=["rank", "stock"])
    upsert(Ware(name="tea", stock=1), names=["stock"])
    assert [one.payload["update_fields"] for of_signal in seen for one in of_signal] == [{"name"}, {"rank"}, None]


@pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])
@pytest.mark.parametrize("save", ["save()", "save(update_fields=...)"])
def test_a_stale_or_assigned_value_is_no_change(keep, changes_for, signal, save):
    keep(Ware, "stock")
    got = changes_for(signal, sender=Ware, when=changed("stock") | changed("name"))
    ware = Ware.objects.create(name="tea", stock=5)
    Ware.objects.update(stock=8)
    ware.name, ware.stock = "green tea", 1
    assert {*changes_of(ware)} == {"name"}
    SAVES[save](ware)
    assert got == [{"name": ("tea", "green tea")}]
    assert (ware.stock, {**changes_of(ware)}) == (8, {})


def test_a_fixture_that_changes_it_is_a_change(stale, changes_for):
    got = changes_for(post_save, sender=Ware, when=changed("stock"), fetch=True)
    text = serializers.serialize("json", [Ware(pk=stale.pk, name="tea", stock=2)])
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert got == [{"stock": (8, 2)}]


def test_an_update_of_it_is_a_change(stale, receive):
    got = []

    @receive(post_update, sender=Ware)
    def record(sender, batch, **kwargs):
        got.extend(batch.changes("stock"))

    Ware.objects.update(stock=2)
    assert got == [(stale.pk, 8, 2)]


# --- models -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [Audiobook, Reprint])
def test_children_by_inheritance_and_proxies_share_the_column(keep, model):
    keep(Novel, "name")
    book = model.objects.create(name="a")
    Novel.objects.update(name="b")
    book.save()
    book.save(update_fields=["name"])
    model.objects.bulk_update([book], ["name"])
    assert Novel.objects.get().name == book.name == "b"


def test_a_receiver_of_a_child_keeps_the_column_of_its_parent(keep):
    keep(Audiobook, "name", "minutes")
    book, novel = Audiobook.objects.create(name="a", minutes=1), Novel.objects.create(name="a")
    Novel.objects.update(name="b")
    Audiobook.objects.update(minutes=2)
    book.save()
    novel.save()
    assert {*Novel.objects.values_list("name", flat=True)} == {"b"}
    assert (Audiobook.objects.get().minutes, book.minutes, book.name) == (2, 2, "b")


def test_a_generated_column_of_it_follows_the_row(keep):
    keep(Account, "balance")
    account = Account.objects.create(balance=1)
    Account.objects.update(balance=4)
    account.save()
    account.refresh_from_db()
    assert (account.balance, account.twice) == (4, 8)


def test_a_model_that_is_named_by_its_label_is_kept(keep):
    keep("app.Ware", "stock")
    assert STOCK in KEPT


# --- how long -----------------------------------------------------------------------------------------------------


def test_it_is_kept_until_the_last_receiver_has_left(keep):
    receivers = [keep(Ware, "stock"), keep(Ware, "stock", "rank")]
    ware = Ware.objects.create(name="tea", stock=5)
    Ware.objects.update(stock=8)
    pre_save.disconnect(receivers[0], sender=Ware)
    ware.save()
    assert row() == ("tea", 8)
    pre_save.disconnect(receivers[1], sender=Ware)
    ware.stock = 1
    ware.save()
    assert row() == ("tea", 1)


def test_it_is_not_kept_any_more_when_the_receiver_was_collected():
    def receiver(**kwargs):
        """A receiver that nobody else refers to."""

    pre_save.connect(receiver, sender=Ware, keeps=["stock"])
    assert STOCK in KEPT
    del receiver
    gc.collect()
    assert STOCK not in KEPT


def test_its_patches_are_listed_and_undone(keep):
    receiver = keep(Ware, "stock")
    assert {"app.Ware.stock.pre_save  keep", "tests.app.models.Ware.save_base  keep"} <= {*patches()}
    assert any(line.startswith("django.db.models.query.QuerySet.bulk_update  keep") for line in patches())
    pre_save.disconnect(receiver, sender=Ware)
    assert not [line for line in patches() if "keep" in line]
    assert "pre_save" not in vars(STOCK)


def patches():
    output = StringIO()
    call_command("signals", "patches", stdout=output)
    return ["  ".join(line.split(None, 1)) for line in output.getvalue().splitlines()]


def test_the_list_of_receivers_shows_it(keep):
    keep(Ware, "stock")
    output = StringIO()
    call_command("signals", "list", "pre_save", stdout=output)
    assert "keeps=['stock']" in output.getvalue()


# --- mistakes -----------------------------------------------------------------------------------------------------

WRONG = [
    (FieldDoesNotExist, Ware, ["stcok"], {}, "keeps=['stcok']: app.Ware has no field 'stcok'. Did you mean 'stock'?"),
    (FieldDoesNotExist, Novel, ["genres"], {}, "keeps=['genres']: app.Novel.genres has no column."),
    (TypeError, Ware, ["id"], {}, "keeps=['id']: app.Ware.id is the primary key, which says which row it is."),
    (TypeError, Seat, ["row"], {}, "keeps=['row']: app.Seat.row is the primary key, which says which row it is."),
    (TypeError, Account, ["twice"], {}, "keeps=['twice']: app.Account.twice is generated: no save writes it."),
    (TypeError, None, ["stock"], {}, "has keeps=, which is about the columns of one model: pass it as sender=."),
    (TypeError, Ware, ["stock"], {"using": "default"}, "keeps=, which holds in every database: leave using= out."),
    (TypeError, Ware, [1], {}, "keeps= takes names, not 1."),
    (ValueError, Ware, [], {}, "keeps=[] names nothing: leave it out."),
]


@pytest.mark.parametrize(("error", "sender", "names", "more", "text"), WRONG, ids=[one[-1] for one in WRONG])
def test_a_mistake_is_refused_where_it_is_connected(connect, error, sender, names, more, text):
    def receiver(**kwargs):
        """A receiver."""

    with pytest.raises(error, match=re.escape(text)):
        connect(pre_save, receiver, sender=sender, keeps=names, **more)
    assert not KEPT


@pytest.mark.parametrize("signal", [post_save, Signal(name="tests.own")], ids=["post_save", "own"])
def test_it_is_an_option_of_pre_save(connect, signal):
    def receiver(**kwargs):
        """A receiver."""

    with pytest.raises(TypeError, match="keeps"):
        connect(signal, receiver, sender=Ware, keeps=["stock"])


def test_a_receiver_that_is_connected_before_models_are_loaded_keeps_its_fields_from_then_on(keep, monkeypatch):
    waiting = []
    with monkeypatch.context() as patch:
        patch.setattr(apps, "models_ready", False)
        patch.setattr(keeping, "when_models_are_loaded", waiting.append)
        receivers = [keep(Ware, "stock", "rnak"), keep(Ware, "name")]
    assert not KEPT
    pre_save.disconnect(receivers[1], sender=Ware)
    for operation in waiting:
        operation()
    assert [*KEPT] == [STOCK]
    assert [(error.id, error.hint) for error in check_conditions(None)] == [("heliograph.E002", "Did you mean 'rank'?")]
