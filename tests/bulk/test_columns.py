"""The values of the rows of a bulk write, which are converted when somebody asks for their column."""

import pytest

from heliograph import BeforeCommit, changed
from heliograph.changes.columns import Columns, Constant, RowOf
from heliograph.signals import post_save
from tests.app.models import Article


@pytest.fixture
def conversions(monkeypatch):
    """The titles that were converted from what the database sends."""
    converted = []

    def convert(value, expression, connection):
        converted.append(value)
        return value.upper()

    monkeypatch.setattr(Article._meta.get_field("title"), "from_db_value", convert, raising=False)
    return converted


def batches_of(receive, when, ask):
    @receive(post_save, sender=Article, when=when, bulk=True, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        ask(batch)


@pytest.mark.django_db
def test_values_of_a_watched_field_that_an_update_does_not_set_are_converted_only_for_who_asks(receive, conversions):
    Article.objects.bulk_create(Article(title=title, words=1) for title in "ab")
    got = []
    batches_of(receive, changed("title", "words"), lambda batch: got.append(batch.changes("words")))
    Article.objects.update(words=2)
    assert [(old, new) for _, old, new in got[0]] == [(1, 2), (1, 2)]
    assert conversions == []


@pytest.mark.django_db
def test_values_are_converted_once_and_are_the_same_before_and_after(receive, conversions):
    Article.objects.bulk_create(Article(title=title, words=1) for title in "ab")
    got = []

    def ask(batch):
        got.extend((event.old("title"), event.new("title")) for event in batch.events for _ in range(2))

    batches_of(receive, changed("title", "words"), ask)
    Article.objects.update(words=2)
    assert sorted(got) == [("A", "A")] * 2 + [("B", "B")] * 2
    assert sorted(conversions) == ["a", "b"]


@pytest.mark.django_db
def test_equal_values_of_a_column_are_converted_once(receive, conversions):
    Article.objects.bulk_create(Article(title=title, words=1) for title in "aab")
    got = []
    batches_of(receive, changed("title", "words"), lambda batch: got.extend(batch.values("title", "words")))
    Article.objects.update(words=2)
    assert sorted(old for _, old, _ in got) == [("A", 1), ("A", 1), ("B", 1)]
    assert sorted(conversions) == ["a", "b"]


@pytest.mark.django_db
def test_rows_share_no_value_that_a_receiver_may_change(receive):
    Article.objects.bulk_create(Article(labels=["new"], words=1) for _ in range(2))
    got = []
    batches_of(receive, changed("labels", "words"), lambda batch: got.extend(batch.values("labels")))
    Article.objects.update(words=2)
    (one,), (other,) = (old for _, old, _ in got)
    assert one == other == ["new"]
    assert one is not other


@pytest.mark.django_db
def test_values_that_an_update_sets_are_converted_before_they_are_compared(receive, conversions):
    Article.objects.bulk_create(Article(title=title, words=1) for title in "ab")
    got = []
    batches_of(receive, changed("title"), lambda batch: got.extend(batch.changes("title")))
    Article.objects.filter(title="a").update(title="B")
    assert [(old, new) for _, old, new in got] == [("A", "B")]


def test_rows_at_some_places_have_the_objects_that_were_converted_before():
    table = Columns([(1, "a"), (2, "b"), (3, "c")], {1: lambda column: [[value] for value in column]})
    column = table[1]
    some = table.only([0, 2])
    assert some[1][1] is column[2]
    assert some.rows(2) == [(1, ["a"]), (3, ["c"])]


def test_a_row_looks_its_values_up_in_columns_and_constants():
    row = RowOf(Columns([(1, "a"), (2, "b")]), (0, Constant("x"), 1), 1)
    assert [*row] == [2, "x", "b"]
    assert (row[1], row[1:], len(row)) == ("x", ["x", "b"], 3)
