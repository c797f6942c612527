"""Rows that bulk_update() writes: case B5."""

import itertools

import pytest
from django.db import connection, transaction
from django.db.models import F

from heliograph import changed, changes_of, update_fields
from heliograph.signals import (
    post_bulk_update,
    post_save,
    pre_bulk_update,
    pre_save,
)
from tests.app.models import Article, Audiobook, Chapter, Novel, Seat, Ticket, Writer
from tests.helpers.writes import VALUES, WRITES, articles, assert_truth, outcome_of, rows_of, set_words, shapes

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


# Where neither autocommit nor another connection matters: emptying the tables takes a hundred times as long.
in_a_test_case = pytest.mark.django_db(databases=["default", "other"])

# SQLite has no lock of a row: in a transaction that is open, one statement more takes that of the file.
LOCK = 1 if connection.vendor == "sqlite" else 0

# MariaDB returns nothing of an update, so the rows of a bulk_update() are read before it and after it.
READS = 2 if connection.vendor == "mysql" else 1

# --- values ------------------------------------------------------------------------------------------------------


# Django does not let an object have a key in place of its parent, and makes NULL of the null of JSON among others.
OF_OBJECTS = {name: one for name, one in VALUES.items() if name not in ("the key of a parent", "the null of JSON")}

# --- bulk_update --------------------------------------------------------------------------------------------------


def test_b5_bulk_update_lists_the_fields_that_are_written_and_no_others(listen, batches):
    first, second = set_words(articles(1, 2), 11, 12)
    first.title = "another"
    received = listen(post_bulk_update, sender=Article)
    Article.objects.bulk_update([first, second], ["words"])
    (event,) = received
    batch = event.payload["batch"]
    assert (event.payload["update_fields"], event.payload["using"]) == (frozenset({"words"}), "default")
    assert batch.updated == [first, second]
    assert batch.updated[0] is first
    assert sorted(batch.changes("words")) == [(first.pk, 1, 11), (second.pk, 2, 12)]
    assert batch.changes("title") == []


def test_b5_receivers_of_rows_receive_each_as_if_it_were_saved_with_update_fields(listen, row_changes):
    (article,) = set_words(articles(1), 2)
    article.title = "another"
    received, changes = listen(post_save, sender=Article, bulk=True, when=update_fields("words")), row_changes(Article)
    Article.objects.bulk_update([article], ["words"])
    assert rows_of(received) == [article]
    assert (received[0].payload["created"], received[0].payload["update_fields"]) == (False, frozenset({"words"}))
    assert changes == [(article.pk, {"words": (1, 2)})]


@pytest.mark.parametrize("options", [{}, {"bulk": True}], ids=["received by save only", "received in bulk"])
def test_b5_an_instance_stays_changed_in_the_other_fields(listen, options):
    listen(post_save, sender=Article, when=changed("words", "title"), **options)
    articles(1)
    article = Article.objects.get()
    article.words, article.title = 2, "another"
    Article.objects.bulk_update([article], ["words"])
    assert changes_of(article) == {"title": ("1", "another")}


def test_b5_rows_that_are_as_they_were_are_not_reported(listen, net, batches):
    same, other = set_words(articles(1, 2), 1, 3)
    rows, whole, received = listen(post_save, sender=Article, bulk=True), net(), batches(post_bulk_update)
    assert Article.objects.bulk_update([same, other], ["words"]) == 2
    assert rows_of(rows) == whole[0].updated == received[0].updated == [other]


def test_b5_a_row_that_is_gone_is_not_reported(listen):
    gone, there = set_words(articles(1, 2), 3, 4)
    Article.objects.filter(pk=gone.pk).delete()
    received = listen(post_save, sender=Article, bulk=True)
    assert Article.objects.bulk_update([gone, there], ["words"]) == 1
    assert rows_of(received) == [there]


