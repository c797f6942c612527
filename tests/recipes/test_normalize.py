"""Normalize: values are stored in one form by each kind of write, and found by it, beside the receiver of tutorials."""

import pickle
import re
from contextlib import suppress
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower, Upper
from django.db.models.signals import post_save, pre_save

from heliograph import changed, mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import normalize, stamp, subjects
from heliograph.recipes.declarations import check_rows, declarations
from heliograph.signals import post_update, pre_update
from tests.app.models import Bill, Contact, ContactProxy, Meeting, Seat, Supplier
from tests.helpers.patched import patched_methods
from tests.helpers.recipes_command import run
from tests.helpers.stale_copies import elsewhere
from tests.helpers.statements import statements, verbs
from tests.helpers.threads import at_once, in_thread
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(databases=["default", "other"])

FORM = [str.strip, str.lower]


@pytest.fixture
def emails():
    """Store e-mail addresses in lower case, without spaces around them."""
    return normalize(Contact, email=FORM)


@pytest.fixture
def lookups():
    """Store them so, and look for them so."""
    return normalize(Contact, email=FORM, lookups=True)


def raw_contact(email="", **values):
    """Insert a contact as it is, and return a fresh copy."""
    with mute():
        made = Contact.objects.create(email=email, **values)
    return Contact.objects.get(pk=made.pk)


def stored(model=Contact, name="email", using="default"):
    return [*model._base_manager.using(using).order_by("pk").values_list(name, flat=True)]


def assigned(one, **values):
    for name, value in values.items():
        setattr(one, name, value)
    return one


# --- each kind of write -------------------------------------------------------------------------------------------

RAW, NORMAL = " Ada@X.org", "ada@x.org"
CREATIONS = {
    "create": lambda: Contact.objects.create(email=RAW),
    "get_or_create": lambda: Contact.objects.get_or_create(email=RAW),
    "update_or_create": lambda: Contact.objects.update_or_create(email=RAW),
    "bulk_create": lambda: Contact.objects.bulk_create([Contact(email=RAW)]),
    "bulk_create that ignores conflicts": lambda: Contact.objects.bulk_create(
        [Contact(email=RAW)], ignore_conflicts=True
    ),
    "upsert": lambda: upsert(Contact(email=RAW), "name"),
    "proxy": lambda: ContactProxy.objects.create(email=RAW),
    "bulk_create of proxies": lambda: ContactProxy.objects.bulk_create([ContactProxy(email=RAW)]),
    "multi-table child": lambda: Supplier.objects.create(email=RAW),
    "a value as an expression": lambda: Contact.objects.create(email=Value(RAW)),
}
CHANGES = {
    "save": lambda one: assigned(one, email=RAW).save(),
    "save(update_fields)": lambda one: assigned(one, email=RAW).save(update_fields=["email"]),
    "save of a deferred copy": lambda one: assigned(Contact.objects.only("name").get(pk=one.pk), email=RAW).save(),
    "save of an instance made by hand": lambda one: Contact(pk=one.pk, email=RAW).save(),
    "update_or_create": lambda one: Contact.objects.update_or_create(pk=one.pk, defaults={"email": RAW}),
    "bulk_update": lambda one: Contact.objects.bulk_update([assigned(one, email=RAW)], ["email"]),
    "update": lambda one: Contact.objects.filter(pk=one.pk).update(email=RAW),
    "update of a value": lambda one: Contact.objects.filter(pk=one.pk).update(email=Value(RAW)),
    "proxy": lambda one: assigned(ContactProxy.objects.get(pk=one.pk), email=RAW).save(),
    "update of proxies": lambda one: ContactProxy.objects.filter(pk=one.pk).update(email=RAW),
    "upsert": lambda one: upsert(Contact(pk=one.pk, email=RAW), "email", by="pk"),
}


def upsert(one, *names, by="email"):
    type(one).objects.bulk_create([one], **conflict(by, update=[*names]))


@pytest.mark.parametrize("write", CREATIONS)
def test_r10_each_kind_of_write_inserts_the_normal_form(emails, write):
    CREATIONS[write]()
    assert stored() == [NORMAL]


