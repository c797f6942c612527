"""Old entries are deleted in chunks, and the log is verified after it as before."""

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, connection, transaction

from heliograph.audit import audit, pruning, sealing
from heliograph.audit.chain import rows
from heliograph.audit.models import ChangeSet, Entry, Kind, Link, Seal, UneditableError
from heliograph.audit.pruning import keeps, prune
from heliograph.audit.sealing import seal
from tests.app.models import Cart, Item, Shopper
from tests.audit.logs import command, counts, findings, tamper
from tests.helpers.threads import LONG

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = timedelta(days=1)


@pytest.fixture
def cart(monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 4)
    audit(Item, keep=30 * DAYS)
    audit(Shopper, keep=365 * DAYS)
    audit(Cart)
    return Cart.objects.create()


def grow_old(days):
    """Let all entries so far be so many days older."""
    for one in ChangeSet.objects.all():
        ChangeSet._base_manager.filter(pk=one.pk).update(at=one.at - days * DAYS)


def labels():
    return [*Entry.objects.values_list("kind__model", flat=True)]


def test_l12_entries_are_kept_as_long_as_their_model_says(cart):
    Item.objects.create(cart=cart)
    Shopper.objects.create()
    grow_old(100)
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)

    assert command("prune") == "Pruned 1 entry.\n"

    assert labels() == ["app.Cart", "app.Shopper", "app.Item"]
    assert findings() == []
    assert counts()["pruned"] == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("prune", "app.Cat"), r"^There is no model 'app.Cat', and no entry of it"),
        (("verify", "--continuity", "app.Cat"), r"^There is no model 'app.Cat', and no entry of it"),
        (("verify", "--continuity", "app.Writer"), r"^app.Writer is not audited, .*: audit\(\) it\.$"),
        (("verify", "--from", "2"), r"^There is no seal #2: they are numbered from #1, and the newest is #0\.$"),
        (("verify", "--from", "0"), r"^There is no seal #0"),
    ],
)
def test_a_name_or_a_number_that_is_mistyped_is_an_error_and_not_a_log_without_findings(cart, given, text):
    with pytest.raises(CommandError, match=text):
        command(*given)


def test_l12_a_whole_range_that_is_pruned_is_verified_without_its_leaves(cart):
    for _ in range(9):
        Item.objects.create(cart=cart)
    grow_old(40)
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)

    assert command("prune", "app.Item") == "Pruned 9 entries.\n"

    assert [len(one.leaves) for one in Seal.objects.filter(link=Link.SEALED)] == [128, 0, 96]
    assert findings() == []
    tamper("DELETE FROM {Entry} WHERE id = %s", Entry.objects.last().pk)
    assert len(findings()) == 1


def test_what_a_prune_has_deleted_and_nothing_else_may_be_missing(cart):
    for _ in range(6):
        Item.objects.create(cart=cart)
    seal("default", wait=LONG)
    grow_old(40)
    tamper("DELETE FROM {Seal}")
    seal("default", wait=LONG)
    first = Entry.objects.values_list("pk", flat=True)[0]
    command("prune")
    tamper("DELETE FROM {Entry} WHERE id = %s", first)

    [found] = findings()
    assert found.startswith(f"Entry #{first} was removed")


def test_a_record_of_a_prune_that_is_removed_is_found(cart):
    Item.objects.create(cart=cart)
    grow_old(40)
    seal("default", wait=LONG)
    command("prune")
    number = Seal.objects.get(link=Link.PRUNED).pk
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)
    tamper("DELETE FROM {Seal} WHERE id = %s", number)

    assert any(one.startswith(f"Seal #{number} was removed") for one in findings())


def test_an_entry_that_was_pruned_cannot_come_back(cart):
    Item.objects.create(cart=cart)
    Item.objects.create(cart=cart)
    grow_old(40)
    seal("default", wait=LONG)
    entry = Entry.objects.filter(kind__model="app.Item").first()
    of_set = ChangeSet.objects.get(pk=entry.change_set_id)
    command("prune")
    rows(Entry, "default").bulk_create([entry])
    rows(ChangeSet, "default").bulk_create([of_set])

    [found] = findings()
    assert f"#{entry.pk} " in found
    assert "was added later" in found


def test_change_sets_without_entries_go_and_shared_ones_stay(cart):
    with transaction.atomic():
        Item.objects.create(cart=cart)
        Shopper.objects.create()
    Item.objects.create(cart=cart)
    grow_old(40)

    command("prune")

    assert labels() == ["app.Cart", "app.Shopper"]
    assert {*Entry.objects.values_list("change_set_id", flat=True)} == {*ChangeSet.objects.values_list("pk", flat=True)}


def test_kinds_of_models_that_are_gone_go_and_others_stay(cart):
    """A transaction that is still open may use a kind that no entry seems to have."""
    Item.objects.create(cart=cart)
    grow_old(40)
    tamper("UPDATE {Kind} SET model = 'old.Thing' WHERE model = 'app.Cart'")

    command("prune", "--older-than", "10d")

    assert [*Kind.objects.values_list("model", flat=True)] == ["app.Item"]
    assert labels() == []


def test_the_settings_say_how_long_others_are_kept(cart, settings):
    settings.HELIOGRAPH = {**getattr(settings, "HELIOGRAPH", {}), "AUDIT": {"KEEP": 10 * DAYS}}

    assert keeps("default") == {"app.Cart": 10 * DAYS}
    Item.objects.create(cart=cart)
    assert keeps("default") == {"app.Cart": 10 * DAYS, "app.Item": 30 * DAYS}


