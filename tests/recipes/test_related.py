"""Related rows: one for each row, in its transaction, however it is written, beside the receivers of tutorials."""

import re
from contextlib import suppress
from functools import partial

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import IntegrityError, NotSupportedError, connection, transaction
from django.db.models import Model
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from heliograph import mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import ensure_related, subjects
from heliograph.recipes.declarations import declarations
from heliograph.recipes.related import SubjectOfRelation
from tests.app.models import (
    Audiobook,
    Badge,
    Diary,
    Friendship,
    Member,
    MemberProxy,
    Novel,
    Profile,
    Trainer,
)
from tests.helpers.patched import patched_methods
from tests.helpers.recipes_command import run
from tests.helpers.threads import at_once, in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def profiles():
    """Let each member have a profile."""
    return ensure_related(Profile, to="member", defaults={"locale": "en"})


def without_profile(using="default"):
    return [*Member.objects.using(using).filter(profile=None).order_by("pk")]


def members(count):
    return [Member() for _ in range(count)]


def inserts(function):
    """Return the statements that insert profiles while a function runs."""
    with CaptureQueriesContext(connection) as captured:
        function()
    return [one["sql"] for one in captured if re.match("INSERT INTO .app_profile", one["sql"])]


# --- each kind of write -------------------------------------------------------------------------------------------

