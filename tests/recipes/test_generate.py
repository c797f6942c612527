"""Generate: values that are computed of a new row, with its key, beside the receivers of tutorials."""

import re
from contextlib import nullcontext, suppress
from functools import partial

import django
import pytest
from django.core import serializers
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.db.models import Count
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext

from heliograph import BeforeCommit, OnCommit, changed, changes_of, mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import generate, keep, normalize, subjects
from heliograph.recipes.declarations import check_rows, declarations
from tests.app.models import (
    Account,
    Bill,
    Contact,
    Desk,
    Drone,
    Fare,
    Gadget,
    GadgetProxy,
    Locker,
    Maker,
    Member,
    Robot,
    Seat,
    Token,
    Voucher,
)
from tests.helpers.errors import MishapError, mishap
from tests.helpers.patched import patched_methods
from tests.helpers.recipes_command import run
from tests.helpers.statements import statements, verbs
from tests.helpers.threads import at_once
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(databases=["default", "other"])

in_autocommit = pytest.mark.django_db(databases=["default", "other"], transaction=True)


def sku_of(gadget):
    return f"{gadget.maker.code if gadget.maker else 'X'}-{gadget.pk:06}"


@pytest.fixture
def skus():
    """Give each gadget a SKU from its key."""
    return generate(Gadget, sku=sku_of)


def raw_gadget(**values):
    """Insert a gadget as it is, and return a fresh copy."""
    with mute():
        made = Gadget.objects.create(**values)
    return Gadget.objects.get(pk=made.pk)


def stored(name="sku", using="default"):
    return [*Gadget.objects.using(using).order_by("pk").values_list(name, flat=True)]


def expected(using="default"):
    return [f"X-{key:06}" for key in Gadget.objects.using(using).order_by("pk").values_list("pk", flat=True)]


def gadgets(*names):
    return [Gadget(name=name) for name in names]


# --- each kind of write -------------------------------------------------------------------------------------------

