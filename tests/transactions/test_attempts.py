"""BeforeWrite(attempts=): a write that the database refuses is repeated, with another value."""

import copy
import pickle
import re
from contextlib import nullcontext

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import post_save, pre_save

from heliograph import BeforeWrite, changed, created, raw
from heliograph.signals import post_bulk_create, post_bulk_update
from tests.app.models import Member, MemberProxy, Saga, Story, Trainer
from tests.helpers.errors import MishapError, mishap
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db

in_autocommit = pytest.mark.django_db(transaction=True)


@pytest.fixture
def codes(receive):
    """Let new rows have the next of these codes: `refusals = codes("a", "b")` is the list of errors so far."""

    def connect(*codes, sender=Member, attempts=2, when=created, **options):
        refusals, left = [], [*codes]

        @receive(pre_save, sender=sender, bulk=True, when=when, delivery=BeforeWrite(attempts=attempts), **options)
        def choose(sender, batch, refused, **kwargs):
            refusals.append(refused)
            for instance in batch.sent_instances:
                instance.code = left.pop(0)

        return refusals

    return connect


@pytest.fixture(autouse=True)
def taken(db):
    Member.objects.bulk_create([Member(code="a"), Member(code="b")])


def stored(model=Member):
    return [*model.objects.exclude(code__in=["a", "b"]).order_by("pk").values_list("code", flat=True)]


def kinds(refusals):
    return [type(refused) for refused in refusals]


WRITES = {
    "save": lambda: Member.objects.create(),
    "save with a key": lambda: Member(pk=10**6).save(),
    "bulk_create": lambda: Member.objects.bulk_create([Member()]),
    "upsert": lambda: Member.objects.bulk_create(
        [Member(pk=10**6)],
        update_conflicts=True,
        update_fields=["name"],
        unique_fields=["pk"] if connection.features.supports_update_conflicts_with_target else None,
    ),
    "proxy": lambda: MemberProxy.objects.create(),
    "multi-table child": lambda: Trainer.objects.create(),
}
# MySQL and MariaDB update whatever row is in conflict, so an upsert is not refused.
REFUSED = [one for one in WRITES if one != "upsert" or connection.features.supports_update_conflicts_with_target]


@in_autocommit
@pytest.mark.parametrize("write", REFUSED)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_a_write_that_is_refused_is_repeated_with_another_value(codes, write, is_in_atomic):
    refusals = codes("a", "c", subclasses=True)
    with transaction.atomic() if is_in_atomic else nullcontext():
        WRITES[write]()
    assert kinds(refusals) == [type(None), IntegrityError]
    assert stored() == ["c"]


def test_a_write_that_is_accepted_is_made_once(codes):
    refusals = codes("c")
    Member.objects.create()
    assert (refusals, stored()) == ([None], ["c"])


def test_the_last_attempt_is_the_error(codes):
    refusals = codes("a", "b", "a", "c", attempts=3)
    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.create()
    assert kinds(refusals) == [type(None), IntegrityError, IntegrityError]
    assert stored() == []


def test_a_receiver_may_give_up(receive):
    seen = []

    @receive(pre_save, sender=Member, delivery=BeforeWrite(attempts=9))
    def choose(sender, batch, refused, **kwargs):
        seen.append(refused)
        if refused is not None:
            raise refused

    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        Member.objects.create(code="a")
    assert seen == [None, raised.value]


def test_receivers_are_called_as_often_as_each_asks_for(codes, receive):
    calls = []

    @receive(pre_save, sender=Member, delivery=BeforeWrite())
    def once(sender, batch, **kwargs):
        calls.append("once")

    @receive(pre_save, sender=Member, delivery=BeforeWrite(attempts=2))
    def twice(sender, batch, refused, **kwargs):
        calls.append("twice")

    codes("a", "b", "c", attempts=3)
    Member.objects.create()
    assert calls == ["once", "twice", "twice"]
    assert stored() == ["c"]


def test_other_errors_are_not_repeated(codes, receive):
    refusals = codes("c", "d")

    def fail(sender, **kwargs):
        raise MishapError

    receive(post_save, sender=Member)(fail)
    with mishap(), transaction.atomic():
        Member.objects.create()
    assert refusals == [None]


def test_a_receiver_of_the_write_gets_it_once_with_the_last_value(codes, receive):
    seen = []

    @receive(post_save, sender=Member)
    def saved(sender, instance, created, **kwargs):
        seen.append((instance.code, created))

    @receive(post_bulk_create, sender=Member)
    def inserted(sender, batch, **kwargs):
        seen.append([one.code for one in batch.created])

    codes("a", "c", "b", "d")
    Member.objects.create()
    Member.objects.bulk_create([Member()])
    assert seen == [("c", True), ["d"]]


def test_many_rows_are_repeated_together_also_in_several_statements(codes):
    codes("c", "d", "a", "e", "f", "g")
    made = Member.objects.bulk_create([Member() for _ in range(3)], batch_size=1)
    assert [one.code for one in made] == stored() == ["e", "f", "g"]
    assert None not in [one.pk for one in made]


