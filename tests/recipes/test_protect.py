"""Protected rows: no kind of deletion takes one, beside the receiver that tutorials write."""

import pickle

import pytest
from django.db import connection, transaction
from django.db.models import ProtectedError, Q
from django.db.models.signals import pre_delete

from heliograph import has, mute, trace
from heliograph.recipes import ProtectedRowError, protect
from heliograph.recipes.declarations import declarations
from heliograph.signals import pre_bulk_delete
from tests.app.models import Audiobook, Essay, Node, Novel, Reading, Remark, Reprint, Seat, Writer
from tests.helpers.stale_copies import elsewhere
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(databases=["default", "other"])

in_autocommit = pytest.mark.django_db(transaction=True)

FEATURED = {"a Q": Q(name="Featured"), "a function": lambda novel: novel.name == "Featured"}


@pytest.fixture(params=FEATURED)
def featured(request):
    """Protect novels that are named so."""
    return protect(Novel, when=FEATURED[request.param], message="Featured novels stay.")


def novels(*names, **values):
    return [Novel.objects.create(name=name, **values) for name in names]


def names():
    return sorted(Novel.objects.values_list("name", flat=True))


def refused(delete):
    """Return the text of the error by which a deletion is refused."""
    with pytest.raises(ProtectedRowError) as caught, transaction.atomic():
        delete()
    return str(caught.value)


# --- each kind of deletion ----------------------------------------------------------------------------------------


def of_a_writer(novel):
    return Writer.objects.get(novels=novel)


DELETIONS = {
    "instance": lambda novel: novel.delete(),
    "query": lambda novel: Novel.objects.all().delete(),
    "related manager": lambda novel: of_a_writer(novel).novels.all().delete(),
    "proxy": lambda novel: Reprint.objects.get(pk=novel.pk).delete(),
    "query of a proxy": lambda novel: Reprint.objects.all().delete(),
    "cascade": lambda novel: of_a_writer(novel).delete(),
    "query with a cascade": lambda novel: Writer.objects.all().delete(),
}


@pytest.mark.parametrize("name", DELETIONS)
def test_r16_each_kind_of_deletion_is_refused_and_deletes_nothing(featured, name):
    writer = Writer.objects.create(name="Ada")
    novel, _ = novels("Featured", "Other", writer=writer)
    text = refused(lambda: DELETIONS[name](novel))
    kind = "Reprint" if "proxy" in name else "Novel"
    assert text == f"app.{kind} {novel.pk} ({kind} object ({novel.pk})) cannot be deleted. Featured novels stay."
    assert (names(), Writer.objects.count()) == (["Featured", "Other"], 1)


@pytest.mark.parametrize("name", DELETIONS)
def test_rows_for_which_it_does_not_hold_are_deleted_as_ever(featured, name):
    (novel,) = novels("Other", writer=Writer.objects.create(name="Ada"))
    DELETIONS[name](novel)
    assert names() == []


def test_a_child_by_inheritance_is_protected_with_its_parent(featured):
    audiobook = Audiobook.objects.create(name="Featured")
    refused(audiobook.delete)
    assert refused(Audiobook.objects.all().delete).startswith("app.Novel ")
    assert (names(), Audiobook.objects.count()) == (["Featured"], 1)


def test_a_child_that_leaves_its_parent_is_deleted(featured):
    Audiobook.objects.create(name="Featured").delete(keep_parents=True)
    assert (names(), Audiobook.objects.count()) == (["Featured"], 0)


def test_a_protected_child_keeps_its_parent():
    protect(Audiobook, when=Q(minutes__gt=60))
    audiobook = Audiobook.objects.create(name="Long", minutes=90)
    refused(Novel.objects.get(pk=audiobook.pk).delete)
    assert (names(), Audiobook.objects.count()) == (["Long"], 1)


