"""A person is forgotten: values and salts go, and the proof that nobody has altered the log stays."""

import json

import pytest
from django.core.management import CommandError

from heliograph.audit import audit, forgetting, person_entries, sealing
from heliograph.audit.forgetting import Forgetting
from heliograph.audit.models import ChangeSet, Entry, Link, Seal
from heliograph.audit.person_entries import Person
from heliograph.audit.sealing import seal
from tests.app.models import Badge, Cart, Invoice, Item, Member, Shopper
from tests.audit.logs import command, counts, findings, tamper, write_in_sets
from tests.helpers.threads import LONG, at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people():
    audit(Shopper)
    audit(Cart, subject="shopper")
    return Shopper.objects.create(name="Ada"), Shopper.objects.create(name="Bob")


def texts(label, key):
    entries = Entry.objects.filter(kind__model=label, object=str(key)).select_related("kind")
    return [(one.kind.action, json.loads(one.text) if one.text else None, bool(one.salt)) for one in entries]


def everything():
    sets = ChangeSet.objects.values_list("actor_label", "reason", "context")
    return (
        str([*Entry.objects.values_list("text", flat=True)]) + str([*sets]) + str([*Seal.objects.values_list("reason")])
    )


def test_l11_a_person_is_forgotten_and_the_proof_stays(people):
    ada, bob = people
    ada.name = "Ada Lovelace"
    ada.save()
    seal("default", wait=LONG)

    assert "Forgot 2 entries" in command("forget", "app.Shopper", str(ada.pk))

    assert [one[1:] for one in texts("app.Shopper", ada.pk)] == [(None, False)] * 2
    assert texts("app.Shopper", bob.pk)[0][1]["name"] == ["Bob"]
    assert "Ada" not in everything()
    assert findings() == []
    assert counts()["forgotten"] == 2


def test_entries_without_a_seal_are_forgotten_and_sealed_later(people):
    command("forget", "app.Shopper", str(people[0].pk))
    assert findings() == []

    seal("default", wait=LONG)

    assert findings() == []
    assert "Ada" not in everything()


def test_rows_about_the_person_are_forgotten_also_if_they_moved_on_or_were_deleted(people):
    ada, bob = people
    kept, moved, deleted, of_bob = (Cart.objects.create(shopper=one, title="t") for one in (ada, ada, ada, bob))
    moved.shopper = bob
    moved.save()
    moved.title = "later"
    moved.save()
    number = deleted.pk
    deleted.delete()
    seal("default", wait=LONG)

    command("forget", "app.Shopper", str(ada.pk))

    for key in (kept.pk, moved.pk, number):
        assert {text for _, text, _ in texts("app.Cart", key)} == {None}
    assert texts("app.Cart", of_bob.pk)[0][1]["title"] == ["t"]
    assert findings() == []


def test_a_row_that_is_older_than_the_log_is_found_by_what_it_refers_to_now():
    audit(Shopper)
    ada = Shopper.objects.create(name="Ada")
    cart = Cart.objects.create(shopper=ada)
    audit(Cart, subject="shopper")
    cart.title = "of Ada"
    cart.save()

    command("forget", "app.Shopper", str(ada.pk))

    assert texts("app.Cart", cart.pk) == [("updated", None, False)]


def test_a_row_that_refers_by_another_column_than_the_primary_key_is_found():
    audit(Member)
    audit(Badge, subject="member")
    ada = Member.objects.create(code="ada", name="Ada")
    badge = Badge.objects.create(member=ada)
    number = badge.pk
    badge.delete()
    ada.code = "other"
    ada.save()

    command("forget", "app.Member", str(ada.pk))

    assert {text for _, text, _ in texts("app.Badge", number)} == {None}


def test_an_entry_that_says_how_the_person_was_called_is_forgotten(people):
    audit(Item, names=["giver"])
    of_ada, of_bob = (Item.objects.create(giver=one) for one in people)

    command("forget", "app.Shopper", str(people[0].pk))

    assert texts("app.Item", of_ada.pk) == [("created", None, False)]
    assert texts("app.Item", of_bob.pk)[0][1] is not None


def test_a_key_that_begins_like_that_of_the_person_is_somebody_else(people):
    ada = people[0]
    other = Shopper.objects.create(pk=int(f"{ada.pk}0"), name="Eve")
    cart = Cart.objects.create(shopper=other)

    command("forget", "app.Shopper", str(ada.pk))

    assert texts("app.Cart", cart.pk)[0][1] is not None


def test_a_row_in_the_tables_of_parents_is_forgotten_as_a_whole(people):
    audit(Invoice, subject="owner")
    invoice = Invoice.objects.create(owner=people[0], number="7", status="secret of Ada")

    command("forget", "app.Shopper", str(people[0].pk))

    assert {text for _, text, _ in texts("app.Bill", invoice.pk) + texts("app.Invoice", invoice.pk)} == {None}


# --- change sets --------------------------------------------------------------------------------------------------


