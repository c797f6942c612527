"""Rows that update() writes, and which ones those are: cases B6 to B8."""

import functools
from contextlib import contextmanager

import pytest
from django.db import connection, models, transaction
from django.db.models import Avg, Count, Exists, F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, Concat, Lower, Random

from heliograph import BeforeCommit, OnCommit, changed, created, mute
from heliograph.signals import (
    post_save,
    post_update,
    pre_save,
    pre_update,
)
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Band,
    Country,
    Genre,
    Novel,
    Performance,
    Reprint,
    Seat,
    Song,
    Ticket,
    Ware,
    Writer,
)
from tests.helpers.writes import (
    VALUES,
    WRITES,
    articles,
    assert_truth,
    dict_of_rows,
    differences,
    outcome_of,
    rows_of,
    shapes,
    wares,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])

on_both_ends = pytest.mark.parametrize("policy", [BeforeCommit, OnCommit])

# SQLite has no lock of a row: in a transaction that is open, one statement more takes that of the file.
LOCK = 1 if connection.vendor == "sqlite" else 0

# --- update -------------------------------------------------------------------------------------------------------


def test_b6_update_sends_the_key_the_old_and_the_new_value_of_each_row(listen):
    first, second = articles(1, 2)
    received = listen(post_update, sender=Article)
    assert Article.objects.update(words=F("words") + 1) == 2
    (event,) = received
    batch = event.payload["batch"]
    assert (event.sender, event.payload["update_fields"]) == (Article, frozenset({"words"}))
    assert event.payload["using"] == "default"
    assert sorted(batch.changes("words")) == [(first.pk, 1, 2), (second.pk, 2, 3)]
    assert sorted(batch.pks) == [first.pk, second.pk]
    assert {(one.kind, one.changes["words"]) for one in batch.events} == {("updated", (1, 2)), ("updated", (2, 3))}


def test_b6_receivers_of_rows_receive_each_as_if_it_were_saved(listen, row_changes):
    first, second = articles(1, 2)
    received, changes = listen(post_save, sender=Article, bulk=True), row_changes(Article, "words")
    Article.objects.update(words=F("words") + 1, slug="same")
    assert {(one.pk, one.words, one.slug, one.title) for one in rows_of(received)} == {
        (first.pk, 2, "same", "1"),
        (second.pk, 3, "same", "2"),
    }
    assert {one.payload["update_fields"] for one in received} == {frozenset({"words", "slug"})}
    assert {(one.payload["created"], one.payload["raw"], one.payload["using"]) for one in received} == {
        (False, False, "default")
    }
    assert sorted(changes) == [(first.pk, {"words": (1, 2)}), (second.pk, {"words": (2, 3)})]


def test_b6_changes_are_given_to_who_has_a_parameter_for_them(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True)
    def record(sender, instance, changes, **kwargs):
        received.append((instance.pk, changes))

    (article,) = articles(1)
    Article.objects.update(words=2)
    assert received == [(article.pk, {"words": (1, 2)})]


def test_b6_conditions_on_values_choose_among_the_rows(listen):
    full, _ = articles(9, 1)
    received = listen(post_save, sender=Article, bulk=True, when=changed("words", was=9, to=10))
    others = listen(post_save, sender=Article, bulk=True, when=created | changed("title"))
    Article.objects.update(words=F("words") + 1)
    assert (rows_of(received), others) == ([full], [])


@on_both_ends
def test_b6_conditions_of_ones_own_choose_among_the_rows_too(listen, net, policy):
    def is_long(instance, **kwargs):
        return instance.words > 5

    long, _ = articles(8, 1)
    rows, whole = listen(post_save, sender=Article, bulk=True, when=is_long), net(policy=policy, when=is_long)
    Article.objects.update(title="new")
    assert (rows_of(rows), [batch.updated for batch in whole]) == ([long], [[long]])


