"""Search index: documents follow the rows, whatever workers do at the same time, beside the receiver of tutorials."""

import re
from contextlib import suppress
from functools import partial
from uuid import uuid4

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import transaction
from django.db.models import F, Q
from django.db.models.signals import post_delete, post_save

from heliograph import mute, trace
from heliograph.dispatch import Called
from heliograph.outbox import Again, Dead, Discarded, Succeeded, drain
from heliograph.outbox.checks import check_names
from heliograph.outbox.models import Delivery
from heliograph.recipes import indexing, search_index, subjects
from heliograph.recipes.declarations import check_declarations, check_rows, declarations
from tests.app.models import Account, Article, Audiobook, Novel, Reissue, Reprint, Review, Seat, Voucher, Writer
from tests.helpers.attempts import at_once as retry_at_once
from tests.helpers.attempts import types, wait_over
from tests.helpers.indexes import Index, ListedIndex
from tests.helpers.patched import patched_methods
from tests.helpers.recipes_command import run
from tests.helpers.threads import at_once, in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"])

committed = pytest.mark.django_db(databases=["default", "other"], transaction=True)


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def articles(index):
    """Let articles with words be in an index, with their authors."""
    return search_index(Article, ["title", "author.name"], when=Q(words__gt=0), into=index)


def article(title="a", **values):
    return Article.objects.create(**{"title": title, "words": 1, **values})


def titles(index):
    return sorted(index.values("title"))


def named(title):
    return Article.objects.filter(title=title)


def changed_copy():
    """Return a copy of the article "a" that has another title."""
    copy = named("a").get()
    copy.title = "b"
    return copy


# --- each kind of write -------------------------------------------------------------------------------------------