def test_r10_an_upsert_by_a_raw_value_finds_the_row_in_conflict(emails, listen):
    one = raw_contact(NORMAL)
    received = listen(post_save, sender=Contact, bulk=True)
    upsert(Contact(email=RAW, name="new"), "name")
    assert [*Contact.objects.values_list("pk", "email", "name")] == [(one.pk, NORMAL, "new")]
    assert [call.payload["created"] for call in received] == [False]


@pytest.mark.parametrize("write", CHANGES)
def test_r10_each_kind_of_write_changes_to_the_normal_form(emails, write):
    CHANGES[write](raw_contact("bob@x.org"))
    assert stored() == [NORMAL]


INHERITED = {
    "save": lambda one: assigned(one, email=RAW).save(),
    "bulk_update": lambda one: Supplier.objects.bulk_update([assigned(one, email=RAW)], ["email"]),
    "update": lambda one: Supplier.objects.filter(pk=one.pk).update(email=RAW),
    "update of both tables": lambda one: Supplier.objects.filter(pk=one.pk).update(number="2", email=RAW),
}


@pytest.mark.parametrize("write", INHERITED)
def test_a_child_by_inheritance_is_normalized(emails, write):
    INHERITED[write](Supplier.objects.create(email="bob@x.org"))
    assert stored() == [NORMAL]


def test_writes_of_a_related_manager_are_normalized():
    normalize(Meeting, room=FORM)
    contact = raw_contact("a")
    contact.meetings.create(room=" Tea")
    contact.meetings.bulk_create([Meeting(contact=contact, room=" Sea")])
    assert stored(Meeting, "room") == ["tea", "sea"]
    contact.meetings.update(room=" Key")
    assert stored(Meeting, "room") == ["key", "key"]


def test_the_instance_has_the_value_of_its_row(emails):
    one, others = Contact.objects.create(email=RAW), Contact.objects.bulk_create([Contact(email=" Bob")])
    assert (one.email, others[0].email) == (NORMAL, "bob")
    Contact.objects.bulk_update([assigned(others[0], email=" Eve")], ["email"])
    assert others[0].email == "eve"


def test_r10_save_with_update_fields_stores_all_that_the_recipe_changes():
    normalize(Contact, email=FORM, name=str.strip)
    one = raw_contact(" Old@X.org")
    assigned(one, name=" Ada ").save(update_fields=["name"])
    assert (one.name, one.email) == ("Ada", " Old@X.org")
    assert [*Contact.objects.values_list("name", "email")] == [("Ada", " Old@X.org")]


def test_a_stale_copy_does_not_write_a_field_that_it_leaves_out(emails):
    """Another process changes the address of an old row after this one has loaded it."""
    stale = raw_contact(" Old@X.org")
    elsewhere(stale, email="new@x.org")
    assigned(stale, name="Ada").save(update_fields=["name"])
    Contact.objects.bulk_update([stale], ["name"])
    assert stored() == ["new@x.org"]


def test_a_field_that_is_not_loaded_stays_so(emails):
    one = Contact.objects.only("name").get(pk=raw_contact(RAW).pk)
    one.save()
    assert one.get_deferred_fields() >= {"email"}
    assert stored() == [RAW]


def test_the_functions_of_a_list_are_called_one_after_the_other():
    normalize(Contact, email=[lambda value: f"{value}b", lambda value: value.replace("ab", "a").replace("bb", "b")])
    Contact.objects.create(email="a")
    assert stored() == ["a"]


def test_several_fields_have_their_own_functions():
    normalize(Contact, email=str.lower, name=str.strip, phone=(str.strip,))
    Contact.objects.create(email="A", name=" Ada ", phone=" 1 ")
    Contact.objects.update(email="B", phone=" 2 ")
    assert [*Contact.objects.values_list("email", "name", "phone")] == [("b", "Ada", "2")]


def test_none_is_left_alone_and_may_be_a_normal_form():
    normalize(Contact, phone=lambda value: value.strip() or None)
    one = Contact.objects.create(email="a", phone=None)
    Contact.objects.update(phone="  ")
    assigned(one, phone=" ").save()
    Contact.objects.update(phone=None)
    assert stored(name="phone") == [None]