def test_rows_that_are_left_out_are_counted_once(receive):
    batches = []

    @receive(post_bulk_create, sender=Story)
    def inserted(sender, batch, **kwargs):
        batches.append(len(batch.created) + len(batch.unknown))

    @receive(pre_save, sender=Story, bulk=True, when=created, delivery=BeforeWrite(attempts=2))
    def choose(sender, batch, refused, **kwargs):
        for one in batch.sent_instances:
            one.views = None if refused is None and one.slug == "b" else 0

    Story.objects.bulk_create([Story(slug="a"), Story(slug="b")], ignore_conflicts=True, batch_size=1)
    assert batches == [Story.objects.count()]


def test_a_bulk_update_is_repeated(receive):
    one, other = Member.objects.order_by("pk")
    seen = []

    @receive(pre_save, sender=Member, bulk=True, when=changed("code"), delivery=BeforeWrite(attempts=2))
    def choose(sender, batch, refused, **kwargs):
        seen.append(type(refused))
        if refused is not None:
            batch.sent_instances[0].code = "c"

    @receive(post_bulk_update, sender=Member)
    def updated(sender, batch, **kwargs):
        seen.append(batch.changes("code"))

    one.code = other.code
    Member.objects.bulk_update([one], ["code"])
    assert seen == [type(None), IntegrityError, [(one.pk, "a", "c")]]
    assert {*Member.objects.values_list("code", flat=True)} == {"b", "c"}


def test_an_update_is_not_repeated(receive):
    seen = []

    @receive(pre_save, sender=Member, bulk=True, when=changed("code"), delivery=BeforeWrite(attempts=2))
    def choose(sender, batch, refused, **kwargs):
        seen.append(refused)

    with pytest.raises(IntegrityError), transaction.atomic():
        Member.objects.update(code="c")
    assert seen == [None]


# --- tables of parents --------------------------------------------------------------------------------------------


@in_autocommit
@pytest.mark.parametrize("name", ["slug", "shelf"])
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_each_table_of_a_child_by_inheritance_is_repeated_by_itself(receive, name, is_in_atomic):
    Saga.objects.create(slug="a", shelf="a")
    seen = []

    @receive(pre_save, sender=Saga, delivery=BeforeWrite(attempts=2))
    @receive(pre_save, sender=Story, subclasses=True, delivery=BeforeWrite(attempts=2))
    def choose(sender, batch, refused, **kwargs):
        seen.append(type(refused))
        setattr(batch.sent_instances[0], name, "a" if refused is None else "b")

    with transaction.atomic() if is_in_atomic else nullcontext():
        Saga.objects.create()
    assert [*Saga.objects.order_by("pk").values_list(name, flat=True)] == ["a", "b"]
    assert seen == [type(None), type(None), IntegrityError, IntegrityError]


def test_an_error_ends_the_save_and_the_next_one_begins_anew(codes):
    refusals = codes("a", "b", "c")
    member = Member()
    with pytest.raises(IntegrityError), transaction.atomic():
        member.save()
    member.save()
    assert kinds(refusals) == [type(None), IntegrityError, type(None)]
    assert stored() == ["c"]


def test_copies_that_a_receiver_makes_are_saved_by_themselves(receive):
    made = []

    @receive(pre_save, sender=Member, when=created & ~raw, delivery=BeforeWrite(attempts=2))
    def choose(sender, batch, refused, **kwargs):
        (member,) = batch.sent_instances
        if refused is not None:
            made.extend([copy.copy(member), pickle.loads(pickle.dumps(member))])
            member.code = "c"

    Member.objects.create(code="a")
    for number, one in enumerate(made):
        one.code = f"d{number}"
        one.save()
    assert stored() == ["c", "d0", "d1"]


# --- what it costs ------------------------------------------------------------------------------------------------


@in_autocommit
def test_a_savepoint_is_made_only_if_the_receiver_is_called(codes):
    codes("c")
    assert [one for one in verbs(Member.objects.create) if one != "SELECT"] == [
        *("BEGIN", "SAVEPOINT", "INSERT", "RELEASE", "COMMIT"),
    ]
    member = Member.objects.last()
    assert verbs(member.save) == ["BEGIN", "UPDATE", "COMMIT"]


@in_autocommit
def test_an_update_makes_its_one_statement_if_only_new_rows_are_received(codes):
    refusals = codes()
    assert verbs(lambda: Member.objects.update(name="x")) == ["UPDATE"]
    assert refusals == []


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [0, -1, True, "2", None, 1.5])
def test_a_number_of_attempts_is_one_or_more(attempts):
    with pytest.raises(ValueError, match=re.escape(f"takes a number, 1 or more, not {attempts!r}.")):
        BeforeWrite(attempts=attempts)


def test_a_receiver_that_asks_for_the_refusal_needs_attempts(connect):
    def choose(sender, batch, refused, **kwargs):
        pass

    with pytest.raises(TypeError, match="asks for 'refused'"):
        connect(pre_save, choose, sender=Member, delivery=BeforeWrite())


def test_a_policy_reads_as_it_was_written():
    assert [repr(BeforeWrite()), repr(BeforeWrite(attempts=2))] == ["BeforeWrite()", "BeforeWrite(attempts=2)"]