WRITES = {
    "create": lambda: article("b"),
    "save": lambda: Article(title="b", words=1).save(),
    "bulk_create": lambda: Article.objects.bulk_create([Article(title="b", words=1)]),
    "update": lambda: named("a").update(title="b"),
    "update of what the condition asks": lambda: named("draft").update(title="b", words=F("words") + 1),
    "bulk_update": lambda: Article.objects.bulk_update([changed_copy()], ["title"]),
    "save with update_fields": lambda: changed_copy().save(update_fields=["title"]),
    "update_or_create": lambda: Article.objects.update_or_create({"title": "b"}, title="a"),
    "delete": lambda: named("a").get().delete(),
    "delete of a query": lambda: named("a").delete(),
    "row that is made a draft": lambda: named("a").update(words=0),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_r12_the_index_has_what_each_kind_of_write_has_left(articles, index, write, is_in_atomic):
    article("a")
    article("draft", words=0)
    drain()
    assert titles(index) == ["a"]
    if is_in_atomic:
        with transaction.atomic():
            WRITES[write]()
    else:
        WRITES[write]()
    drain()
    assert titles(index) == sorted(Article.objects.filter(words__gt=0).values_list("title", flat=True))
    assert titles(index) != ["a"]


def test_a_document_has_the_values_that_were_named(articles, index):
    one = article("Signals", author=Writer.objects.create(name="Ada"))
    drain()
    assert index.documents == {one.pk: {"title": "Signals", "author.name": "Ada"}}


def test_r12_a_row_that_is_created_changed_and_deleted_in_one_transaction_is_nothing(articles, index):
    with transaction.atomic():
        one = article()
        one.title = "b"
        one.save()
        one.delete()
    assert (drain(), index.writes) == ([], [])


def test_r12_a_transaction_is_one_delivery(articles, index):
    with transaction.atomic():
        one, _ = article("a"), article("b")
        one.title = "c"
        one.save()
        Article.objects.bulk_create([Article(title="d", words=1)])
    assert len(drain()) == len(index.writes) == 1
    assert titles(index) == ["b", "c", "d"]


def test_a_rolled_back_row_is_not_indexed(articles, index):
    with suppress(ValueError), transaction.atomic():
        article("a")
        raise ValueError
    with transaction.atomic():
        article("b")
        with suppress(ValueError), transaction.atomic():
            article("c")
            raise ValueError
    drain()
    assert titles(index) == ["b"]


def test_a_write_of_other_fields_is_no_delivery(articles):
    one = article()
    drain()
    one.save(update_fields=["slug"])
    Article.objects.update(slug="x")
    assert drain() == []


def test_a_stale_copy_that_writes_an_old_title_back_is_indexed(articles, index):
    one = article("a")
    Article.objects.update(title="b")
    drain()
    one.save()  # which has not changed it
    drain()
    assert titles(index) == ["a"]


def test_rows_of_a_fixture_are_indexed(articles, index, tmp_path):
    with mute(Article):
        one = article("a")
    fixture = tmp_path / "articles.json"
    fixture.write_text(serializers.serialize("json", [one]))
    call_command("loaddata", fixture, verbosity=0)
    drain()
    assert titles(index) == ["a"]


def test_a_row_whose_key_was_given_as_text_is_indexed(articles, index):
    Article.objects.create(pk="7", title="a", words=1)
    Article.objects.bulk_create([Article(pk="8", title="b", words=1)])
    Article(pk="7", title="c", words=1).save()
    drain()
    assert index.values("title") == ["c", "b"]
    Article(pk="7").delete()
    drain()
    assert [*index.documents] == [8]


def test_keys_may_be_uuids(index):
    search_index(Voucher, ["code"], into=index)
    one, _ = Voucher.objects.bulk_create([Voucher(code="a"), Voucher(code="b")])
    drain()
    assert index.documents[one.pk] == {"code": "a"}
    one.delete()
    Voucher(pk=str(uuid4()), code="c").save()
    Voucher.objects.bulk_create([Voucher(pk=str(uuid4()), code="d")])
    drain()
    assert index.values("code") == ["b", "c", "d"]


def test_proxies_and_children_by_inheritance_are_indexed(index):
    search_index("app.Novel", ["name"], into=index)
    Reprint.objects.create(name="proxy")
    child = Audiobook.objects.create(name="child")
    drain()
    assert sorted(index.values("name")) == ["child", "proxy"]
    Audiobook.objects.update(name="other")
    Reprint.objects.filter(name="proxy").delete()
    drain()
    assert index.values("name") == ["other"]
    child.delete()
    drain()
    assert index.documents == {}


def test_a_child_by_inheritance_may_have_a_key_of_its_own(index):
    search_index(Novel, ["name"], into=index)
    one = Reissue.objects.create(code="x", name="a")
    drain()
    assert index.documents == {one.novel_id: {"name": "a"}}
    Reissue.objects.update(name="b")
    drain()
    assert index.values("name") == ["b"]
    one.delete()
    drain()
    assert index.documents == {}


def test_a_child_by_inheritance_is_indexed_again_when_its_parents_row_changes(index):
    search_index(Audiobook, ["name", "minutes"], into=index)
    Audiobook.objects.create(name="a", minutes=5)
    drain()
    Novel.objects.update(name="b")
    drain()
    assert [*index.documents.values()] == [{"name": "b", "minutes": 5}]


def test_rows_of_another_database_are_read_there(articles, index):
    Article.objects.using("other").create(pk=5, title="there", words=1)
    article("here")
    drain("other")
    assert titles(index) == ["there"]


# --- related rows -------------------------------------------------------------------------------------------------


def test_r12_a_renamed_author_has_his_rows_indexed_in_chunks(articles, index, monkeypatch):
    monkeypatch.setattr(indexing, "CHUNK", 3)
    ada, bob = Writer.objects.create(name="Ada"), Writer.objects.create(name="Bob")
    Article.objects.bulk_create([Article(title=str(n), words=1, author=ada if n < 8 else bob) for n in range(9)])
    drain()
    index.writes.clear()
    ada.name = "Ada L."
    ada.save()
    assert Delivery.objects.filter(state="READY").count() == 1
    drain()
    assert [len(keys) for keys in index.writes] == [3, 3, 2]
    assert sorted(index.values("author.name")) == ["Ada L."] * 8 + ["Bob"]


def test_authors_that_are_updated_together_have_their_rows_indexed(articles, index):
    writers = Writer.objects.bulk_create([Writer(name="Ada"), Writer(name="Bob")])
    Article.objects.bulk_create([Article(title=one.name, words=1, author=one) for one in writers])
    drain()
    Writer.objects.update(name="Eve")
    drain()
    assert index.values("author.name") == ["Eve", "Eve"]


def test_an_author_who_is_given_by_his_key_is_indexed(articles, index):
    ada, bob = Writer.objects.create(name="Ada"), Writer.objects.create(name="Bob")
    one = article(author=ada)
    Article.objects.update(author_id=bob.pk)
    drain()
    assert index.values("author.name") == ["Bob"]
    one.save(update_fields=["author_id"])
    drain()
    assert index.values("author.name") == ["Ada"]


def test_a_deleted_author_is_gone_from_the_documents(articles, index):
    ada = Writer.objects.create(name="Ada")
    article(author=ada)
    drain()
    ada.delete()  # on_delete=SET_NULL
    drain()
    assert index.values("author.name") == [None]


def test_a_path_may_have_several_steps(index):
    search_index(Review, ["novel.name", "novel.writer.name"], into=index)
    ada, bob = Writer.objects.create(name="Ada"), Writer.objects.create(name="Bob")
    novel = Novel.objects.create(name="n", writer=ada)
    Review.objects.create(novel=novel)
    drain()
    Writer.objects.filter(name="Ada").update(name="Ada L.")
    drain()
    assert index.values("novel.writer.name") == ["Ada L."]
    Novel.objects.update(writer=bob)
    assert len(drain()) == 2  # which looks for the reviews of the novel, and indexes the one that there is
    assert index.values("novel.writer.name") == ["Bob"]


def test_what_waits_of_a_path_that_is_gone_is_discarded(articles, index):
    Writer.objects.create(name="Ada")
    Writer.objects.update(name="Eve")
    declarations[0].disconnect()
    search_index(Article, ["title"], into=index)
    assert drain() == [Discarded("search_index(app.Article).related has no path 'author' any more")]


def test_a_condition_may_ask_for_a_related_row(index):
    search_index(Article, ["title"], when=Q(author__name="Ada") | ~Q(words=0), into=index)
    bob = Writer.objects.create(name="Bob")
    article("a", words=0, author=bob)
    drain()
    assert titles(index) == []
    bob.name = "Ada"
    bob.save()
    drain()
    assert titles(index) == ["a"]


def test_a_new_author_is_no_delivery(articles):
    Writer.objects.create(name="Ada")
    assert drain() == []


# --- an index that fails ------------------------------------------------------------------------------------------


def test_r12_what_the_index_refuses_is_retried_and_others_go_on(index):
    search_index(Article, ["title"], into=index, retry=retry_at_once())
    bad, good = article("bad"), article("good")
    index.refused = {bad.pk}
    assert {*types(drain())} == {Again, Dead, Succeeded}
    assert titles(index) == ["good"]
    index.refused = set()
    call_command("outbox", "redeliver", "--noinput", verbosity=0)
    drain()
    assert titles(index) == ["bad", "good"]
    assert good.pk in index.documents


def test_r12_rows_that_were_refused_together_are_written_one_by_one(index):
    search_index(Article, ["title"], into=index, retry=retry_at_once(attempts=2))
    with transaction.atomic():
        rows = Article.objects.bulk_create([Article(title=title) for title in "abcde"])
        index.refused = {rows[1].pk}
    assert types(drain()) == [Again, Dead]
    assert titles(index) == ["a", "c", "d", "e"]
    assert Delivery.objects.get().error == (
        f"IndexingError: 1 of 5 rows are not indexed ({rows[1].pk}): the index refuses"
    )


def test_an_index_that_is_down_is_not_asked_for_each_row(index):
    search_index(Article, ["title"], into=index, retry=retry_at_once(attempts=2))
    rows = Article.objects.bulk_create([Article(title=str(n)) for n in range(10)])
    index.refused = {one.pk for one in rows}
    assert types(drain()) == [Again, Dead]
    assert [len(keys) for keys in index.writes] == [10, 1, 1, 1]


# --- workers at the same time -------------------------------------------------------------------------------------


class Overtaken(Index):
    """An index before whose first write something happens."""

    def __init__(self, before):
        super().__init__()
        self.before = before

    def write(self, documents, using):
        before, self.before = self.before, lambda: None
        before()
        super().write(documents, using)

    def remove(self, pks, using):
        before, self.before = self.before, lambda: None
        before()
        super().remove(pks, using)


@committed
def test_r12_a_worker_that_is_overtaken_by_another_one_leaves_nothing_old():
    """It has read the row, another process changes the row and indexes it, and then the first one writes."""

    def overtake():
        Article.objects.update(title="new")
        drain(limit=1)

    index = Overtaken(lambda: in_thread(overtake))
    search_index(Article, ["title"], into=index)
    article("old")
    drain()
    assert titles(index) == ["new"]


@committed
def test_r12_a_row_that_is_deleted_and_made_again_meanwhile_stays():
    def make_again():
        Article.objects.create(pk=key, title="again")
        drain(limit=1)

    index = Overtaken(lambda: None)
    search_index(Article, ["title"], into=index)
    key = article("old").pk
    drain()
    index.before = lambda: in_thread(make_again)
    Article.objects.all().delete()
    drain()
    assert titles(index) == ["again"]


@committed
def test_r12_four_workers_and_three_writers_at_once_leave_what_the_rows_have(index):
    search_index(Article, ["title"], into=index, retry=retry_at_once(attempts=20))
    keys = [article(str(n)).pk for n in range(8)]

    def write(name):
        for round in range(12):
            with transaction.atomic():
                Article.objects.filter(pk=keys[round % 8]).update(title=f"{name} {round}")

    def delete_and_make():
        for round in range(6):
            Article.objects.filter(pk=keys[round]).delete()
            Article.objects.create(pk=keys[round], title=f"made {round}")

    at_once(*[partial(write, name) for name in "ab"], delete_and_make, *[drain] * 4)
    drain()
    wait_over()
    drain()
    assert {pk: one["title"] for pk, one in index.documents.items()} == dict(Article.objects.values_list("pk", "title"))
    assert len(index.documents) == 8


def test_a_row_that_never_stays_as_it_was_written_is_a_failed_attempt():
    class Restless(Index):
        def write(self, documents, using):
            super().write(documents, using)
            Article.objects.update(words=F("words") + 1)

    index = Restless()
    search_index(Article, ["words"], into=index)
    with mute(Article):
        one = Article.objects.create()
    status, lines = run("backfill")
    assert status == 1
    assert f"the rows [{one.pk}] are never read as they were written, 10 times" in lines[0]
    assert len(index.writes) == 20  # with others, and alone


# --- rebuilding ---------------------------------------------------------------------------------------------------


def test_r12_verify_finds_what_is_missing_and_left_over_and_backfill_mends_it():
    index = ListedIndex()
    missing = article("a")
    search_index(Article, ["title"], into=index)
    index.documents[missing.pk + 1] = {"title": "left over"}
    assert run("verify") == (
        1,
        [
            f"app.Article.search_index of {missing.pk} is wrong, not the row",
            f"app.Article.search_index of {missing.pk + 1} is left over, not gone",
            "1 verified, 2 wrong",
        ],
    )
    assert run("backfill") == (0, ["1 verified, 2 filled"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert titles(index) == ["a"]


def test_r12_an_index_that_cannot_be_compared_is_written_as_a_whole(articles, index, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 2)
    with mute(Article):
        Article.objects.bulk_create([Article(title=title, words=1) for title in "abc"])
        article("draft", words=0)
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    run("backfill")
    assert titles(index) == ["a", "b", "c"]


REFUSAL = "The index refuses it (ConnectionError: the index refuses): correct the row or the index, and repeat."


@pytest.mark.parametrize("number", [1, 5])
def test_r12_backfill_names_the_documents_that_are_refused_and_writes_the_others(number):
    index = ListedIndex()
    with mute(Article):
        rows = Article.objects.bulk_create([Article(title=str(n)) for n in range(8)])
    search_index(Article, ["title"], into=index)
    index.refused = {one.pk for one in rows[:number]}
    listed = [f"app.Article.search_index of {one.pk} is wrong, not the row. {REFUSAL}" for one in rows[:number]]
    assert run("backfill") == (1, [*listed, f"1 verified, {8 - number} filled, {number} left"])
    assert run("backfill") == (1, [*listed, f"1 verified, 0 filled, {number} left"])
    assert run("verify", "--repair") == (1, [*listed, f"1 verified, 0 mended, {number} left"])
    assert titles(index) == [one.title for one in rows[number:]]
    index.refused = set()
    assert run("backfill") == (0, [f"1 verified, {number} filled"])


def test_r12_backfill_names_the_documents_that_an_index_refuses_to_remove():
    index = ListedIndex()
    search_index(Article, ["title"], into=index)
    index.documents, index.refused = {8: {"title": "kept"}, 9: {"title": "gone"}}, {8}
    listed = f"app.Article.search_index of 8 is left over, not gone. {REFUSAL}"
    assert run("backfill") == (1, [listed, "1 verified, 1 filled, 1 left"])
    assert titles(index) == ["kept"]


def test_r12_so_does_one_of_an_index_that_cannot_be_compared(articles, index):
    with mute(Article):
        rows = [article(title) for title in "abc"]
    index.refused = {rows[0].pk}
    listed = f"app.Article.search_index of {rows[0].pk} is not written, not the row. {REFUSAL}"
    assert run("backfill") == (1, [listed, "1 verified, 0 filled, 1 left"])
    assert titles(index) == ["b", "c"]


def test_a_backfill_ends_where_an_index_that_cannot_be_compared_takes_nothing(articles, index):
    with mute(Article):
        rows = [article(str(n)) for n in range(10)]
    index.refused = {one.pk for one in rows}
    with pytest.raises(ConnectionError, match="the index refuses"):
        run("backfill")
    assert [len(keys) for keys in index.writes] == [10, 1, 1, 1]


def test_a_backfill_ends_where_a_server_goes_away():
    class Leaving(ListedIndex):
        def write(self, documents, using):
            self.wrong = Away().wrong
            raise ConnectionError

    with mute(Article):
        rows = [article(str(n)) for n in range(10)]
    search_index(Article, ["title"], into=Leaving())
    with pytest.raises(ConnectionError):
        run("backfill")
    assert len(rows) == 10


class Away(ListedIndex):
    """A search server that cannot be reached."""

    def wrong(self, documents, pks, using):
        raise ConnectionError


def test_a_server_that_is_away_stops_no_deployment():
    search_index(Article, ["title"], into=Away())
    article()
    assert check_rows(None, ["default"]) == []


class NeverEmpty(ListedIndex):
    """An index that remembers how few documents it had while it was written."""

    fewest = 1000

    def write(self, documents, using):
        super().write(documents, using)
        self.fewest = min(self.fewest, len(self.documents))

    def remove(self, pks, using):
        super().remove(pks, using)
        self.fewest = min(self.fewest, len(self.documents))


@committed
def test_r12_an_index_is_rebuilt_without_a_gap_while_the_site_writes(monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 10)
    rows = Article.objects.bulk_create([Article(title=str(n)) for n in range(60)])
    index = NeverEmpty()
    index.documents = {one.pk: {"title": "as it was before"} for one in rows}
    index.documents |= {one.pk + 1000: {"title": "left over"} for one in rows}
    search_index(Article, ["title"], into=index, retry=retry_at_once(attempts=20))

    def write():
        for one in rows[::6]:
            Article.objects.filter(pk=one.pk).update(title="new")
            Article.objects.create(title="more")

    at_once(write, lambda: run("backfill"), drain)
    drain()
    assert {pk: one["title"] for pk, one in index.documents.items()} == dict(Article.objects.values_list("pk", "title"))
    assert index.fewest >= 60


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_a_disconnected_index_leaves_no_patch_and_no_receiver(no_kept_error):
    before = patched_methods(), [*post_save.receivers], [*post_delete.receivers]
    declaration = search_index(Article, ["title", "author.name"], into=Index())
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), post_save.receivers, post_delete.receivers) == before
    article()
    assert drain() == []
    search_index(Article, ["title"], into=Index())


def test_r18_a_muted_index_is_sent_nothing(articles):
    with mute(Article):
        article()
        Article.objects.update(title="x")
    assert drain() == []


def test_r18_an_index_is_seen_by_a_trace(articles):
    with trace() as traced:
        article()
    names = [one.receiver.__name__ for one in traced.events if isinstance(one, Called)]
    assert "search_index(app.Article)" in names


def test_its_receivers_are_found_by_workers(articles):
    assert check_names(None) == []


def test_a_declaration_reads_as_it_was_written(index):
    declared = search_index(Article, ["title"], when=Q(words__gt=0), into=index)
    assert declared.text == ("search_index(app.Article, ['title'], when=<Q: (AND: ('words__gt', 0))>, into=Index())")


REFUSED = {
    "name": (["titel"], {}, "app.Article has no field 'titel' with a column. Did you mean 'title'?"),
    "path": (["title.name"], {}, "app.Article.title is a CharField, and no ForeignKey."),
    "text": ("title", {}, "name the fields of a document in a list, such as ['title', 'author.name']."),
    "none": ([], {}, "name the fields of a document in a list"),
    "function": (["title"], {"when": lambda one: True}, "when= is a Q(...), such as Q(is_public=True)"),
    "class": (["title"], {"into": Index}, "into= takes an object with write(documents, using) and remove(pks, using)."),
    "no backend": (["title"], {"into": "posts"}, "into= takes an object with write(documents, using)"),
    "lookup": (["title"], {"when": Q(wrods=0)}, "Cannot resolve keyword 'wrods' into field."),
    "expression": (["title"], {"when": Q(words=F("price"))}, "has an expression. Compare fields with values."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(case):
    fields, options, text = REFUSED[case]
    with pytest.raises(TypeError, match=re.escape(text)):
        search_index(Article, fields, **{"into": Index(), **options})
    assert declarations == []


def test_a_condition_on_many_rows_is_refused():
    with pytest.raises(TypeError, match=r"app\.Novel\.genres is a relation to many rows\. Ask for fields of the row"):
        search_index(Novel, ["name"], when=Q(genres__name="x"), into=Index())


def test_a_column_that_the_database_computes_is_refused():
    with pytest.raises(TypeError, match=r"is computed by the database\. Name the fields of its expression\."):
        search_index(Account, ["twice"], into=Index())


def test_a_composite_primary_key_is_refused():
    with pytest.raises(TypeError, match=r"app\.Seat has a composite primary key, and an index has one key for a row\."):
        search_index(Seat, ["guest"], into=Index())


def test_a_proxy_is_refused():
    with pytest.raises(TypeError, match=r"app\.Reprint is a proxy\. Index the rows of its table: 'app\.Novel'\."):
        search_index(Reprint, ["name"], into=Index())


def test_a_second_index_of_a_model_is_refused(articles):
    with pytest.raises(TypeError, match=r"app\.Article is indexed already, at .*test_search_index\.py:\d+\."):
        search_index(Article, ["title"], into=Index())
    assert check_declarations(None) == []


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(index, connect):
    """The two receivers that most tutorials show."""

    def index_row(sender, instance, **kwargs):
        index.write({instance.pk: {"title": instance.title}}, "default")

    def remove_row(sender, instance, **kwargs):
        index.remove([instance.pk], "default")

    connect(post_save, index_row, sender=Article)
    connect(post_delete, remove_row, sender=Article)


def test_control_the_tutorials_receiver_indexes_a_row_that_is_rolled_back(tutorial, index):
    with suppress(ValueError), transaction.atomic():
        article("a")
        raise ValueError
    assert (titles(index), Article.objects.count()) == (["a"], 0)


def test_control_the_tutorials_receiver_misses_bulk_writes(tutorial, index):
    Article.objects.bulk_create([Article(title="a")])
    article("b")
    Article.objects.update(title="c")
    assert titles(index) == ["b"]


def test_control_the_tutorials_receiver_breaks_the_save_while_the_index_is_away(tutorial, index):
    one = article("a")
    index.refused = {one.pk}
    with pytest.raises(ConnectionError):
        one.save()