def test_a_function_gets_a_value_of_the_type_of_the_field(emails):
    Contact.objects.create(email=5)
    Contact.objects.update(email=6)
    assert stored() == ["6"]


def test_a_value_of_the_database_is_left_alone():
    normalize(Contact, currency=str.upper)
    Contact.objects.create(email="a")
    assert stored(name="currency") == ["EUR"]


def test_r10_fixtures_are_left_alone(emails):
    one = raw_contact(RAW)
    for loaded in serializers.deserialize("json", serializers.serialize("json", [one])):
        loaded.save()
    assert stored() == [RAW]


def test_each_database_is_normalized(emails):
    Contact.objects.using("other").create(email=RAW)
    Contact.objects.using("other").update(email=" Bob")
    assert stored(using="other") == ["bob"]


def test_a_rollback_takes_the_value_along(emails):
    one = raw_contact("bob@x.org")
    with suppress(ValueError), transaction.atomic():
        assigned(one, email=RAW).save()
        raise ValueError
    assert stored() == ["bob@x.org"]


@pytest.mark.django_db(transaction=True)
async def test_async_writes_are_normalized(emails, async_database):
    await Contact.objects.acreate(email=RAW)
    await Contact.objects.aupdate(email=" Bob")
    assert [one.email async for one in Contact.objects.all()] == ["bob"]


def test_it_takes_no_statement_more(emails):
    one = raw_contact("bob")
    assert verbs(lambda: assigned(one, email=RAW).save()) == ["UPDATE"]
    sent = verbs(lambda: Contact.objects.update(email=" Bob"))
    assert [verb for verb in sent if verb not in ("SAVEPOINT", "RELEASE")] == ["UPDATE"]


# --- beside other receivers ---------------------------------------------------------------------------------------


def test_conditions_compare_normal_values(emails, listen):
    changes = listen(pre_save, sender=Contact, when=changed("email"), bulk=True)
    one = raw_contact(NORMAL)
    assigned(one, email=RAW).save()
    Contact.objects.bulk_update([assigned(one, email=RAW)], ["email"])
    assert changes == []


def test_a_value_that_a_receiver_sets_is_normalized(emails, connect):
    def name_by_email(sender, instance, **kwargs):
        instance.email = f"{instance.name}@X.org"

    connect(pre_save, name_by_email, sender=Contact, bulk=True)
    Contact.objects.create(name=" Ada")
    Contact.objects.bulk_create([Contact(name="BOB")])
    assert stored() == [NORMAL, "bob@x.org"]


def test_values_that_a_receiver_of_an_update_sets_are_normalized(emails, connect):
    connect(pre_update, lambda sender, values, **kwargs: values.update(email=RAW), sender=Contact)
    raw_contact("bob")
    Contact.objects.update(name="Ada")
    assert stored() == [NORMAL]


def test_receivers_of_an_update_receive_the_normal_value(emails, listen):
    received = listen(post_update, sender=Contact)
    one = raw_contact("bob")
    Contact.objects.update(email=RAW)
    assert received[0].payload["batch"].changes("email") == [(one.pk, "bob", NORMAL)]


def test_a_stamp_of_a_normalized_field_is_set_by_a_change_of_its_normal_value():
    normalize(Bill, status=str.lower)
    stamp(Bill, "paid_at", when=changed("status", to="paid"))
    bills = [Bill.objects.create() for _ in range(3)]
    assigned(bills[0], status="PAID").save()
    assigned(bills[1], status="OPEN").save()
    Bill.objects.filter(pk=bills[2].pk).update(status="PAID")
    assert [one is not None for one in stored(Bill, "paid_at")] == [True, False, True]


# --- what cannot be normalized ------------------------------------------------------------------------------------

EXPRESSIONS = {
    "update": lambda one: Contact.objects.update(email=Upper("email")),
    "update of a field": lambda one: Contact.objects.update(email=F("name")),
    "save": lambda one: assigned(one, email=Lower("email")).save(),
    "bulk_update": lambda one: Contact.objects.bulk_update([assigned(one, email=F("name"))], ["email"]),
    "create": lambda one: Contact.objects.create(email=Lower(Value("X"))),
}