RELATIONS = {
    "clear": lambda novel, reader: novel.readers.clear(),
    "remove": lambda novel, reader: novel.readers.remove(reader),
    "set": lambda novel, reader: novel.readers.set([]),
    "the other side": lambda novel, reader: reader.read.clear(),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_rows_of_a_relation_are_not_removed(name):
    protect(Reading, when=lambda reading: reading.stars == 5)
    (novel,), reader = novels("Any"), Writer.objects.create(name="Ada")
    reading = Reading.objects.create(novel=novel, reader=reader, stars=5)
    refused(lambda: RELATIONS[name](novel, reader))
    assert Reading.objects.get() == reading
    Reading.objects.update(stars=1)
    RELATIONS[name](novel, reader)
    assert not Reading.objects.exists()


def test_a_generic_relation_is_not_cleared():
    protect(Remark, when=Q(text="kept"))
    essay = Essay.objects.create(name="Any")
    essay.remarks.create(text="kept")
    refused(essay.remarks.clear)
    refused(essay.delete)
    assert (Remark.objects.count(), Essay.objects.count()) == (1, 1)


def test_descendants_of_its_own_model_keep_their_ancestor():
    protect(Node, when=lambda node: node.children_count == 7)
    root = Node.objects.create()
    middle = Node.objects.create(parent=root)
    Node.objects.create(parent=middle, children_count=7)
    refused(root.delete)
    refused(middle.delete)
    assert Node.objects.count() == 3


def test_a_relation_is_asked_while_it_is_still_there():
    protect(Novel, when=lambda novel: novel.writer.name == "Ada")
    protect(Writer, when=Q(novels__name="Alone") | Q(novels__name="Again"))
    ada, bea = (Writer.objects.create(name=name) for name in ("Ada", "Bea"))
    novels("One", writer=ada)
    novels("Alone", "Again", writer=bea)
    assert "app.Novel" in refused(ada.delete)
    assert refused(bea.delete).count("app.Writer") == 1
    assert Novel.objects.count() == 3


def test_without_a_condition_no_row_is_deleted():
    declaration = protect(Seat)
    seat = Seat.objects.create(row=1, number=2)
    text = refused(Seat.objects.all().delete)
    assert text == f"app.Seat (1, 2) ({seat}) cannot be deleted. It is protected at {declaration.line}."
    refused(seat.delete)
    assert Seat.objects.count() == 1


def test_each_database_is_asked_for_its_own_rows(featured):
    (novel,) = novels("Other")
    Novel.objects.using("other").create(pk=novel.pk, name="Featured")
    with pytest.raises(ProtectedRowError), transaction.atomic("other"):
        Novel.objects.using("other").all().delete()
    novel.delete()
    assert (names(), Novel.objects.using("other").count()) == ([], 1)


@pytest.mark.django_db(transaction=True)
async def test_async_deletions_are_refused(featured, async_database):
    novel = await Novel.objects.acreate(name="Featured")
    with pytest.raises(ProtectedRowError):
        await novel.adelete()
    with pytest.raises(ProtectedRowError):
        await Novel.objects.all().adelete()
    assert await Novel.objects.acount() == 1


# --- values of the database ---------------------------------------------------------------------------------------


def test_a_copy_that_is_older_than_its_row_does_not_count(featured):
    now_featured, no_longer = novels("Other", "Featured")
    elsewhere(now_featured, name="Featured")
    elsewhere(no_longer, name="Other")
    refused(now_featured.delete)
    no_longer.delete()
    assert names() == ["Featured"]


def test_a_copy_that_was_changed_in_memory_does_not_count(featured):
    (novel,) = novels("Featured")
    novel.name = "Other"
    refused(novel.delete)
    assert names() == ["Featured"]


@in_autocommit
def test_the_rows_are_locked_before_the_function_is_asked():
    novels("Other")
    protect(Novel, when=lambda novel: Writer.objects.exists())
    sent = statements(Novel.objects.all().delete)
    (asked,) = [at for at, sql in enumerate(sent) if "app_writer" in sql]
    lock = "FOR UPDATE" if connection.features.has_select_for_update else "BEGIN IMMEDIATE"
    assert [at < asked for at, sql in enumerate(sent) if lock in sql] == [True]


@in_autocommit
def test_a_refused_deletion_in_autocommit_leaves_the_instance_as_it_was(featured):
    (novel,) = novels("Featured")
    key = novel.pk
    with pytest.raises(ProtectedRowError):
        novel.delete()
    assert (novel.pk, names()) == (key, ["Featured"])


@pytest.mark.parametrize("number", [2, 200])
def test_one_query_asks_for_all_rows_of_a_write(number):
    Novel.objects.bulk_create(Novel(name="Other") for _ in range(number))
    protect(Novel, when=Q(name="Featured"))
    sent = [sql for sql in statements(Novel.objects.all().delete) if "Featured" in sql]
    assert len(sent) == 1


# --- the error ----------------------------------------------------------------------------------------------------


def test_r16_the_error_is_the_one_of_a_protected_foreign_key_with_the_rows(featured):
    found = novels(*["Featured"] * 5)
    with pytest.raises(ProtectedError) as caught, transaction.atomic():
        Novel.objects.all().delete()
    assert caught.value.protected_objects == {*found}
    assert str(caught.value).endswith(" and 2 more cannot be deleted. Featured novels stay.")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# --- declaring ----------------------------------------------------------------------------------------------------

MISTAKES = {
    "unknown field": (
        lambda: protect(Novel, when=Q(nam="x")),
        r"^protect\(app.Novel, when=<Q: \(AND: \('nam', 'x'\)\)>\): Cannot resolve keyword 'nam' into field. Choices",
    ),
    "proxy": (
        lambda: protect(Reprint),
        r"^protect\(app.Reprint\): app.Reprint is a proxy. Protect the rows of its table: protect\('app.Novel'\).$",
    ),
    "condition": (
        lambda: protect(Novel, when=has(name="x")),
        r": when= is a Q\(...\) or a function of the row, such as lambda row: row.is_featured.$",
    ),
    "value": (lambda: protect(Novel, when=True), r"when=True\): when= is a Q"),
}


@pytest.mark.parametrize(("declare", "text"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_work_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=text):
        declare()
    assert declarations == []


def test_a_model_may_be_named():
    protect("app.Novel")
    refused(novels("Any")[0].delete)


def test_it_shows_as_it_was_written():
    def is_featured(novel):
        return True

    declaration = protect(Novel, when=is_featured, message="No.")
    assert declaration.text.endswith("is_featured, message='No.')")
    assert declaration.text.startswith("protect(app.Novel, when=test_it_shows")


def test_disconnected_it_refuses_nothing_and_leaves_no_receiver(featured):
    assert featured.disconnect()
    assert not featured.disconnect()
    assert not pre_delete.has_listeners(Novel)
    assert not pre_bulk_delete.has_listeners(Novel)
    novels("Featured")[0].delete()
    assert names() == []


def test_muted_it_refuses_nothing(featured):
    with mute(Novel):
        novels("Featured")[0].delete()
        novels("Featured")
        Novel.objects.all().delete()
    assert names() == []


def test_a_trace_shows_it_by_its_name(featured):
    novels("Other")
    with trace() as flow:
        Novel.objects.all().delete()
    assert "protect(app.Novel)" in str(flow)


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    """Connect what tutorials write: it looks at the instance that is handed to it."""

    def keep_featured(sender, instance, **kwargs):
        if instance.name == "Featured":
            raise ProtectedError("Featured novels stay.", {instance})

    connect(pre_delete, keep_featured, sender=Novel)


@pytest.mark.usefixtures("tutorial")
class TestTutorial:
    def test_a_copy_that_is_older_than_its_row_is_deleted(self):
        (novel,) = novels("Other")
        elsewhere(novel, name="Featured")
        novel.delete()
        assert names() == []

    def test_a_copy_that_was_changed_in_memory_is_deleted(self):
        (novel,) = novels("Featured")
        novel.name = "Other"
        novel.delete()
        assert names() == []

    def test_a_proxy_is_deleted(self):
        novels("Featured")
        Reprint.objects.get().delete()
        assert names() == []