def test_without_a_time_entries_are_kept_for_ever(cart):
    grow_old(10_000)

    assert command("prune") == "Pruned 0 entries.\n"


def test_the_option_takes_the_place_of_what_models_say_and_labels_choose(cart):
    Item.objects.create(cart=cart)
    Shopper.objects.create()
    grow_old(5)

    assert command("prune", "app.Shopper", "app.Cart", "--older-than", "100h") == "Pruned 2 entries.\n"
    assert labels() == ["app.Item"]


def test_a_time_of_0_keeps_nothing_whatever_models_say(cart):
    Item.objects.create(cart=cart)
    grow_old(1)

    assert command("prune", "app.Item", "--older-than", "0") == "Pruned 1 entry.\n"
    assert labels() == ["app.Cart"]


def test_a_dry_run_says_that_nothing_is_old_enough(cart):
    assert command("prune", "--older-than", "30d", "--dry-run") == "Would prune 0 entries.\n"


def test_a_dry_run_says_how_many_and_deletes_nothing(cart):
    Item.objects.create(cart=cart)
    grow_old(40)

    assert command("prune", "--dry-run") == "Would prune 1 entry of app.Item, kept for 30 days, 0:00:00.\n"
    assert len(labels()) == 2


@pytest.mark.parametrize("given", ["x", "-1d"])
def test_a_duration_that_is_none_is_refused(given):
    with pytest.raises(CommandError, match="takes a duration such as 90d, 12h, 30m, 10s or 0, at most a hundred years"):
        command("prune", f"--older-than={given}")


def test_a_number_that_might_mean_days_or_seconds_is_refused():
    with pytest.raises(CommandError, match="takes a duration with its unit, such as 90d or 90s, not '90'"):
        command("prune", "--older-than=90")


def test_a_prune_that_dies_in_the_middle_is_followed_by_one_that_does_the_rest(cart, monkeypatch):
    monkeypatch.setattr(pruning, "CHUNK", 2)
    for _ in range(5):
        Item.objects.create(cart=cart)
    grow_old(40)
    seal("default", wait=LONG)

    def die(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune("default", keeps("default"), progress=die)
    assert len(labels()) == 4
    assert findings() == []

    assert prune("default", keeps("default")) == 3
    assert findings() == []


# --- protection ---------------------------------------------------------------------------------------------------


@pytest.fixture
def protected(cart):
    Item.objects.create(cart=cart)
    grow_old(40)
    seal("default", wait=LONG)
    command("protect")
    yield cart
    command("unprotect")


@pytest.mark.parametrize("sql", ["UPDATE {{{}}} SET id = id", "DELETE FROM {{{}}}"])
@pytest.mark.parametrize("table", ["Entry", "ChangeSet", "Kind", "Seal"])
def test_the_database_refuses_to_change_the_log(protected, sql, table):
    with (
        pytest.raises(DatabaseError, match=r"are not edited: manage\.py audit unprotect allows it"),
        transaction.atomic(),
    ):
        tamper(sql.format(table))

    assert findings() == []


def test_the_database_allows_to_write_seal_prune_and_forget(protected):
    shopper = Shopper.objects.create()
    seal("default", wait=LONG)

    assert "Forgot 1 entry" in command("forget", "app.Shopper", str(shopper.pk))
    assert command("prune") == "Pruned 1 entry.\n"

    assert findings() == []
    with pytest.raises(DatabaseError, match="are not edited"), transaction.atomic():
        tamper("DELETE FROM {Entry}")


def test_protecting_twice_and_removing_it_twice_is_no_error(protected):
    command("protect")
    command("unprotect")
    command("unprotect")

    assert tamper("DELETE FROM {Entry}") == 2


@pytest.mark.skipif(connection.vendor != "postgresql", reason="TRUNCATE calls no trigger elsewhere")
def test_postgresql_refuses_to_truncate_too(protected):
    with pytest.raises(DatabaseError, match="are not edited"), transaction.atomic():
        tamper("TRUNCATE {Entry}")


# --- models -------------------------------------------------------------------------------------------------------


REFUSED = {
    "update": lambda: Entry.objects.update(text=""),
    "delete": lambda: Entry.objects.all().delete(),
    "raw delete": lambda: Entry.objects.all()._raw_delete("default"),
    "bulk_update": lambda: Entry.objects.bulk_update([Entry.objects.first()], ["text"]),
    "save": lambda: Entry.objects.first().save(),
    "delete one": lambda: Entry.objects.first().delete(),
    "create": lambda: Entry.objects.create(),
    "bulk_create": lambda: Entry.objects.bulk_create([Entry()]),
    "related delete": lambda: Entry.objects.first().change_set.entries.all().delete(),
    "related update": lambda: Entry.objects.first().change_set.entries.update(text=""),
    "delete the set": lambda: Entry.objects.first().change_set.delete(),
    "delete the kind": lambda: Entry.objects.first().kind.delete(),
}


@pytest.mark.parametrize("write", REFUSED)
def test_models_refuse_to_change_the_log(cart, write):
    with pytest.raises(UneditableError, match="Entries of the audit log are not edited"):
        REFUSED[write]()

    assert labels() == ["app.Cart"]


def test_the_deletion_of_an_audited_row_leaves_its_entries(cart):
    cart.delete()

    assert labels() == ["app.Cart", "app.Cart"]