@pytest.mark.parametrize("write", EXPRESSIONS)
def test_a_value_that_the_database_would_compute_is_refused(emails, write):
    one = raw_contact("bob")
    with pytest.raises(TypeError) as raised:
        EXPRESSIONS[write](one)
    text = str(raised.value)
    assert text.startswith("normalize(app.Contact, email=[str.strip, str.lower]): the database would compute ")
    assert text.endswith(
        ", where nobody can call [str.strip, str.lower]; and the functions of databases differ from those of Python."
        " Give a value: read the rows, set 'email', and bulk_update() them."
    )
    assert stored() == ["bob"]


def test_the_functions_of_this_database_are_not_those_of_python():
    """The reason why `Lower()` is not taken for `str.lower`, nor `Trim()` for `str.strip`."""
    values = ["\tADA", "İ", "ΑΣ"]
    for number, value in enumerate(values):
        raw_contact(str(number), name=value)
    from django.db.models.functions import Trim

    computed = [*Contact.objects.order_by("pk").values_list(Lower(Trim("name")), flat=True)]
    assert computed != [value.strip().lower() for value in values]


def test_a_function_that_changes_its_own_result_is_refused():
    normalize(Contact, name=lambda value: f"{value}!")
    with pytest.raises(ValueError, match=re.escape("makes 'Ada!' of 'Ada', and 'Ada!!' of that. It must return a")):
        Contact.objects.create(email="a", name="Ada")
    assert stored() == []


def test_an_error_of_the_function_refuses_the_write(emails):
    def verified(value):
        raise ValidationError("no address")

    normalize(Contact, name=verified)
    with pytest.raises(ValidationError):
        Contact.objects.create(email="a", name="b")
    with pytest.raises(ValidationError):
        Contact.objects.update(name="b")
    assert stored() == []


# --- lookups ------------------------------------------------------------------------------------------------------


@pytest.fixture
def ada(lookups):
    """A contact with a meeting, beside another contact with a meeting."""
    ada, bob = (Contact.objects.create(email=email) for email in (RAW, "bob@x.org"))
    for one in (ada, bob):
        Meeting.objects.create(contact=one, room=one.email)
    return ada


FOUND = {
    "filter": lambda: Contact.objects.filter(email=RAW),
    "exact": lambda: Contact.objects.filter(email__exact=RAW),
    "in": lambda: Contact.objects.filter(email__in=[RAW, "nobody"]),
    "in a set": lambda: Contact.objects.filter(email__in={RAW}),
    "in a generator": lambda: Contact.objects.filter(email__in=(one for one in [RAW])),
    "in with an expression": lambda: Contact.objects.filter(email__in=[RAW, Lower("phone")]),
    "a value as an expression": lambda: Contact.objects.filter(email=Value(RAW)),
    "Q": lambda: Contact.objects.filter(Q(email=RAW) | Q(email="nobody")),
    "exclude": lambda: Contact.objects.exclude(email=" BOB@X.org"),
    "not Q": lambda: Contact.objects.filter(~Q(email__in=[" BOB@X.org"])),
    "get": lambda: [Contact.objects.get(email=RAW)],
    "proxy": lambda: ContactProxy.objects.filter(email=RAW),
    "an annotation": lambda: Contact.objects.annotate(address=F("email")).filter(address=RAW),
    "a case": lambda: Contact.objects.annotate(is_ada=Case(When(email=RAW, then=True), default=False)).filter(
        is_ada=True
    ),
    "from another model": lambda: [one.contact for one in Meeting.objects.filter(contact__email=RAW)],
    "exclude from another model": lambda: [
        one.contact for one in Meeting.objects.exclude(contact__email__in=[" BOB@X.org"])
    ],
    "to another model": lambda: Contact.objects.filter(meetings__contact__email=RAW),
    "a subquery": lambda: Contact.objects.filter(email__in=Meeting.objects.filter(contact__email=RAW).values("room")),
    "get_or_create": lambda: [Contact.objects.get_or_create(email=RAW)[0]],
    "update_or_create": lambda: [Contact.objects.update_or_create(email=RAW)[0]],
}