WRITES = {
    "create": lambda: Member.objects.create(),
    "save": lambda: Member().save(),
    "save with a key": lambda: Member(pk=7).save(),
    "get_or_create": lambda: Member.objects.get_or_create(name="Ada"),
    "update_or_create": lambda: Member.objects.update_or_create(name="Ada"),
    "bulk_create": lambda: Member.objects.bulk_create(members(3)),
    "bulk_create in batches": lambda: Member.objects.bulk_create(members(3), batch_size=2),
    "bulk_create that ignores conflicts": lambda: Member.objects.bulk_create(members(2), ignore_conflicts=True),
    "proxy": lambda: MemberProxy.objects.create(),
    "bulk_create of proxies": lambda: MemberProxy.objects.bulk_create([MemberProxy(), MemberProxy()]),
    "multi-table child": lambda: Trainer.objects.create(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_each_new_row_has_a_related_row_as_soon_as_it_is_written(profiles, write, is_in_atomic):
    if is_in_atomic:
        with transaction.atomic():
            WRITES[write]()
            assert without_profile() == []
    else:
        WRITES[write]()
    assert without_profile() == []
    assert Profile.objects.count() == Member.objects.count() > 0
    assert {*Profile.objects.values_list("locale", flat=True)} == {"en"}


def test_a_related_row_is_reached_from_the_new_row(profiles):
    member = Member()
    assert not hasattr(member, "profile")  # which Django remembers
    member.save()
    assert member.profile.pk is not None
    assert member.profile == Profile.objects.get()


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
async def test_a_row_that_async_code_creates_has_a_related_row(profiles, async_database):
    member = await Member.objects.acreate()
    await Member.objects.abulk_create(members(2))
    assert await Profile.objects.acount() == 3
    assert (await Profile.objects.aget(member=member)).locale == "en"


def test_r9_a_bulk_create_inserts_the_related_rows_by_one_statement(profiles):
    assert len(inserts(lambda: Member.objects.bulk_create(members(50)))) == 1


def test_a_row_that_is_saved_again_keeps_its_related_row(profiles):
    member = Member.objects.create()
    Profile.objects.update(locale="fr")
    member.save()
    Member.objects.update(name="x")
    Member.objects.bulk_update([member], ["name"])
    assert [one.locale for one in Profile.objects.all()] == ["fr"]


def test_a_related_row_that_is_there_already_is_kept(profiles):
    """A child by inheritance may be created for a parent that exists."""
    member = Member.objects.create()
    Trainer(member_ptr=member, name=member.name, code=member.code).save()
    assert Profile.objects.get().member_id == member.pk


def test_r9_rows_of_another_database_have_theirs_there(profiles):
    Member.objects.using("other").create()
    Member.objects.using("other").bulk_create(members(2))
    assert (Profile.objects.using("other").count(), Profile.objects.count()) == (3, 0)


def test_defaults_may_be_a_function_of_the_row():
    ensure_related(Profile, to="member", defaults=lambda member: {"locale": member.name})
    Member.objects.bulk_create([Member(name="fr"), Member(name="it")])
    assert sorted(Profile.objects.values_list("member__name", "locale")) == [("fr", "fr"), ("it", "it")]


def test_without_defaults_the_related_row_has_those_of_its_model():
    ensure_related("app.Profile", to="member")
    Member.objects.create()
    assert Profile.objects.get().locale == "de"


def test_a_key_that_is_no_primary_key_may_be_referred_to():
    ensure_related(Badge, to="member")
    Member.objects.bulk_create([Member(code="a"), Member(code="b")])
    assert sorted(Badge.objects.values_list("member_id", flat=True)) == ["a", "b"]


def test_related_rows_may_have_related_rows(profiles):
    ensure_related(Diary, to="profile")
    Member.objects.bulk_create(members(3))
    Member.objects.create()
    assert Diary.objects.filter(profile__member__isnull=False).count() == 4


def test_a_receiver_of_the_related_rows_finds_the_row_without_a_query(profiles, connect):
    names = []
    connect(post_save, lambda sender, instance, **kwargs: names.append(instance.member.name), sender=Profile, bulk=True)
    with CaptureQueriesContext(connection) as captured:
        Member.objects.bulk_create([Member(name="Ada"), Member(name="Bob")])
    assert names == ["Ada", "Bob"]
    assert not [one for one in captured if one["sql"].startswith("SELECT")]


# --- what is undone together --------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["create", "bulk_create", "multi-table child"])
@pytest.mark.parametrize("is_in_test", [True, False])
def test_values_that_are_wrong_undo_the_row_in_autocommit(request, write, is_in_test):
    request.getfixturevalue("db" if is_in_test else "transactional_db")
    ensure_related(Profile, to="member", defaults={"locale": None})
    with pytest.raises(IntegrityError):
        WRITES[write]()
    assert (Member.objects.count(), Profile.objects.count()) == (0, 0)


def test_a_value_that_another_related_row_has_is_an_error_and_not_ignored():
    ensure_related(Profile, to="member", defaults={"card": "1"})
    Member.objects.create()
    with pytest.raises(IntegrityError):
        Member.objects.create()
    assert (Member.objects.count(), without_profile()) == (1, [])


def test_a_rolled_back_row_has_no_related_row(profiles):
    with transaction.atomic():
        Member.objects.create()
        with suppress(ValueError), transaction.atomic():
            Member.objects.bulk_create(members(2))
            raise ValueError
    assert (Member.objects.count(), Profile.objects.count()) == (1, 1)


def test_r9_a_fixture_brings_its_own_related_rows(profiles, tmp_path):
    member = Member.objects.create(name="Ada")
    fixture = tmp_path / "members.json"
    fixture.write_text(serializers.serialize("json", [member, member.profile]))
    Member.objects.all().delete()
    call_command("loaddata", fixture, verbosity=0)
    assert Profile.objects.get().member.name == "Ada"


def test_a_database_that_returns_no_keys_is_an_error_that_says_so(profiles, monkeypatch):
    monkeypatch.setattr(type(connection.features), "can_return_rows_from_bulk_insert", False)
    ensure_related(Badge, to="member")  # which refers to a key that is known
    with pytest.raises(NotSupportedError) as raised:
        Member.objects.bulk_create(members(2))
    assert str(raised.value) == (
        "ensure_related(app.Profile.member): the database 'default' did not return the keys of the rows"
        " that bulk_create() inserted into app.Member, so nothing can refer to them. Save the rows one by one, or give"
        " them keys."
    )
    assert not Member.objects.exists()
    Member.objects.bulk_create([Member(pk=5), Member(pk=6)])
    assert Profile.objects.count() == Badge.objects.count() == 2


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_patch_and_no_receiver(no_kept_error):
    before = patched_methods(), [*post_save.receivers]
    declaration = ensure_related(Profile, to="member")
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), post_save.receivers) == before
    Member.objects.create()
    assert not Profile.objects.exists()