def test_the_label_and_the_reasons_of_the_person_as_an_actor_go(people):
    ada, bob = people
    cart = Cart(shopper=bob, title="of Bob")
    write_in_sets(cart.save, actor=f"app.Shopper {ada.pk}", label="Ada", reason="Ada wants it", context='{"ip": 1}')
    seal("default", wait=LONG)

    printed = command("forget", "app.Shopper", str(ada.pk))

    assert "the label of 1 change set, and the reason of 1 change set." in printed
    one = ChangeSet.objects.last()
    assert (one.actor_label, one.reason, one.context, one.salts) == ("", "", "", ",")
    assert one.actor == f"app.Shopper {ada.pk}"  # a key, as in the entries
    assert texts("app.Cart", cart.pk)[0][1]["title"] == ["of Bob"]
    assert findings() == []


def test_a_reason_about_the_person_alone_goes_and_the_label_of_the_actor_stays(people):
    ada, bob = people
    cart = Cart(shopper=ada)
    write_in_sets(cart.save, actor=f"app.Shopper {bob.pk}", label="Bob", reason="Ada has called", context="{}")
    seal("default", wait=LONG)

    command("forget", "app.Shopper", str(ada.pk))

    one = ChangeSet.objects.last()
    assert (one.actor_label, one.reason, one.context) == ("Bob", "", "")
    assert findings() == []
    tamper("UPDATE {ChangeSet} SET actor_label = 'Eve' WHERE id = %s", one.pk)
    assert "the label does not fit the digest" in findings()[0]


def test_a_reason_that_is_shared_stays_unless_asked_and_is_said(people):
    ada, bob = people
    write_in_sets(lambda: Cart.objects.bulk_create([Cart(shopper=ada), Cart(shopper=bob)]), reason="import")
    seal("default", wait=LONG)

    dry = command("forget", "app.Shopper", str(ada.pk), "--dry-run")
    printed = command("forget", "app.Shopper", str(ada.pk))
    assert "The reasons of 1 change set stay, which are about other rows too" in printed
    assert "The reasons of 1 change set stay" in dry
    assert ChangeSet.objects.last().reason == "import"
    assert findings() == []


def test_a_shared_reason_goes_if_asked(people):
    ada, bob = people
    write_in_sets(lambda: Cart.objects.bulk_create([Cart(shopper=ada), Cart(shopper=bob)]), reason="import")

    assert "the reason of 1 change set." in command("forget", "app.Shopper", str(ada.pk), "--shared")

    assert ChangeSet.objects.last().reason == ""
    assert findings() == []


# --- how ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing(people):
    Cart.objects.create(shopper=people[0])
    before = everything()

    assert "Would forget 2 entries" in command("forget", "app.Shopper", str(people[0].pk), "--dry-run")

    assert everything() == before
    assert not Seal.objects.exists()


def test_a_process_that_dies_in_the_middle_is_followed_by_one_that_finds_the_rest(people, monkeypatch):
    """The cart was moved to somebody else, so that only its entries say whose it was."""
    monkeypatch.setattr(forgetting, "CHUNK", 1)
    monkeypatch.setattr(person_entries, "_ROWS", 1)
    ada, bob = people
    cart = Cart.objects.create(shopper=ada, title="a")
    cart.title = "b"
    cart.save()
    cart.shopper = bob
    cart.save()
    cart.title = "c"
    cart.save()

    def die(count):
        raise KeyboardInterrupt

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            Forgetting(Person("default", "app.Shopper", str(ada.pk)), progress=die).run()
        assert findings() == []

    assert {text for _, text, _ in texts("app.Cart", cart.pk)} == {None}
    assert {text for _, text, _ in texts("app.Shopper", ada.pk)} == {None}
    assert Forgetting(Person("default", "app.Shopper", str(ada.pk))).run().entries == set()


def test_the_chain_records_that_entries_were_forgotten(people):
    command("forget", "app.Shopper", str(people[0].pk), "--reason", "request 7")

    [one] = Seal.objects.all()
    assert (one.link, one.reason, one.count) == (Link.FORGOTTEN, "request 7", 1)


def test_people_are_forgotten_while_others_write_and_seal(people, monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 3)
    ada, bob = people
    for _ in range(10):
        Cart.objects.create(shopper=ada)

    def write():
        for _ in range(10):
            Cart.objects.create(shopper=bob)

    at_once(
        write,
        lambda: [seal("default") for _ in range(10)],
        lambda: Forgetting(Person("default", "app.Shopper", str(ada.pk))).run(),
    )
    seal("default", wait=LONG)

    assert findings() == []
    assert counts()["forgotten"] == 11


def test_a_model_that_is_gone_is_forgotten_by_its_label(people):
    tamper("UPDATE {Kind} SET model = 'old.Person' WHERE model = 'app.Shopper'")

    assert "Forgot 1 entry" in command("forget", "old.Person", str(people[0].pk))


def test_a_model_that_never_was_is_refused():
    with pytest.raises(CommandError, match=r"There is no model 'app\.Nobody', and no entry of it"):
        command("forget", "app.Nobody", "1")


def test_the_name_in_an_entry_of_a_named_foreign_key_is_forgotten(people):
    audit(Item, names=["giver"])
    item = Item.objects.create()
    named = json.dumps({"giver": {"value": people[0].pk, "names": ["Ada"]}})
    tamper("UPDATE {Entry} SET changes = %s WHERE object = %s AND kind_id = %s", *(named, str(item.pk), kind_of(item)))

    command("forget", "app.Shopper", str(people[0].pk))

    assert texts("app.Item", item.pk) == [("created", None, False)]


def kind_of(item):
    return Entry.objects.get(kind__model="app.Item", object=str(item.pk)).kind_id
