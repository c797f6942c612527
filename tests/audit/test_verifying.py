"""Whatever is altered, removed or added in the database is found, and the entry is named."""

import pytest
from django.core.management import CommandError
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.audit import audit, sealing
from heliograph.audit.digests import digest_of, number_of
from heliograph.audit.models import ChangeSet, Entry, Kind, Seal
from heliograph.audit.sealing import seal
from tests.app.models import Cart, Item
from tests.audit.logs import command, counts, findings, tamper, write_in_sets
from tests.helpers.threads import LONG

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entries(monkeypatch):
    """The ids of ten sealed entries in three seals, by an actor with a reason."""
    monkeypatch.setattr(sealing, "SIZE", 4)
    audit(Item)
    cart = Cart.objects.create()
    items = [Item(cart=cart, quantity=number) for number in range(8)]
    write_in_sets(*(item.save for item in items), actor="auth.User 7", label="Ada", reason="order", context="{}")
    items[0].quantity = 70
    write_in_sets(items[0].save, items[1].delete)
    seal("default", wait=LONG)
    assert [one.count for one in Seal.objects.all()] == [4, 4, 2]
    return [*Entry.objects.values_list("pk", flat=True)]


def test_a_log_that_nobody_has_altered_is_as_it_was_written(entries):
    Item.objects.create()

    assert findings() == []
    assert counts() == {"entr": 10, "seals": 3, "not sealed yet": 1, "forgotten": 0, "pruned": 0}


# --- entries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    ["object = 'x'", "changes = '{{}}'", "salt = 'other'", "digest = 'other'", "kind_id = 5", "change_set_id = 999"],
)
def test_l11_an_entry_that_is_altered_is_named(entries, column):
    tamper(f"UPDATE {{Entry}} SET {column} WHERE id = %s", entries[5])

    [found] = findings()
    assert found.startswith(f"Entry #{entries[5]}")
    assert "was altered" in found


def test_a_value_that_is_altered_together_with_its_digest_is_found(entries):
    tamper(
        "UPDATE {Entry} SET changes = '{{}}', digest = %s, salt = 's' WHERE id = %s", digest_of("s", "{}"), entries[5]
    )

    [found] = findings()
    assert found.startswith(f"Entry #{entries[5]} ")
    assert "than seal #2 has closed" in found


def test_values_that_are_removed_without_forget_are_found(entries):
    tamper("UPDATE {Entry} SET changes = '', salt = '' WHERE id = %s", entries[5])

    [found] = findings()
    assert f"#{entries[5]} " in found
    assert "no `audit forget` is recorded" in found


@pytest.mark.parametrize("at", [0, 3, 4, 6, 9])
def test_l11_an_entry_that_is_removed_is_named(entries, at):
    tamper("DELETE FROM {Entry} WHERE id = %s", entries[at])

    [found] = findings()
    assert found.startswith(f"Entry #{entries[at]} was removed: seal #{at // 4 + 1} has it")


@pytest.mark.parametrize("at", [0, 3, 4, 9])
def test_l11_an_entry_that_is_added_is_named(entries, at):
    """It has the id of an entry that was rolled back, here the one before the first, or one between two."""
    number = entries[at]
    tamper("DELETE FROM {Entry} WHERE id = %s", number)
    tamper("DELETE FROM {Seal}")
    tamper("UPDATE {Chain} SET marked = NULL")
    seal("default", wait=LONG)
    [kind] = Kind.objects.filter(action="updated").values_list("pk", flat=True)
    tamper(
        "INSERT INTO {Entry} (id, change_set_id, kind_id, object, changes, salt, digest)"
        " VALUES (%s, %s, %s, '1', '{{}}', 's', %s)",
        *(number, ChangeSet.objects.first().pk, kind, digest_of("s", "{}")),
    )

    found = findings() if at < 9 else []
    if at == 9:  # behind the last seal, where new entries come
        assert counts()["not sealed yet"] == 1
    else:
        assert len(found) == 1
        assert found[0].startswith(f"Entry #{number} ")
        assert "was added later" in found[0]