@pytest.mark.parametrize("name", FOUND)
def test_r10_a_lookup_by_the_raw_value_finds_the_row(ada, name):
    assert [one.pk for one in FOUND[name]()] == [ada.pk]
    assert Contact.objects.count() == 2


def test_r10_a_child_by_inheritance_is_found(lookups):
    supplier = Supplier.objects.create(email=RAW)
    assert Supplier.objects.get(email=RAW) == supplier


def test_r10_a_user_logs_in_by_the_raw_name():
    normalize(User, username=FORM, lookups=True)
    ada = User.objects.create_user(" Ada")
    assert User.objects.get_by_natural_key("ADA ") == ada


def test_r10_a_form_says_that_a_value_is_there(ada):
    with pytest.raises(ValidationError) as raised:
        Contact(email=" ADA@X.org").validate_unique()
    assert raised.value.messages == ["Contact with this Email already exists."]


UNTOUCHED = {
    "None": (lambda: Contact.objects.filter(email=None), []),
    "isnull": (lambda: Contact.objects.filter(email__isnull=False), ["ada@x.org", "bob@x.org"]),
    "an expression of the field": (
        lambda: Contact.objects.annotate(loud=Upper("email")).filter(loud="ADA@X.ORG"),
        ["ada@x.org"],
    ),
    "another column": (lambda: Contact.objects.filter(email=F("email")), ["ada@x.org", "bob@x.org"]),
    "another lookup": (lambda: Contact.objects.filter(email__startswith=" "), []),
    "another field": (lambda: Contact.objects.filter(name=" Ada"), []),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_other_lookups_are_as_ever(ada, name):
    query, found = UNTOUCHED[name]
    assert [one.email for one in query().order_by("pk")] == found


def test_without_lookups_a_query_looks_for_what_it_is_given(emails):
    Contact.objects.create(email=RAW)
    assert not Contact.objects.filter(email=RAW).exists()
    assert Contact.objects.filter(email=NORMAL).exists()


def test_a_query_may_be_pickled(ada):
    rows = Contact.objects.all()
    rows.query = pickle.loads(pickle.dumps(Contact.objects.filter(email=RAW, email__in=[RAW]).query))
    assert [*rows] == [ada]


def test_disconnected_queries_are_as_they_were(lookups):
    field = Contact._meta.get_field("email")
    Contact.objects.create(email=RAW)
    lookups.disconnect()
    assert not Contact.objects.filter(email=RAW).exists()
    assert "instance_lookups" not in vars(field)


def test_a_lookup_that_the_project_has_registered_on_the_field_stays():
    field = Contact._meta.get_field("email")
    before = type("Own", (field.get_lookup("exact"),), {"lookup_name": "exact"})
    field.register_lookup(before)
    try:
        declaration = normalize(Contact, email=FORM, lookups=True)
        (node,) = Contact.objects.filter(email=RAW).query.where.children
        assert (type(node), node.rhs) == (before, NORMAL)
        declaration.disconnect()
        assert field.get_lookup("exact") is before
    finally:
        del field.instance_lookups


# --- the declaration ----------------------------------------------------------------------------------------------


def test_disconnected_it_leaves_no_patch_and_no_receiver():
    before = patched_methods(), [*pre_save.receivers]
    declaration = normalize(Contact, email=FORM, lookups=True)
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), pre_save.receivers) == before
    Contact.objects.create(email=RAW)
    Contact.objects.update(name="x")
    assert stored() == [RAW]


def test_muted_it_does_nothing(emails):
    with mute(Contact):
        Contact.objects.create(email=RAW)
    assert stored() == [RAW]


def test_a_trace_shows_it_by_its_name(emails):
    with trace() as traced:
        Contact.objects.create(email=RAW)
    names = [one.receiver.__qualname__ for one in traced.events if isinstance(one, Called)]
    assert names == ["normalize(app.Contact: email)"] * 2