def test_r18_muted_it_does_nothing(profiles):
    with mute(Member):
        Member.objects.create()
        Member.objects.bulk_create(members(1))
    assert not Profile.objects.exists()


def test_r18_it_is_seen_by_a_trace(profiles):
    with trace() as traced:
        Member.objects.create()
    names = [one.receiver.__name__ for one in traced.events if isinstance(one, Called)]
    assert "ensure_related(app.Profile.member)" in names


def test_a_declaration_reads_as_it_was_written():
    assert ensure_related(Profile, to="member").text == "ensure_related(app.Profile, to='member')"
    text = ensure_related(Diary, "profile", lambda profile: {}).text
    assert text.startswith("ensure_related(app.Diary, to='profile', defaults=test_a_declaration_reads")


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(ensure_related, Profile, to="membr"),
            "ensure_related(app.Profile, to='membr'): app.Profile has no field 'membr' with a column."
            " Did you mean 'member'?",
        ),
        (
            partial(ensure_related, Profile, to="locale"),
            "ensure_related(app.Profile, to='locale'): app.Profile.locale is a CharField, and no ForeignKey.",
        ),
        (
            partial(ensure_related, Novel, to="writer"),
            "ensure_related(app.Novel, to='writer'): several rows of app.Novel may refer to one row of app.Writer, so"
            " two transactions might both insert one. Make 'writer' a OneToOneField, or add"
            " UniqueConstraint(fields=['writer'], name=...).",
        ),
        (
            partial(ensure_related, Audiobook, to="writer"),
            "ensure_related(app.Audiobook, to='writer'): app.Audiobook is a multi-table child, whose rows bulk_create()"
            " cannot insert. Let it have a OneToOneField to its parent in place of inheriting.",
        ),
        (
            partial(ensure_related, Friendship, to="friend"),
            "ensure_related(app.Friendship, to='friend'): each row of app.Friendship would need another one, without"
            " end.",
        ),
        (
            partial(ensure_related, Profile, to="member", defaults={"local": "en"}),
            "ensure_related(app.Profile, to='member', defaults={'local': 'en'}): app.Profile has no field 'local' with"
            " a column. Did you mean 'locale'?",
        ),
        (
            partial(ensure_related, Profile, to="member", defaults={"member": 5}),
            "'member' is the row itself. Leave it out of defaults.",
        ),
        (
            partial(ensure_related, Profile, to="member", defaults="en"),
            "defaults= takes a mapping, or a function of the row, not 'en'.",
        ),
        (partial(ensure_related, Model, to="member"), "ensure_related() takes a model, or its name"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


# --- rows that are older ------------------------------------------------------------------------------------------


def test_r9_verify_names_the_rows_that_have_none_and_repair_makes_them():
    old = Member.objects.create()
    ensure_related(Profile, to="member", defaults={"locale": "en"})
    Member.objects.create()
    line = f"app.Profile.member of {old.pk} is missing, not a row"
    assert run("verify") == (1, [line, "1 verified, 1 wrong"])
    assert run("verify", "--repair") == (0, [f"{line}, and is mended", "1 verified, 1 mended"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert old.profile.locale == "en"


def test_r9_an_interrupted_backfill_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 2)
    old = Member.objects.bulk_create(members(6))
    ensure_related(Profile, to="member")
    mend, mended = SubjectOfRelation.mend, []

    def interrupted(subject, using, keys):
        if mended:
            raise KeyboardInterrupt
        mended.append(keys)
        mend(subject, using, keys)

    with monkeypatch.context() as patch:
        patch.setattr(SubjectOfRelation, "mend", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run("backfill")
    assert Profile.objects.count() == 2
    assert run("backfill", "--after", f"app.Profile.member:{old[1].pk}") == (0, ["1 verified, 4 filled"])
    assert without_profile() == []


def test_a_backfill_is_on_the_database_that_is_asked_for():
    Member.objects.using("other").create()
    ensure_related(Profile, to="member")
    assert run("backfill", "--database", "other") == (0, ["1 verified, 1 filled"])
    assert without_profile("other") == []


def test_rows_are_found_by_a_key_that_is_no_primary_key():
    Member.objects.create(code="a")
    ensure_related(Badge, to="member")
    assert run("backfill") == (0, ["1 verified, 1 filled"])
    assert run("backfill") == (0, ["1 verified, 0 filled"])


# --- at the same time ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_r9_a_backfill_fills_all_rows_while_others_are_added(monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 20)
    Member.objects.bulk_create(members(200))
    ensure_related(Profile, to="member", defaults={"locale": "en"})

    def add():
        for _ in range(10):
            Member.objects.bulk_create(members(3))
            Member.objects.create()

    at_once(add, lambda: run("backfill"), lambda: run("backfill"))
    assert without_profile() == []
    assert Profile.objects.count() == Member.objects.count() == 240


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_r9_two_that_mend_at_once_make_one_row_each():
    """The second one has found the rows missing before the first one inserts them."""
    old = Member.objects.bulk_create(members(5))
    ensure_related(Profile, to="member")
    (subject,) = declarations[0].subjects
    keys = [one.pk for one in old]
    at_once(*[lambda: subject.mend("default", keys)] * 4)
    assert Profile.objects.count() == 5


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_a_row_that_others_insert_after_it_was_missed_is_no_error(profiles):
    """A transaction that has found a row missing inserts it when another one has done so."""
    with mute(Member):
        first, last = Member.objects.bulk_create(members(2))
    relation = declarations[0].subjects[0].relation
    with transaction.atomic():
        found = [first, last]
        in_thread(lambda: Profile.objects.create(member_id=first.pk, locale="it"))
        relation.create(found, "default")
    assert sorted(Profile.objects.values_list("member_id", "locale")) == [(first.pk, "it"), (last.pk, "en")]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_a_row_that_is_deleted_before_it_is_mended_is_left_out():
    gone, there = Member.objects.bulk_create(members(2))
    ensure_related(Profile, to="member")
    (subject,) = declarations[0].subjects
    keys = [gone.pk, there.pk]
    gone.delete()
    subject.mend("default", keys)
    assert Profile.objects.get().member_id == there.pk


# --- the receivers of tutorials -----------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    """The two receivers that most tutorials show."""

    def create_profile(sender, instance, created, **kwargs):
        if created:
            Profile.objects.create(member=instance)

    def save_profile(sender, instance, **kwargs):
        instance.profile.save()

    connect(post_save, create_profile, sender=Member)
    connect(post_save, save_profile, sender=Member)


def test_control_the_tutorials_receivers_miss_a_bulk_create(tutorial):
    Member.objects.bulk_create(members(2))
    assert len(without_profile()) == 2


def test_control_the_tutorials_receivers_break_loaddata(tutorial, tmp_path):
    member = Member.objects.create()
    fixture = tmp_path / "members.json"
    fixture.write_text(serializers.serialize("json", [member, Profile(pk=member.profile.pk + 1000, member=member)]))
    Member.objects.all().delete()
    with pytest.raises(IntegrityError):
        call_command("loaddata", fixture, verbosity=0)


def test_control_the_tutorials_receivers_break_the_save_of_a_row_that_is_older(tutorial):
    (old,) = Member.objects.bulk_create(members(1))
    with pytest.raises(Member.profile.RelatedObjectDoesNotExist):
        old.save()


def test_control_the_tutorials_receivers_write_back_a_stale_profile(tutorial):
    member = Member.objects.create()
    assert member.profile.locale == "de"
    Profile.objects.update(locale="fr")
    member.save()
    assert Profile.objects.get().locale == "de"


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_control_the_tutorials_receivers_leave_a_row_without_a_profile_if_they_fail(connect):
    def create_profile(sender, instance, created, **kwargs):
        Profile.objects.create(member=instance, locale=None)

    connect(post_save, create_profile, sender=Member)
    with pytest.raises(IntegrityError):
        Member.objects.create()
    assert len(without_profile()) == 1


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_control_two_that_look_for_a_missing_row_and_create_it_break():
    """Without a unique key there would be two rows; with one, the second transaction fails."""
    (member,) = Member.objects.bulk_create(members(1))
    assert not Profile.objects.filter(member=member).exists()
    in_thread(lambda: Profile.objects.create(member_id=member.pk))
    with pytest.raises(IntegrityError):
        Profile.objects.create(member=member)