@in_a_test_case
def test_b5_a_row_that_the_queryset_leaves_out_is_not_reported(listen):
    first, second = set_words(articles(1, 2), 11, 12)
    received = listen(post_save, sender=Article, bulk=True)
    assert Article.objects.filter(title="1").bulk_update([first, second], ["words"]) == 1
    assert rows_of(received) == [first]


def test_b5_what_an_expression_comes_to_is_a_number(row_changes, batches):
    first, second = set_words(articles(1, 2), F("words") + 10, 5)
    received, changes = batches(post_bulk_update), row_changes(Article, "words")
    Article.objects.bulk_update([first, second], ["words"])
    assert sorted(received[0].changes("words")) == [(first.pk, 1, 11), (second.pk, 2, 5)]
    assert sorted(changes) == [(first.pk, {"words": (1, 11)}), (second.pk, {"words": (2, 5)})]


@in_a_test_case
def test_b5_of_two_objects_of_one_row_the_one_that_is_written_is_reported(batches):
    (article,) = articles(1)
    twice = set_words([article, Article.objects.get()], 2, 3)
    received = batches(post_bulk_update)
    Article.objects.bulk_update(twice, ["words"])
    assert received[0].changes("words") == [(article.pk, 1, Article.objects.get().words)]


@pytest.mark.parametrize(("signal", "options"), [(pre_bulk_update, {}), (pre_save, {"bulk": True})])
def test_b5_a_receiver_before_may_change_what_is_written(receive, signal, options):
    @receive(signal, sender=Article, **options)
    def double(sender, update_fields, instances=None, instance=None, **kwargs):
        assert update_fields == frozenset({"words"})
        for one in instances or [instance]:
            one.words *= 2

    Article.objects.bulk_update(set_words(articles(1, 2), 10, 20), ["words"])
    assert sorted(Article.objects.values_list("words", flat=True)) == [20, 40]


@in_a_test_case
def test_b5_fields_that_a_receiver_before_sets_are_written_too(receive, listen):
    @receive(pre_save, sender=Article, bulk=True, when=changed("title"), writes=["slug"])
    def make_slug(sender, instance, **kwargs):
        instance.slug = f"about-{instance.title}"

    articles(1)
    article = Article.objects.get()
    received = listen(post_save, sender=Article, bulk=True)
    article.title = "tea"
    Article.objects.bulk_update([article], ["title"])
    assert Article.objects.get().slug == "about-tea"
    assert received[0].payload["update_fields"] == frozenset({"title", "slug"})


@in_a_test_case
def test_b5_keys_of_two_columns_and_keys_of_the_caller_are_reported(batches):
    seat, ticket = Seat.objects.create(row=1, number=2), Ticket.objects.create()
    seats, tickets = batches(post_bulk_update, sender=Seat), batches(post_bulk_update, sender=Ticket)
    seat.guest, ticket.state = "Ann", "sold"
    Seat.objects.bulk_update([seat], ["guest"])
    Ticket.objects.bulk_update([ticket], ["state"])
    assert seats[0].changes("guest") == [((1, 2), "", "Ann")]
    assert tickets[0].changes("state") == [(ticket.pk, "new", "sold")]


@in_a_test_case
def test_b5_fields_of_a_parent_are_reported_with_those_of_the_child(batches):
    book = Audiobook.objects.create(name="a", minutes=1)
    received = batches(post_bulk_update, sender=Audiobook)
    book.name, book.minutes = "b", 2
    Audiobook.objects.bulk_update([book], ["name", "minutes"])
    (batch,) = received
    assert (batch.changes("name"), batch.changes("minutes")) == ([(book.pk, "a", "b")], [(book.pk, 1, 2)])


def test_b5_the_order_of_children_is_a_bulk_update(row_changes):
    novel = Novel.objects.create()
    first, second = (Chapter.objects.create(novel=novel) for _ in range(2))
    received = row_changes(Chapter, "_order")
    novel.set_chapter_order([second.pk, first.pk])
    assert sorted(received) == [(first.pk, {"_order": (0, 1)}), (second.pk, {"_order": (1, 0)})]