def test_a_declaration_reads_as_it_was_written():
    text = normalize("app.Contact", lookups=True, email=FORM, name=str.strip).text
    assert text == "normalize('app.Contact', email=[str.strip, str.lower], name=str.strip, lookups=True)"


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(normalize, Contact, emial=str.lower),
            "normalize(app.Contact, emial=str.lower): app.Contact has no field 'emial' with a column. Did you mean"
            " 'email'?",
        ),
        (
            partial(normalize, Contact, email="lower"),
            "normalize(): email= takes a function, or a list of functions such as [str.strip, str.lower], not 'lower'.",
        ),
        (partial(normalize, Contact, email=[]), "such as [str.strip, str.lower], not []."),
        (
            partial(normalize, Contact),
            "normalize(app.Contact) names no field. Give one with its function, such as email=str.lower.",
        ),
        (
            partial(normalize, Supplier, email=str.lower),
            "'email' is a column of app.Contact, which others may write. Declare it for 'app.Contact'.",
        ),
        (
            partial(normalize, ContactProxy, email=str.lower),
            "'email' is a column of app.Contact, which others may write. Declare it for 'app.Contact'.",
        ),
        (
            partial(normalize, Contact, id=abs),
            "'id' is a primary key, and a row with another key is another row. Name a field.",
        ),
        (partial(normalize, Seat, row=abs), "'row' is a primary key, and a row with another key is another row."),
        (partial(normalize, Meeting, contact=abs), "'contact' is a key of app.Contact. Name a field of that model."),
        (
            partial(normalize, Contact, shown=str.lower),
            "'shown' is computed by the database. Name a field of its expression.",
        ),
        (
            partial(normalize, Contact, country=str.lower),
            "str.lower makes 'de' of 'DE', which is among the choices of 'country'. Change one of them.",
        ),
        (
            partial(normalize, Contact, currency=str.lower),
            "str.lower makes 'eur' of 'EUR', which is the db_default of 'currency'. Change one of them.",
        ),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


def test_a_second_declaration_of_a_field_is_refused_until_the_first_is_disconnected(emails):
    text = f"'email' is normalized already, at {emails.line}. Join the functions."
    with pytest.raises(TypeError, match=re.escape(text)):
        normalize(Contact, name=str.strip, email=str.lower)
    Contact.objects.create(email="a", name=" ")
    assert stored(name="name") == [" "]
    emails.disconnect()
    normalize(Contact, email=str.lower)


# --- rows that are older ------------------------------------------------------------------------------------------