def test_the_first_is_named_first(entries):
    for number in (entries[8], entries[2]):
        tamper("UPDATE {Entry} SET object = 'x' WHERE id = %s", number)

    assert [one.split()[1] for one in findings()] == [f"#{entries[2]}", f"#{entries[8]}"]


# --- change sets and kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        *("actor = 'auth.User 8'", "actor_label = 'Bob'", "reason = 'none'", "context = '[]'", "first = 1"),
        *("at = '2020-01-01 00:00:00'", "salts = ''", "digests = ''", "reason = ''", "actor_label = ''"),
    ],
)
def test_l11_a_change_set_that_is_altered_is_named_by_its_first_entry(entries, column):
    number = Entry.objects.get(pk=entries[2]).change_set_id
    tamper(f"UPDATE {{ChangeSet}} SET {column} WHERE id = %s", number)

    [found] = findings()
    assert found.startswith(f"Entry #{entries[2]} ")


def test_a_label_and_a_reason_that_are_removed_with_their_salts_are_found(entries):
    number = Entry.objects.get(pk=entries[2]).change_set_id
    tamper("UPDATE {ChangeSet} SET actor_label = '', reason = '', context = '', salts = '' WHERE id = %s", number)

    [found] = findings()
    assert f"of its change set #{number}, the label was removed, and no `audit forget` is recorded" in found


def test_a_change_set_that_is_removed_is_found(entries):
    number = Entry.objects.get(pk=entries[2]).change_set_id
    tamper("DELETE FROM {ChangeSet} WHERE id = %s", number)

    [found] = findings()
    assert f"its change set #{number} is missing" in found


@pytest.mark.parametrize("column", ["model = 'app.Order'", "action = 'deleted'", "fields = ',price,'"])
def test_l11_a_kind_that_is_altered_is_named_by_its_first_entry(entries, column):
    tamper(f"UPDATE {{Kind}} SET {column} WHERE action = 'updated'")

    [found] = findings()
    assert found.startswith(f"Entry #{entries[8]} ")
    assert "its kind" in found


def test_a_kind_that_is_replaced_by_another_is_found(entries):
    """The number of the kind fits its columns."""
    kind = ("app.Order", "updated", ",quantity,")
    tamper("UPDATE {Kind} SET id = %s, model = 'app.Order' WHERE action = 'updated'", number_of(kind))
    tamper("UPDATE {Entry} SET kind_id = %s WHERE id = %s", number_of(kind), entries[8])

    [found] = findings()
    assert found.startswith(f"Entry #{entries[8]} (app.Order ")


def test_a_kind_that_is_removed_is_found(entries):
    tamper("DELETE FROM {Kind} WHERE action = 'updated'")

    [found] = findings()
    assert found.startswith(f"Entry #{entries[8]} was altered: its kind ")


# --- seals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        *("first = 0", "last = 1000", "count = 3", "ids = 'x'", "root = 'other'", "reason = 'x'", "digest = 'other'"),
        *("link = 'pruned'", "at = '2020-01-01 00:00:00'"),
    ],
)
def test_l11_a_seal_that_is_altered_is_named(entries, column):
    tamper(f"UPDATE {{Seal}} SET {column} WHERE id = 2")

    assert findings()[0].startswith("Seal #2 was altered")


@pytest.mark.parametrize("leaves", [b"", b"x" * 128, b"y"])
def test_the_leaves_of_a_seal_that_are_altered_are_found(entries, leaves):
    tamper("UPDATE {Seal} SET leaves = %s WHERE id = 2", leaves)

    assert findings() == ["The leaves of seal #2 were altered."]


def test_leaves_that_are_altered_together_with_an_entry_hide_nothing(entries):
    tamper("UPDATE {Seal} SET leaves = %s WHERE id = 2", b"x" * 128)
    tamper("UPDATE {Entry} SET object = 'x' WHERE id = %s", entries[5])

    assert findings() == ["The leaves of seal #2 were altered, and at least one of its entries."]