BULK_UPDATES = {
    "all": lambda objects: Article.objects.bulk_update(objects, ["words"]),
    "a generator": lambda objects: Article.objects.bulk_update(iter(objects), ["words"]),
    "nothing": lambda objects: Article.objects.bulk_update([], ["words"]),
    "batches": lambda objects: Article.objects.bulk_update(objects, ["words"], 2),
    "batches by name": lambda objects: Article.objects.bulk_update(objs=objects, fields=["words"], batch_size=1),
    "names that come once": lambda objects: Article.objects.bulk_update(objects, (name for name in ["words"])),
    "a filter": lambda objects: Article.objects.filter(title="1").bulk_update(objects, ["words"]),
    "no fields": lambda objects: Article.objects.bulk_update(objects, []),
    "a size that is none": lambda objects: Article.objects.bulk_update(objects, ["words"], -1),
    "the key": lambda objects: Article.objects.bulk_update(objects, ["id"]),
    "a field that is not there": lambda objects: Article.objects.bulk_update(objects, ["no"]),
    "an object without a key": lambda objects: Article.objects.bulk_update([Article()], ["words"]),
    "a parent that is not stored": lambda objects: Article.objects.bulk_update(
        [Article(pk=objects[0].pk, author=Writer())], ["author"]
    ),
    "a value that does not fit": lambda objects: Article.objects.bulk_update(set_words(objects[:1], "x"), ["words"]),
}


@in_a_test_case
@pytest.mark.parametrize("values", OF_OBJECTS.values(), ids=OF_OBJECTS)
def test_b5_old_and_new_are_what_was_stored_and_what_is(batches, row_changes, of_each_kind, values):
    received, rows, given = batches(post_bulk_update), row_changes(Article), values()
    for one, (name, value) in itertools.product(of_each_kind[:2], given.items()):
        setattr(one, name, value)
    assert_truth(lambda: Article.objects.bulk_update(of_each_kind, [*given]), given, received, rows)


@in_a_test_case
@pytest.mark.parametrize("update", BULK_UPDATES.values(), ids=BULK_UPDATES)
def test_b5_results_and_errors_of_bulk_update_are_those_of_django(listen, update):
    def updated():
        with transaction.atomic():
            result = outcome_of(lambda: update(set_words(articles(1, 2, 3), 11, 12, 13)))
            stored = [*Article.objects.order_by("title").values_list("title", "words")]
            transaction.set_rollback(True)
        return result, stored

    plain = updated()
    for signal, options in [*((signal, {}) for signal in WRITES), (post_save, {"bulk": True})]:
        listen(signal, **options)
    assert updated() == plain


def test_b5_batches_of_the_database_are_one_event(batches):
    objects = set_words(articles(1, 2, 3), 11, 12, 13)
    received = batches(post_bulk_update)
    Article.objects.bulk_update(objects, ["words"], batch_size=2)
    assert [len(batch.updated) for batch in received] == [3]


def test_b5_it_takes_no_statements_more_than_those_that_read_the_rows(batches):
    objects = articles(1, 2)
    plain = shapes(lambda: Article.objects.bulk_update(set_words(objects, 3, 4), ["words"]))
    batches(post_bulk_update)
    received = shapes(lambda: Article.objects.bulk_update(set_words(objects, 5, 6), ["words"]))
    assert len(received) <= len(plain) + READS + LOCK


@in_a_test_case
def test_b5_fields_that_are_not_loaded_are_not_loaded_for_it(row_changes, listen):
    articles(1)

    def rename():
        article = Article.objects.only("title").get()
        article.title += "!"
        Article.objects.bulk_update([article], ["title"])

    plain = shapes(rename)
    received, _ = (
        row_changes(Article, "title", "words"),
        listen(pre_save, sender=Article, bulk=True, when=changed("words")),
    )
    assert len(shapes(rename)) <= len(plain) + READS + LOCK
    assert [changes for _, changes in received] == [{"title": ("1!", "1!!")}]