WRITES = {
    "create": lambda: Gadget.objects.create(),
    "save": lambda: Gadget().save(),
    "save with a key": lambda: Gadget(pk=700).save(),
    "get_or_create": lambda: Gadget.objects.get_or_create(name="a"),
    "update_or_create": lambda: Gadget.objects.update_or_create(name="a"),
    "bulk_create": lambda: Gadget.objects.bulk_create(gadgets("a", "b", "c")),
    "bulk_create in batches": lambda: Gadget.objects.bulk_create(gadgets("a", "b", "c"), batch_size=2),
    "bulk_create with keys": lambda: Gadget.objects.bulk_create([Gadget(pk=701), Gadget(pk=702)]),
    "bulk_create with and without keys": lambda: Gadget.objects.bulk_create([Gadget(pk=703), Gadget()]),
    "bulk_create that ignores conflicts": lambda: Gadget.objects.bulk_create(gadgets("a", "b"), ignore_conflicts=True),
    "upsert": lambda: Gadget.objects.bulk_create([Gadget(pk=704), Gadget()], **conflict("pk", update=["name"])),
    "related manager": lambda: Maker.objects.create(code="X").gadgets.create(),
    "proxy": lambda: GadgetProxy.objects.create(),
    "bulk_create of proxies": lambda: GadgetProxy.objects.bulk_create([GadgetProxy(), GadgetProxy()]),
    "multi-table child": lambda: Robot.objects.create(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_r11_each_new_row_has_its_value_as_soon_as_it_is_written(skus, write, is_in_atomic):
    if is_in_atomic:
        with transaction.atomic():
            WRITES[write]()
            assert stored() == expected()
    else:
        WRITES[write]()
    assert stored() == expected() != []


@in_autocommit
@pytest.mark.parametrize("write", ["create", "bulk_create", "multi-table child", "save with a key"])
def test_r11_each_new_row_has_its_value_in_autocommit(skus, write):
    WRITES[write]()
    assert stored() == expected() != []


@in_autocommit
async def test_a_row_that_async_code_creates_has_its_value(skus, async_database):
    await Gadget.objects.acreate()
    await Gadget.objects.abulk_create(gadgets("a", "b"))
    assert [one.sku async for one in Gadget.objects.order_by("pk")] == [
        f"X-{one.pk:06}" async for one in Gadget.objects.order_by("pk")
    ]


def test_r11_the_instances_have_the_values_of_their_rows(skus):
    one = Gadget.objects.create(maker=Maker.objects.create(code="LEGO"))
    others = Gadget.objects.bulk_create(gadgets("a", "b"))
    assert [one.sku, *(other.sku for other in others)] == stored()
    assert stored()[0] == f"LEGO-{one.pk:06}"


def test_r11_a_value_and_its_row_are_in_one_database(skus):
    Gadget.objects.using("other").create()
    Gadget.objects.using("other").bulk_create(gadgets("a", "b"))
    assert (stored(using="other"), stored()) == (expected("other"), [])


def test_several_fields_have_their_own_functions_and_see_each_other():
    generate(Gadget, sku=sku_of, title=lambda gadget: f"{gadget.name} {gadget.sku}")
    Gadget.objects.create(name="Lamp")
    Gadget.objects.bulk_create(gadgets("Fan"))
    assert stored("title") == [f"Lamp {expected()[0]}", f"Fan {expected()[1]}"]


def test_a_text_that_need_not_be_unique_is_empty_until_then():
    generate(Gadget, title=lambda gadget: f"Gadget {gadget.pk}")
    Gadget.objects.bulk_create(gadgets("a", "b"))
    assert stored("title") == [f"Gadget {key}" for key in stored("pk")]


def test_a_field_of_a_multi_table_child_is_computed_of_the_key_of_its_parent():
    generate(Robot, motto=lambda robot: f"Robot {robot.pk} of {robot.id}")
    robot = Robot.objects.create()
    assert Robot.objects.get().motto == f"Robot {robot.pk} of {robot.pk}"


def test_an_empty_text_in_a_nullable_field_is_no_value(skus):
    Gadget.objects.bulk_create([Gadget(sku=""), Gadget(sku="")])
    Gadget.objects.create(sku="")
    assert stored() == expected()


# --- values that are left alone -----------------------------------------------------------------------------------


def test_a_value_that_the_caller_sets_is_left_alone(skus):
    Gadget.objects.create(sku="own")
    Gadget.objects.bulk_create([Gadget(sku="other"), Gadget()])
    assert stored() == ["own", "other", expected()[2]]


def test_a_row_that_exists_keeps_its_value_or_its_emptiness(skus):
    one, empty = Gadget.objects.create(), raw_gadget()
    one.maker = Maker.objects.create(code="NEW")
    one.save()
    empty.save()
    Gadget.objects.bulk_update([one, empty], ["name"])
    Gadget.objects.update(name="x")
    assert stored() == [expected()[0], None]


def test_fixtures_are_left_alone(skus):
    one = raw_gadget()
    text = serializers.serialize("json", [one])
    one.delete()
    for loaded in serializers.deserialize("json", text):
        loaded.save()
    assert stored() == [None]


def test_an_upsert_that_would_give_rows_another_value_is_refused(skus):
    one = Gadget.objects.create(sku="own")
    upsert = partial(Gadget.objects.bulk_create, **conflict("pk", update=["name", "sku"]))
    with pytest.raises(TypeError) as raised, transaction.atomic():
        upsert([Gadget(pk=one.pk)])
    assert str(raised.value) == (
        "generate(app.Gadget: sku): bulk_create(update_conflicts=True) would give rows that exist another 'sku'. Leave"
        " it out of update_fields."
    )
    upsert([Gadget(pk=one.pk, sku="new")])
    assert stored() == ["new"]


@pytest.mark.parametrize("sku", [None, "own"])
def test_an_upsert_leaves_the_values_of_rows_that_exist_alone(skus, sku):
    one = Gadget.objects.create(sku=sku)
    Gadget.objects.bulk_create([Gadget(pk=one.pk, name="x"), Gadget()], **conflict("pk", update=["name"]))
    assert stored() == [sku or expected()[0], expected()[1]]
    assert stored("name") == ["x", ""]


# --- keys that are known, or not needed ---------------------------------------------------------------------------


def test_a_row_whose_key_is_known_gets_its_value_with_the_insert():
    generate(Bill, note=lambda bill: f"bill {bill.pk}")
    assert verbs(lambda: Bill.objects.bulk_create([Bill(pk=5), Bill(pk=6)])).count("UPDATE") == 0
    assert [*Bill.objects.order_by("pk").values_list("note", flat=True)] == ["bill 5", "bill 6"]


def test_the_key_of_a_default_is_known():
    generate(Voucher, code=lambda voucher: str(voucher.pk)[:10])
    Voucher.objects.bulk_create([Voucher(), Voucher()])
    one = Voucher.objects.create()
    assert one.code == str(one.pk)[:10]
    assert Voucher.objects.exclude(code="").count() == 3


def test_a_key_that_the_database_computes_is_waited_for():
    generate(Token, name=lambda token: f"{token.pk}"[:10])
    one = Token.objects.create()
    assert Token.objects.get(pk=one.pk).name == str(one.pk)[:10]


def test_keys_that_the_database_computes_for_a_bulk_create_are_waited_for_if_django_returns_them():
    generate(Token, name=lambda token: f"{token.pk}"[:10])
    with nullcontext() if django.VERSION >= (6, 0) else pytest.raises(NotSupportedError):
        Token.objects.bulk_create([Token()])
    assert not Token.objects.filter(name="").exists()


def test_a_key_of_several_columns_is_known():
    generate(Seat, guest=lambda seat: f"seat {seat.row}/{seat.number}")
    Seat.objects.create(row=1, number=2)
    assert Seat.objects.get().guest == "seat 1/2"


@pytest.fixture
def early():
    """Give each gadget a title that does not need its key."""
    return generate(Gadget, title=lambda gadget: f"{gadget.maker.code} {gadget.name}", before_insert=True)


@pytest.mark.parametrize("number", [1, 3])
def test_without_the_key_a_value_is_inserted_with_its_row(early, number):
    maker = Maker.objects.create(code="LEGO")
    rows = [Gadget(maker=maker, name=f"{at}") for at in range(number)]
    sent = verbs(lambda: Gadget.objects.bulk_create(rows) if number > 1 else rows[0].save())
    assert [verb for verb in sent if verb not in ("SAVEPOINT", "RELEASE")] == ["INSERT"]
    assert stored("title") == [f"LEGO {at}" for at in range(number)]
    assert rows[0].pk == stored("pk")[0]


def test_a_unique_field_that_is_not_null_may_be_computed_before_the_insert():
    generate(Contact, email=lambda contact: f"{contact.name}@x.org", before_insert=True)
    Contact.objects.create(name="ada")
    Contact.objects.bulk_create([Contact(name="bob")])
    assert [*Contact.objects.order_by("pk").values_list("email", flat=True)] == ["ada@x.org", "bob@x.org"]


USES = {
    "f-string": lambda one: f"SKU-{one.pk}",
    "format": lambda one: f"{one.id:06}",
    "str": lambda one: "SKU-" + str(one.pk),
    "percent": lambda one: "SKU-%s" % one.pk,  # noqa: UP031
    "sum": lambda one: str(one.pk + 1000),
    "equality": lambda one: "low" if one.pk == 5 else "high",
    "or": lambda one: str(one.pk or 0),
    "list": lambda one: f"{[one.pk]}",
    "the instance": lambda one: f"{one}",
    "hash": lambda one: f"{ {one.pk} }",
}


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("model", [Gadget, Robot])
def test_r11_a_key_that_is_not_known_never_becomes_a_part_of_a_value(name, model):
    generate(Gadget, sku=USES[name], before_insert=True)
    one = model()
    with pytest.raises(TypeError) as raised:
        one.save()
    assert str(raised.value) == (
        "generate(app.Gadget: sku): its function asks for the key of a row that has none before its INSERT. Declare it"
        " without before_insert=True."
    )
    assert (one.pk, one.id, stored()) == (None, None, [])


PYTHON_REFUSES = {
    "digits": lambda one: "SKU-%d" % one.pk,  # noqa: UP031
    "int": lambda one: f"{int(one.pk)}",
    "comparison": lambda one: "low" if one.pk < 5 else "high",
    "difference": lambda one: f"{1000 - one.pk}",
    "join": lambda one: "-".join(["SKU", one.pk]),
}


@pytest.mark.parametrize("name", PYTHON_REFUSES)
def test_r11_a_key_that_is_not_known_is_no_number_and_no_text(name):
    generate(Gadget, sku=PYTHON_REFUSES[name], before_insert=True)
    with pytest.raises(TypeError, match="KeyBeforeInsert"):
        Gadget.objects.create()
    assert stored() == []


def test_r11_a_database_that_returns_no_keys_is_an_error_that_says_so(skus, monkeypatch):
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    with pytest.raises(NotSupportedError) as raised, CaptureQueriesContext(connection) as sent:
        Gadget.objects.bulk_create(gadgets("a", "b"))
    assert not [one for one in sent if "INSERT" in one["sql"]]
    assert str(raised.value) == (
        "generate(app.Gadget: sku): the database 'default' does not return the keys of the rows that bulk_create()"
        " inserts into app.Gadget, so nothing can be computed of them. Save the rows one by one, give them keys, or"
        " declare before_insert=True if no function needs the key."
    )
    assert stored() == []
    Gadget.objects.bulk_create([Gadget(pk=5), Gadget(pk=6), Gadget(sku="own")])
    assert stored() == ["X-000005", "X-000006", "own"]


# --- what is undone together --------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["create", "bulk_create", "multi-table child"])
@pytest.mark.parametrize("is_in_test", [True, False])
def test_r11_a_value_that_cannot_be_stored_undoes_the_row(request, write, is_in_test):
    request.getfixturevalue("db" if is_in_test else "transactional_db")
    raw_gadget(sku="taken")
    generate(Gadget, sku=lambda gadget: "taken")
    with pytest.raises(IntegrityError):
        WRITES[write]()
    assert stored() == ["taken"]


@in_autocommit
def test_an_instance_whose_insert_was_undone_gets_the_value_of_its_next_key(skus, receive):
    @receive(post_save, sender=Gadget, delivery=BeforeCommit())
    def refuse(sender, instance, **kwargs):
        if instance.name == "refused":
            raise MishapError

    one = Gadget(name="refused")
    with mishap():
        one.save()
    Gadget.objects.create()
    one.name = "accepted"
    one.save()
    assert stored() == expected()
    assert one.sku == expected()[1]


def test_a_rolled_back_row_takes_its_value_along(skus):
    with transaction.atomic():
        Gadget.objects.create()
        with suppress(ValueError), transaction.atomic():
            Gadget.objects.bulk_create(gadgets("a", "b"))
            raise ValueError
    assert stored() == expected()
    assert len(stored()) == 1


@pytest.mark.parametrize("value", [None, ""])
def test_a_function_that_returns_no_value_undoes_the_row(value):
    generate(Gadget, sku=lambda gadget: value)
    text = rf"the function of 'sku' returned {value!r} for <Gadget: Gadget object \(\d+\)>\. It must return a value\."
    with pytest.raises(ValueError, match=text), transaction.atomic():
        Gadget.objects.create()
    assert stored() == []


# --- beside other receivers ---------------------------------------------------------------------------------------


@in_autocommit
def test_receivers_of_the_transaction_receive_a_created_row_with_its_value(skus, batches_at_the_end):
    received = batches_at_the_end(post_save, OnCommit, sender=Gadget, bulk=True)
    with transaction.atomic():
        Gadget.objects.bulk_create(gadgets("a", "b"))
        Gadget.objects.create()
    (batch,) = received
    assert [event.kind for event in batch.events] == ["created"] * 3
    assert [event.instance.sku for event in batch.events] == expected()


def test_a_kept_field_counts_a_new_row_once(skus):
    maker = Maker.objects.create(code="X")
    keep(Maker, gadgets_count=Count("gadgets"))
    maker.gadgets.create()
    Gadget.objects.bulk_create([Gadget(maker=maker), Gadget(maker=maker)])
    assert Maker.objects.get().gadgets_count == 3


def test_a_value_that_was_stored_is_no_unsaved_change(skus, receive):
    receive(post_save, sender=Gadget, when=changed("sku"))(lambda sender, **kwargs: None)
    one, (other,) = Gadget.objects.create(), Gadget.objects.bulk_create(gadgets("a"))
    assert (changes_of(one), changes_of(other)) == ({}, {})


def test_a_value_is_computed_of_what_other_receivers_set(connect):
    connect(pre_save, lambda sender, instance, **kwargs: setattr(instance, "name", "late"), sender=Gadget)
    generate(Gadget, title=lambda gadget: gadget.name, before_insert=True)
    Gadget.objects.create(name="early")
    assert stored("title") == ["late"]


def test_an_instance_has_the_value_that_a_receiver_makes_of_it(skus):
    normalize(Gadget, sku=str.lower)
    rows = [Gadget.objects.create(), *Gadget.objects.bulk_create(gadgets("a")), Gadget.objects.create(pk=700)]
    assert {row.pk: row.sku for row in rows} == dict(Gadget.objects.values_list("pk", "sku"))
    assert {row.sku for row in rows} == {sku.lower() for sku in expected()}


def of_the_table(operation):
    """Return the first words of the statements that an operation sends about gadgets."""
    # SQLite takes its lock by an UPDATE of no row.
    return [sql.split()[0] for sql in statements(operation) if "app_gadget" in sql and "0 = 1" not in sql]


@pytest.mark.parametrize("number", [1, 50])
def test_r11_the_values_of_a_batch_are_one_statement(skus, number):
    sent = of_the_table(lambda: Gadget.objects.bulk_create(gadgets(*map(str, range(number)))))
    assert sent == ["INSERT", "UPDATE"]


def test_a_save_of_a_row_that_exists_takes_no_statement_more(skus):
    one = Gadget.objects.create()
    assert of_the_table(one.save) == ["UPDATE"]


# --- the declaration ----------------------------------------------------------------------------------------------


def test_disconnected_it_leaves_no_patch_and_no_receiver():
    before = patched_methods(), [*post_save.receivers], [*pre_save.receivers]
    declaration = generate(Gadget, sku=sku_of)
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), post_save.receivers, pre_save.receivers) == before
    Gadget.objects.create()
    assert stored() == [None]