@pytest.mark.parametrize("number", [1, 2])
def test_a_seal_that_is_removed_is_named(entries, number):
    tamper("DELETE FROM {Seal} WHERE id = %s", number)

    assert findings() == [f"Seal #{number} was removed."]


def test_l11_a_dropped_tail_is_found_by_a_head_that_was_kept(entries, tmp_path):
    file = tmp_path / "heads"
    command("seal", "--head", str(file))
    head = Seal.objects.last().digest
    tamper("DELETE FROM {Seal} WHERE id = 3")
    tamper("DELETE FROM {Entry} WHERE id >= %s", entries[8])

    assert findings() == []  # without it nobody can know
    for kept in (head, str(file)):
        assert findings("--head", kept) == [
            f"No seal has the digest {head}: seals were dropped, or the chain was written anew."
        ]


def test_a_chain_that_was_written_anew_is_found_by_a_head_that_was_kept(entries):
    head = Seal.objects.last().digest
    assert findings("--head", head) == []
    tamper("UPDATE {Entry} SET object = 'x' WHERE id = %s", entries[5])
    tamper("DELETE FROM {Seal}")
    seal("default", wait=LONG)

    assert findings() == []
    assert findings("--head", head) != []


@pytest.mark.parametrize("head", ["no-such-file", "abc"])
def test_a_head_that_is_none_is_refused(entries, head):
    with pytest.raises(CommandError, match="neither a digest of 43 characters nor a file"):
        command("verify", "--head", head)


def test_seals_before_the_given_one_are_trusted(entries):
    tamper("UPDATE {Entry} SET object = 'x' WHERE id = %s", entries[1])
    tamper("UPDATE {Entry} SET object = 'x' WHERE id = %s", entries[9])

    assert [one.split()[1] for one in findings("--from", "2")] == [f"#{entries[9]}"]


# --- entries without a seal ---------------------------------------------------------------------------------------


def test_an_entry_without_a_seal_is_compared_with_its_own_digest(entries):
    Item.objects.create()
    number = Entry.objects.last().pk
    tamper("UPDATE {Entry} SET changes = '{{}}' WHERE id = %s", number)

    [found] = findings()
    assert found.startswith(f"Entry #{number} ")
    assert "has no seal, was" in found


def test_labels_without_continuity_are_refused():
    with pytest.raises(CommandError, match="name models only with --continuity"):
        command("verify", "app.Item")


# --- anything -----------------------------------------------------------------------------------------------------

TEXTS = {
    "Entry": ("object", "changes", "salt", "digest"),
    "ChangeSet": ("actor", "actor_label", "reason", "context", "salts", "digests"),
    "Kind": ("model", "action", "fields"),
    "Seal": ("link", "ids", "reason", "root", "digest"),
}
COLUMNS = [(table, column) for table, columns in TEXTS.items() for column in columns]
LETTERS = st.text("abz,09- ", min_size=1, max_size=8)


@given(st.sampled_from(COLUMNS), st.integers(0, 9), LETTERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
def test_l11_any_text_that_is_altered_is_found(entries, column, at, text):
    table, name = column
    rows = {"Entry": Entry, "ChangeSet": ChangeSet, "Kind": Kind, "Seal": Seal}[table]
    used = {"Kind": Kind.objects.filter(entries__isnull=False).distinct()}.get(table, rows.objects)
    keys = [*used.order_by("pk").values_list("pk", flat=True)]
    key = keys[at % len(keys)]
    quoted = connection.ops.quote_name(name)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {quoted} FROM {connection.ops.quote_name(rows._meta.db_table)} WHERE id = %s", [key])
        before = cursor.fetchone()[0]
    if before == text:
        return
    tamper(f"UPDATE {{{table}}} SET {quoted} = %s WHERE id = %s", text, key)
    try:
        assert findings() != []
    finally:
        tamper(f"UPDATE {{{table}}} SET {quoted} = %s WHERE id = %s", before, key)
    assert findings() == []