def test_verify_names_the_rows_that_are_not_normal_and_repair_normalizes_them(lookups):
    old, _ = raw_contact(RAW), raw_contact("bob")
    line = f"app.Contact.email of {old.pk} is {RAW!r}, not {NORMAL!r}"
    assert run("verify") == (1, [line, "1 verified, 1 wrong"])
    assert run("verify", "--repair") == (0, [f"{line}, and is mended", "1 verified, 1 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert stored() == [NORMAL, "bob"]


def test_a_row_whose_normal_value_another_row_has_is_named_and_the_others_are_mended(emails):
    first, second, third = (raw_contact(email) for email in ("ada@x.org", RAW, " Bob"))
    status, lines = run("verify", "--repair")
    assert (status, lines[-1], lines[1]) == (
        1,
        "1 verified, 1 mended, 1 left",
        f"app.Contact.email of {third.pk} is ' Bob', not 'bob', and is mended",
    )
    assert re.fullmatch(
        rf"app\.Contact\.email of {second.pk} is ' Ada@X\.org', not 'ada@x\.org'\. The database refuses it \(.*\):"
        r" merge this row with the one that has the value, or change one of them, and repeat\.",
        lines[0],
    )
    assert stored() == ["ada@x.org", RAW, "bob"]
    first.delete()
    assert run("backfill") == (0, ["1 verified, 1 filled"])


def test_a_backfill_names_what_is_left(emails):
    for email in ("ada@x.org", RAW, " Bob"):
        raw_contact(email)
    status, lines = run("backfill")
    assert (status, len(lines), lines[-1]) == (1, 2, "1 verified, 1 filled, 1 left")
    assert "The database refuses it" in lines[0]


def test_of_two_rows_with_the_same_normal_value_the_first_gets_it(emails):
    raw_contact("  Ada"), raw_contact(" ADA")
    assert run("backfill")[0] == 1
    assert stored() == ["ada", " ADA"]


def test_a_value_that_the_function_does_not_take_is_named():
    old, _ = raw_contact("a", phone="none"), raw_contact("b", phone="07")
    normalize(Contact, phone=lambda value: str(int(value)))
    line = f"app.Contact.phone of {old.pk} is 'none', not normal. The function raises ValueError("
    status, lines = run("verify")
    assert (status, lines[0].startswith(line), lines[-1]) == (1, True, "1 verified, 2 wrong")
    assert run("backfill")[1][-1] == "1 verified, 1 filled, 1 left"
    assert stored(name="phone") == ["none", "7"]


def test_a_system_check_warns_of_older_rows(emails):
    raw_contact(RAW)
    (warning,) = check_rows(None, ["default"])
    assert "app.Contact.email: 1 of 1 sampled rows are wrong" in warning.msg


def test_a_backfill_is_on_the_database_that_is_asked_for(emails):
    with mute():
        Contact.objects.using("other").create(email=RAW)
    assert run("backfill", "--database", "other") == (0, ["1 verified, 1 filled"])
    assert stored(using="other") == [NORMAL]


@pytest.mark.django_db(transaction=True)
def test_a_repair_normalizes_the_value_that_the_row_has_by_then(emails):
    """The second process has changed the row after the first one has read it."""
    old = raw_contact(RAW)
    (subject,) = declarations[0].subjects
    in_thread(lambda: Contact.objects.filter(pk=old.pk).update(email="eve@x.org"))
    subject.mend("default", [old.pk])
    assert stored() == ["eve@x.org"]


@pytest.mark.django_db(transaction=True)
def test_a_repair_locks_a_row_before_it_reads_it(emails):
    old = raw_contact(RAW)
    (subject,) = declarations[0].subjects
    sent = statements(lambda: subject.mend("default", [old.pk]))
    locking = r"SELECT .* FOR (NO KEY )?UPDATE" if connection.features.has_select_for_update else "BEGIN IMMEDIATE"
    reads = [sql for sql in sent if re.match(rf"SELECT|{locking}", sql)]
    assert re.match(locking, reads[0])


@pytest.mark.django_db(transaction=True)
def test_a_backfill_normalizes_all_rows_while_others_write(emails, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 10)
    old = [raw_contact(f" Old{number}") for number in range(60)]

    def write():
        for number, one in enumerate(old[::3]):
            Contact.objects.create(email=f" New{number}")
            Contact.objects.filter(pk=one.pk).update(name="x")

    at_once(write, lambda: run("backfill"), lambda: run("backfill"))
    assert [email for email in stored() if email != email.strip().lower()] == []
    assert Contact.objects.count() == 80


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    """The receiver that most answers show."""

    def lower_email(sender, instance, **kwargs):
        instance.email = instance.email.strip().lower()

    connect(pre_save, lower_email, sender=Contact)


def test_control_the_tutorials_receiver_sets_what_a_save_of_another_field_does_not_store(tutorial):
    one = raw_contact(RAW)
    assigned(one, name="Ada").save(update_fields=["name"])
    assert (one.email, stored()) == (NORMAL, [RAW])


@pytest.mark.parametrize("write", ["bulk_create", "bulk_create that ignores conflicts", "upsert", "proxy"])
def test_control_the_tutorials_receiver_misses_rows_that_are_inserted(tutorial, write):
    CREATIONS[write]()
    assert stored() == [RAW]


@pytest.mark.parametrize("write", ["update", "bulk_update", "proxy", "update of proxies", "upsert"])
def test_control_the_tutorials_receiver_misses_changes(tutorial, write):
    CHANGES[write](raw_contact("bob@x.org"))
    assert stored() == [RAW]


def test_control_with_the_tutorials_receiver_get_or_create_breaks(tutorial):
    Contact.objects.get_or_create(email=RAW)
    with pytest.raises(IntegrityError), transaction.atomic():
        Contact.objects.get_or_create(email=RAW)