def test_muted_it_does_nothing(skus):
    with mute(Gadget):
        Gadget.objects.create()
        Gadget.objects.bulk_create(gadgets("a"))
    assert stored() == [None, None]


def test_a_trace_shows_it_by_its_name(skus):
    with trace() as traced:
        Gadget.objects.create()
    names = {one.receiver.__qualname__ for one in traced.events if isinstance(one, Called)}
    assert names == {"generate(app.Gadget: sku)"}


def test_a_declaration_reads_as_it_was_written():
    assert generate(Gadget, sku=sku_of).text == "generate(app.Gadget, sku=sku_of)"
    text = generate("app.Gadget", title=sku_of, before_insert=True).text
    assert text == "generate('app.Gadget', title=sku_of, before_insert=True)"


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(generate, Gadget, skuu=sku_of),
            "generate(app.Gadget, skuu=sku_of): app.Gadget has no field 'skuu' with a column. Did you mean 'sku'?",
        ),
        (partial(generate, Gadget, sku="SKU"), "sku= takes a function of the row, not 'SKU'."),
        (partial(generate, Gadget), "generate(app.Gadget) names no field. Give one with its function, such as sku="),
        (
            partial(generate, Robot, sku=sku_of),
            "'sku' is a column of app.Gadget, which others may write. Declare it for 'app.Gadget'.",
        ),
        (partial(generate, Gadget, maker=sku_of), "'maker' is a key of app.Maker. Name a field of that model."),
        (partial(generate, Gadget, id=sku_of), "'id' is a primary key, and a row with another key is another row."),
        (partial(generate, Bill, shown=sku_of), "'shown' is computed by the database."),
        (
            partial(generate, Desk, number=sku_of),
            "'number' has a default, which would be left alone. Take the default away.",
        ),
        (partial(generate, Member, code=sku_of), "'code' has a default, which would be left alone."),
        (partial(generate, Account, limit=sku_of), "'limit' has a default, which would be left alone."),
        (
            partial(generate, Contact, email=sku_of),
            "'email' must be empty until a new row has its key, which the database makes. Add null=True to it, or"
            " declare before_insert=True if its function does not need the key.",
        ),
        (partial(generate, Fare, zone=sku_of), "'zone' must be empty until a new row has its key"),
        (partial(generate, Drone, number=sku_of), "'number' must be empty until a new row has its key"),
        (partial(generate, Locker, number=sku_of), "'number' must be empty until a new row has its key"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


def test_a_second_declaration_of_a_field_is_refused_until_the_first_is_disconnected(skus):
    text = f"'sku' is generated already, at {skus.line}. Remove one of the two."
    with pytest.raises(TypeError, match=re.escape(text)):
        generate(Gadget, sku=sku_of)
    skus.disconnect()
    generate(Gadget, sku=sku_of)


# --- rows that are older ------------------------------------------------------------------------------------------


def test_verify_names_the_rows_without_a_value_and_repair_gives_them_theirs(skus):
    old, _ = raw_gadget(), Gadget.objects.create()
    line = f"app.Gadget.sku of {old.pk} is missing, not a value"
    assert run("verify") == (1, [line, "1 verified, 1 wrong"])
    assert run("verify", "--repair") == (0, [f"{line}, and is mended", "1 verified, 1 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert stored() == expected()


def test_an_empty_text_is_mended():
    old = raw_gadget(title="")
    generate(Gadget, title=lambda gadget: f"Gadget {gadget.pk}")
    assert run("backfill") == (0, ["1 verified, 1 filled"])
    assert stored("title") == [f"Gadget {old.pk}"]


def test_a_row_that_cannot_be_mended_is_named_and_the_others_are_mended():
    maker = Maker.objects.create(code="LEGO")
    old, taken, good = raw_gadget(), raw_gadget(name="taken", maker=maker), raw_gadget(name="good", maker=maker)
    raw_gadget(sku="LEGO-taken")
    generate(Gadget, sku=lambda gadget: f"{gadget.maker.code}-{gadget.name}")
    status, lines = run("verify", "--repair")
    assert (status, lines[-1]) == (1, "1 verified, 1 mended, 2 left")
    assert lines[0].startswith(
        f"app.Gadget.sku of {old.pk} is missing, not a value. The function raises AttributeError("
    )
    assert lines[1].startswith(f"app.Gadget.sku of {taken.pk} is missing, not a value. The database refuses it (")
    assert lines[2] == f"app.Gadget.sku of {good.pk} is missing, not a value, and is mended"
    assert stored() == [None, None, "LEGO-good", "LEGO-taken"]


def test_a_system_check_warns_of_older_rows(skus):
    raw_gadget()
    (warning,) = check_rows(None, ["default"])
    assert "app.Gadget.sku: 1 of 1 sampled rows are wrong" in warning.msg


@in_autocommit
def test_a_repair_locks_a_row_before_it_reads_it(skus):
    old = raw_gadget()
    (subject,) = declarations[0].subjects
    sent = statements(lambda: subject.mend("default", [old.pk]))
    locking = r"SELECT .* FOR (NO KEY )?UPDATE" if connection.features.has_select_for_update else "BEGIN IMMEDIATE"
    reads = [sql for sql in sent if re.match(rf"SELECT|{locking}", sql)]
    assert re.match(locking, reads[0])


@in_autocommit
def test_a_backfill_gives_all_rows_a_value_while_others_are_added(skus, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 20)
    with mute():
        Gadget.objects.bulk_create(gadgets(*["old"] * 100))

    def add():
        for _ in range(10):
            Gadget.objects.bulk_create(gadgets("a", "b"))
            Gadget.objects.create()

    at_once(add, add, lambda: run("backfill"), lambda: run("backfill"))
    assert stored() == expected()
    assert len(stored()) == 160


# --- the receivers of tutorials -----------------------------------------------------------------------------------


def test_control_a_receiver_of_pre_save_makes_a_value_of_no_key(connect):
    def set_sku(sender, instance, **kwargs):
        instance.sku = f"SKU-{instance.pk}"

    connect(pre_save, set_sku, sender=Gadget)
    Gadget.objects.create()
    assert stored() == ["SKU-None"]


@pytest.fixture
def tutorial(connect):
    """The receiver that most answers show."""

    def set_sku(sender, instance, created, **kwargs):
        if created:
            instance.sku = f"X-{instance.pk:06}"
            instance.save()

    connect(post_save, set_sku, sender=Gadget)


@pytest.mark.parametrize("write", ["bulk_create", "bulk_create that ignores conflicts", "proxy"])
def test_control_the_tutorials_receiver_misses_rows(tutorial, write):
    WRITES[write]()
    assert stored() != expected()


def test_control_without_created_the_tutorials_receiver_never_ends(connect):
    def set_sku(sender, instance, **kwargs):
        instance.sku = f"X-{instance.pk:06}"
        instance.save()

    connect(post_save, set_sku, sender=Gadget, reentrant="allow")
    with pytest.raises(RecursionError):
        Gadget.objects.create()


@in_autocommit
def test_control_the_tutorials_receiver_leaves_a_row_without_a_value_if_it_fails(connect):
    raw_gadget(sku="taken")

    def set_sku(sender, instance, created, **kwargs):
        if created:
            instance.sku = "taken"
            instance.save()

    connect(post_save, set_sku, sender=Gadget)
    with pytest.raises(IntegrityError):
        Gadget.objects.create()
    assert stored() == ["taken", None]


def test_control_the_tutorials_receiver_overwrites_a_value_that_the_caller_has_set(tutorial):
    Gadget.objects.create(sku="own")
    assert stored() != ["own"]