def test_b6_rows_that_get_the_value_that_they_have_are_written_and_not_changed(batches):
    same, other = articles(5, 6)
    received = batches(post_update)
    assert Article.objects.update(words=5) == 2
    (batch,) = received
    assert sorted(batch.pks) == [same.pk, other.pk]
    assert batch.changes("words") == [(other.pk, 6, 5)]


def test_b6_one_update_is_at_most_two_statements(batches):
    articles(1, 2)
    batches(post_update)
    assert len(shapes(lambda: Article.objects.update(words=F("words") + 1))) <= 2 + LOCK


def test_b6_who_asks_for_no_values_gets_keys_and_the_database_is_asked_for_no_others(receive):
    articles(1, 2)
    keys = []

    @receive(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        keys.extend(batch.pks)

    sent = shapes(lambda: Article.objects.update(words=F("words") + 1))
    asked = [sql.partition("SET")[0] + sql.partition("RETURNING")[2] for sql in sent]
    assert len(keys) == 2
    assert len(sent) <= 2 + LOCK
    assert not any("title" in sql for sql in asked)


def test_b6_an_update_reads_no_value_that_only_a_receiver_of_the_past_has_asked_for(receive, batches):
    articles(1, 2)

    @receive(post_save, sender=Article, when=changed("title", "words"))
    def record(sender, **kwargs):
        pass

    batches(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    update = functools.partial(Article.objects.update, words=F("words") + 1)
    while_watched = shapes(update)
    post_save.disconnect(record, sender=Article)
    assert any("title" in sql for sql in while_watched)
    assert not any("title" in sql for sql in shapes(update))


@pytest.fixture
def many():
    """Rows enough to be more than one statement may have parameters."""
    with mute():
        Ware.objects.bulk_create([Ware(name=f"{number}", rank=number) for number in range(10_000)], 900)
    return Ware.objects.all()


def test_b6_ten_thousand_rows_are_no_more_statements_than_ten(batches, many):
    received = batches(post_update, sender=Ware)
    few = shapes(lambda: many.filter(rank__lt=10).update(stock=F("stock") + 1))
    assert len(shapes(lambda: many.update(stock=F("stock") + 1))) == len(few)
    assert [len(batch.changes("stock")) for batch in received] == [10, 10_000]


def test_b6_nor_are_they_for_receivers_of_rows(row_changes, many):
    received = row_changes(Ware, "stock")
    few = shapes(lambda: many.filter(rank__lt=10).update(stock=F("stock") + 1))
    assert len(shapes(lambda: many.filter(rank__lt=900).update(stock=F("stock") + 1))) == len(few)
    assert len(received) == 910


def test_b6_instances_are_loaded_on_first_use_by_one_query(batches, django_assert_num_queries):
    articles(1, 2, 3)
    received = batches(post_update)
    Article.objects.update(words=F("words") + 1)
    (batch,) = received
    with django_assert_num_queries(0):
        assert len(batch.pks) == len(batch.events) == 3
    with django_assert_num_queries(1):
        assert sorted(one.words for one in batch.instances) == [2, 3, 4]
    with django_assert_num_queries(0):
        assert [one.instance for one in batch.events] == batch.instances == batch.updated


@in_a_test_case
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_b6_old_and_new_are_what_was_stored_and_what_is(batches, row_changes, of_each_kind, values):
    received, rows, given = batches(post_update), row_changes(Article), values()
    assert_truth(lambda: Article.objects.update(**given), given, received, rows)


@in_a_test_case
def test_b6_a_parent_by_a_key_that_is_not_its_primary_key_is_sent_by_that(batches):
    (band, other), song = (Band.objects.create(code=code) for code in "ab"), Song.objects.create(slug="s")
    played = Performance.objects.create(band=band, song=song)
    received = batches(post_update, sender=Performance)
    Performance.objects.update(band=other)
    assert received[0].changes("band") == [(played.pk, "a", "b")]


@in_a_test_case
def test_b6_fields_that_are_exchanged_are_sent_as_they_are_stored(batches):
    Account.objects.bulk_create([Account(balance=1, limit=2), Account(balance=3, limit=4)])
    received = batches(post_update, sender=Account)
    before = dict_of_rows(Account)
    Account.objects.update(balance=F("limit"), limit=F("balance"))  # MariaDB sets one after the other
    after = dict_of_rows(Account)
    for name in ("balance", "limit"):
        assert {key: (old, new) for key, old, new in received[0].changes(name)} == differences(before, after, name)


@in_a_test_case
def test_b6_generated_columns_of_the_instances_are_those_of_the_database(listen):
    Account.objects.create(balance=1)
    received = listen(post_save, sender=Account, bulk=True)
    Account.objects.update(balance=F("balance") + 4)
    (account,) = rows_of(received)
    assert (account.balance, account.twice, account.limit) == (5, 10, 100)


@in_a_test_case
def test_b6_natural_keys_are_keys_of_the_caller_and_of_two_columns(batches):
    Country.objects.create(code="de")
    ticket = Ticket.objects.create()
    Seat.objects.bulk_create([Seat(row=1, number=1), Seat(row=1, number=2), Seat(row=2, number=1)])
    received = [batches(post_update, sender=model) for model in (Country, Ticket, Seat)]
    Country.objects.update(name="Germany")
    Ticket.objects.update(state="sold")
    Seat.objects.filter(row=1).update(guest="Ann")
    countries, tickets, seats = (batch for (batch,) in received)
    assert countries.changes("name") == [("de", "", "Germany")]
    assert tickets.changes("state") == [(ticket.pk, "new", "sold")]
    assert sorted(seats.changes("guest")) == [((1, 1), "", "Ann"), ((1, 2), "", "Ann")]
    assert sorted(one.pk for one in seats.instances) == [(1, 1), (1, 2)]


@in_a_test_case
def test_b6_a_row_that_gets_another_key_is_sent_with_both(batches):
    Country.objects.create(code="de", name="Germany")
    received = batches(post_update, sender=Country)
    Country.objects.update(code="at")
    assert [change[1:] for change in received[0].changes("code")] == [("de", "at")]


@in_a_test_case
def test_b6_fields_of_a_parent_and_of_a_child_are_one_event_of_the_child(listen, batches):
    received, rows = batches(post_update, sender=Audiobook), listen(post_save, sender=Audiobook, bulk=True)
    family, parent = (
        listen(post_save, sender=Novel, bulk=True, subclasses=True),
        listen(post_save, sender=Novel, bulk=True),
    )
    with mute():
        Novel.objects.create(name="no audiobook")
        book = Audiobook.objects.create(name="a", minutes=1)
    Audiobook.objects.update(name="b", minutes=2)
    (batch,) = received
    assert (batch.changes("name"), batch.changes("minutes")) == ([(book.pk, "a", "b")], [(book.pk, 1, 2)])
    assert rows_of(rows) == rows_of(family) == [book]
    assert rows[0].payload["update_fields"] == frozenset({"name", "minutes"})
    assert parent == []


@pytest.mark.parametrize("values", [{"name": "b"}, {"minutes": 2}], ids=["the parent's", "the child's"])
def test_b6_fields_of_one_of_the_two_are_sent_as_well(batches, values):
    Novel.objects.create(name="no audiobook")
    book = Audiobook.objects.create(name="a", minutes=1)
    received = batches(post_update, sender=Audiobook)
    ((name, new),) = values.items()
    Audiobook.objects.filter(**{name: getattr(book, name)}).update(**values)
    assert received[0].changes(name) == [(book.pk, getattr(book, name), new)]


@in_a_test_case
def test_b6_a_proxy_is_its_own_sender(listen):
    received, original = listen(post_update, sender=Reprint), listen(post_update, sender=Novel)
    family = listen(post_save, sender=Novel, bulk=True, subclasses=True)
    Novel.objects.create(name="a")
    family.clear()
    Reprint.objects.update(name="b")
    assert (len(received), original) == (1, [])
    assert [type(one) for one in rows_of(family)] == [Reprint]


@in_a_test_case
def test_b6_lazy_and_several_senders_receive(listen):
    lazy = listen(post_update, sender="app.Article")
    several = listen(post_update, sender=[Article, Ware])
    articles(1)
    wares("tea")
    Article.objects.update(words=2)
    Ware.objects.update(stock=2)
    assert ([one.sender for one in lazy], [one.sender for one in several]) == ([Article], [Article, Ware])


def test_b6_each_database_has_its_own_rows(listen):
    Article.objects.create(title="here")
    Article.objects.using("other").create(title="there")
    received, rows = listen(post_update, sender=Article), listen(post_save, sender=Article, bulk=True, using="other")
    Article.objects.update(words=1)
    Article.objects.using("other").update(words=2)
    assert [one.payload["using"] for one in received] == ["default", "other"]
    ((instance,), (there,)) = received[1].payload["batch"].instances, rows_of(rows)
    assert (instance.title, instance._state.db, there.title, there._state.db) == ("there", "other") * 2


@in_a_test_case
def test_b6_the_update_of_a_related_manager_is_one(batches):
    writer = Writer.objects.create()
    novel = Novel.objects.create(writer=writer, name="a")
    Novel.objects.create(name="other")
    received = batches(post_update, sender=Novel)
    writer.novels.update(name="b")
    assert [batch.changes("name") for batch in received] == [[(novel.pk, "a", "b")]]


@in_a_test_case
def test_b6_so_is_one_that_a_queryset_of_ones_own_passes_on(batches):
    class Loud(models.QuerySet):
        def update(self, **values):
            return super().update(**{name: value * 2 for name, value in values.items()})

    (article,) = articles(1)
    received = batches(post_update)
    Loud(Article).update(words=5)
    assert [batch.changes("words") for batch in received] == [[(article.pk, 1, 10)]]


@in_a_test_case
def test_a_receiver_that_pre_update_connects_receives_the_same_update(receive):
    article, received = articles(1)[0], []

    @receive(pre_update, sender=Article)
    def before(sender, **kwargs):
        @receive(post_update, sender=Article)
        def after(sender, batch, **kwargs):
            received.extend(batch.pks)

    Article.objects.update(words=5)
    assert received == [article.pk]


@in_a_test_case
def test_a_receiver_that_pre_update_disconnects_receives_nothing_of_the_same_update(receive):
    articles(1)
    received = []

    @receive(post_save, sender=Article, bulk=True)
    def after(sender, instance, **kwargs):
        received.append(instance.pk)

    @receive(pre_update, sender=Article)
    def before(sender, **kwargs):
        post_save.disconnect(after, sender=Article)

    Article.objects.update(words=5)
    assert received == []


def test_b6_before_the_write_there_are_the_queryset_and_the_values(receive):
    articles(1, 2)
    found = []

    @receive(pre_update, sender=Article)
    def record(sender, queryset, values, using, **kwargs):
        found.append(([one.words for one in queryset], {**values}, using))

    assert Article.objects.filter(words=2).update(words=5, slug="s") == 1
    assert found == [([2], {"words": 5, "slug": "s"}, "default")]


def test_b6_a_receiver_before_may_add_to_the_values(receive, listen):
    @receive(pre_update, sender=Article)
    def add_slug(sender, values, **kwargs):
        values["slug"] = Lower(Value(f"ABOUT-{values['title']}"))

    received = listen(post_update, sender=Article)
    articles(1)
    Article.objects.update(title="ann")
    assert received[0].payload["update_fields"] == frozenset({"title", "slug"})
    Article.objects.update(title="bob")
    assert Article.objects.get().slug == "about-bob"
    assert [change[1:] for change in received[1].payload["batch"].changes("slug")] == [("about-ann", "about-bob")]


def test_b6_pre_save_is_not_sent_for_an_update(listen):
    articles(1)
    received = listen(pre_save, sender=Article, bulk=True)
    Article.objects.update(words=2)
    assert received == []


# --- which rows ---------------------------------------------------------------------------------------------------


def test_b7_rows_are_sent_although_they_have_left_the_filter(batches, row_changes):
    first, _ = articles(1, 2)
    received, changes = batches(post_update), row_changes(Article, "words")
    Article.objects.filter(words=1).update(words=5)
    assert received[0].changes("words") == [(first.pk, 1, 5)]
    assert [one.words for one in received[0].instances] == [5]
    assert changes == [(first.pk, {"words": (1, 5)})]


def test_b7_so_are_rows_that_have_left_the_filter_of_a_relation(batches):
    ann, bob = (Writer.objects.create(name=name) for name in ("Ann", "Bob"))
    article = Article.objects.create(author=ann)
    Article.objects.create(author=bob)
    received = batches(post_update)
    Article.objects.filter(author__name="Ann").update(author=bob)
    assert received[0].changes("author") == [(article.pk, ann.pk, bob.pk)]


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB has no LIMIT in such a subquery")
def test_b7_of_a_part_that_is_another_each_time_the_rows_written_are_sent(batches):
    assert_delivered(batches, lambda all: all.filter(pk__in=all.order_by("?").values("pk")[:50]))


def test_b7_so_are_those_of_a_condition_that_holds_by_chance(batches):
    assert_delivered(batches, lambda all: all.alias(chance=Random()).filter(chance__lt=0.5))


def assert_delivered(batches, filtered):
    wares(*map(str, range(100)))
    received = batches(post_update, sender=Ware)
    count = filtered(Ware.objects.all()).update(stock=1)
    written = {*Ware.objects.filter(stock=1).values_list("pk", flat=True)}
    assert {key for batch in received for key in batch.pks} == written
    assert {key for batch in received for key, _, _ in batch.changes("stock")} == written
    assert count == len(written)


QUERYSETS = {
    "all": lambda all: all.update(words=F("words") + 1),
    "a part": lambda all: all[:2].update(words=9),
    "a part from the end": lambda all: all.order_by("words")[1:].update(words=9),
    "in an order": lambda all: all.order_by("-words").update(words=F("words") + 1),
    "in the order of a relation": lambda all: all.order_by("author__name").update(words=F("words") + 1),
    "in the order of an annotation": lambda all: all.annotate(n=F("words") * 2).order_by("-n").update(words=F("n")),
    "in the order of an aggregate": lambda all: all.annotate(n=Count("author")).order_by("n").update(words=1),
    "reversed": lambda all: all.order_by("words").reverse().update(words=9),
    "an aggregate as value": lambda all: all.annotate(n=Count("author")).update(words=F("n")),
    "beside an aggregate": lambda all: all.annotate(n=Count("author")).filter(n=1).update(words=9),
    "an average in a filter": lambda all: all.annotate(n=Avg("words")).filter(n__gt=2).update(words=9),
    "joined": lambda all: all.filter(author__name="Ann").update(words=F("words") + 1),
    "joined and excluded": lambda all: all.exclude(author__name="Ann").update(words=9),
    "joined by many": lambda all: Writer.objects.filter(article__words__gt=0).update(name=Concat("name", Value("!"))),
    "joined by many and distinct": lambda all: Writer.objects.filter(article__words__gt=0).distinct().update(name="x"),
    "a field of a relation as value": lambda all: all.update(title=F("author__name")),
    "an annotation of a relation": lambda all: all.annotate(n=F("author__name")).update(title=F("n")),
    "a query as value": lambda all: all.annotate(
        n=Subquery(Writer.objects.filter(pk=OuterRef("author")).values("name"))
    ).update(title=Coalesce(F("n"), Value("none"))),
    "a query in the filter": lambda all: all.filter(Exists(Writer.objects.filter(pk=OuterRef("author")))).update(
        words=9
    ),
    "distinct": lambda all: all.distinct().update(words=9),
    "distinct by a field": lambda all: all.distinct("title").update(words=9),
    "combined": lambda all: all.union(all).update(words=9),
    "two filters": lambda all: (all.filter(words=1) | all.filter(author=None)).update(words=9),
    "values": lambda all: all.values("title").update(words=9),
    "flat values": lambda all: all.values_list("pk", flat=True).update(words=9),
    "grouped values": lambda all: all.values("title").annotate(n=Count("pk")).filter(n=1).update(words=9),
    "with its relations": lambda all: all.select_related("author").update(words=9),
    "with fields deferred": lambda all: all.only("title").update(words=9),
    "for update": lambda all: all.select_for_update().update(words=9),
    "with a condition in SQL": lambda all: all.extra(where=["words > 2"]).update(words=9),
    "evaluated before": lambda all: [queryset := all.filter(words=1), len(queryset), queryset.update(words=9)][2],
    "none": lambda all: all.none().update(words=9),
    "none of these keys": lambda all: all.filter(pk__in=[]).update(words=9),
    "none that is found": lambda all: all.filter(words=99).update(words=9),
    "no value": lambda all: all.update(),
    "a field that is not there": lambda all: all.update(no=9),
    "the key by its nickname": lambda all: all.update(pk=9),
    "a relation to many": lambda all: Novel.objects.update(genres=1),
    "a relation from others": lambda all: Writer.objects.update(novels=1),
    "a generated field": lambda all: Account.objects.update(twice=1),
    "a value that does not fit": lambda all: all.update(words="many"),
    "a value that is not allowed": lambda all: all.update(words=None),
    "an object of another model": lambda all: all.update(author=Genre.objects.create()),
    "a parent that is not stored": lambda all: all.update(author=Writer()),
    "the key of two columns": lambda all: Seat.objects.update(pk=(1, 2)),
}


@contextmanager
def stories():
    """Have articles of two authors and of none, until the end of the block."""
    with transaction.atomic():
        with mute():
            ann, bob = (Writer.objects.create(name=name) for name in ("Ann", "Bob"))
            for words, author in enumerate((ann, ann, bob, None), 1):
                Article.objects.create(title="abcd"[words - 1], words=words, author=author)
        yield
        transaction.set_rollback(True)


@in_a_test_case
@pytest.mark.parametrize("update", QUERYSETS.values(), ids=QUERYSETS)
def test_b8_results_errors_and_rows_are_those_of_django(listen, update):
    def updated():
        with stories():
            result = outcome_of(lambda: update(Article.objects.all()))
            return (
                result,
                [*Article.objects.order_by("pk").values_list("title", "words")],
                [*Writer.objects.order_by("pk").values_list("name")],
            )

    plain = updated()
    for signal, options in [*((signal, {}) for signal in WRITES), (post_save, {"bulk": True, "when": changed()})]:
        listen(signal, **options)
    assert updated() == plain


@in_a_test_case
@pytest.mark.parametrize("update", QUERYSETS.values(), ids=QUERYSETS)
def test_b8_what_is_sent_is_what_became_of_the_rows(batches, update):
    received = {model: batches(post_update, sender=model) for model in (Article, Writer)}
    with stories():
        before = {model: dict_of_rows(model) for model in received}
        result = outcome_of(lambda: update(Article.objects.all()))
        after = {model: dict_of_rows(model) for model in received}
    for model, name in ((Article, "words"), (Article, "title"), (Writer, "name")):
        delivered = {key: (old, new) for batch in received[model] for key, old, new in batch.changes(name)}
        assert delivered == differences(before[model], after[model], name)
    written = sum(len(batch.pks) for batches in received.values() for batch in batches)
    assert written == (result if isinstance(result, int) else 0)


@pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB has an order in UPDATE")
def test_b8_an_order_that_keeps_values_apart_is_kept(batches):
    Ware.objects.bulk_create([Ware(name=f"{number}", rank=number) for number in (1, 2, 3)])
    received = batches(post_update, sender=Ware)
    assert Ware.objects.order_by("-rank").update(rank=F("rank") + 1) == 3
    assert sorted(change[1:] for change in received[0].changes("rank")) == [(1, 2), (2, 3), (3, 4)]
