"""Updates and deletions of rows that no receiver can be about: they have the statements of Django."""

import pytest
from django.db.models import F

from heliograph import Inline, changed, created, has, raw, update_fields
from heliograph.signals import post_save, pre_bulk_delete, pre_update
from tests.app.models import Article, Desk, Seat, Writer
from tests.helpers.statements import statements
from tests.helpers.writes import articles, make_desks

pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)


def update():
    return statements(lambda: Article.objects.update(words=F("words") + 1))


OF_NEW_ROWS = {
    "created": created,
    "created and not of a fixture": created & ~raw,
    "created with a value": created & has(words=1),
    "only of another field": ~created & update_fields("title"),
}
OF_ALL_ROWS = {
    "created or changed": created | changed("words"),
    "any": None,
    "not of a fixture": ~raw,
    "of the field": update_fields("words"),
    "a function": lambda instance, **kwargs: False,
}


@pytest.mark.parametrize("delivery", [Inline(), Inline(batch=True)])
@pytest.mark.parametrize("when", OF_NEW_ROWS.values(), ids=OF_NEW_ROWS)
def test_an_update_reads_no_rows_for_receivers_of_new_rows(connect, when, delivery):
    articles(2)
    plain = update()
    connect(post_save, dict, sender=Article, when=when, bulk=True, delivery=delivery)
    assert update() == plain


def bulk_update():
    rows = [*Article.objects.order_by("pk")]
    for row in rows:
        row.words += 1
    return statements(lambda: Article.objects.bulk_update(rows, ["words"]))


@pytest.mark.parametrize("delivery", [Inline(), Inline(batch=True)])
@pytest.mark.parametrize("when", OF_NEW_ROWS.values(), ids=OF_NEW_ROWS)
def test_a_bulk_update_reads_no_rows_for_receivers_of_new_rows(connect, when, delivery):
    articles(2)
    plain = [sql.split()[0] for sql in bulk_update()]
    connect(post_save, dict, sender=Article, when=when, bulk=True, delivery=delivery)
    assert [sql.split()[0] for sql in bulk_update()] == plain
    assert "RETURNING" not in "".join(bulk_update())


@pytest.mark.parametrize("when", OF_ALL_ROWS.values(), ids=OF_ALL_ROWS)
def test_a_bulk_update_finds_its_rows_for_receivers_of_others(connect, when):
    articles(2)
    plain = bulk_update()
    connect(post_save, dict, sender=Article, when=when, bulk=True)
    assert bulk_update() != plain


def test_the_statements_of_a_bulk_update_that_nobody_awaits_are_no_updates(connect, listen):
    articles(2)
    connect(post_save, dict, sender=Article, when=created, bulk=True)
    received = listen(pre_update, sender=Article)
    bulk_update()
    assert received == []


@pytest.mark.parametrize("when", OF_ALL_ROWS.values(), ids=OF_ALL_ROWS)
def test_an_update_finds_its_rows_for_receivers_of_others(connect, when):
    articles(2)
    plain = update()
    connect(post_save, dict, sender=Article, when=when, bulk=True)
    assert update() != plain


def test_rows_with_new_keys_are_received_as_created(listen):
    (article,) = articles(1)
    received = listen(post_save, sender=Article, when=created, bulk=True)
    Article.objects.update(id=article.pk + 1)
    assert [one.payload["created"] for one in received] == [True]


def test_a_column_by_its_name_in_the_database_is_its_field(listen):
    articles(1)
    writer = Writer.objects.create(name="Ada")
    received = listen(post_save, sender=Article, when=~created & update_fields("author"), bulk=True)
    Article.objects.update(author_id=writer.pk)
    assert len(received) == 1


def refusal(**values):
    """Return the error by which Django refuses an update."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # versions of Django differ in it
        Writer.objects.update(**values)
    return repr(caught.value)


@pytest.mark.parametrize("values", [{"novels": 1}, {"nam": "x"}, {"name__x": "x"}], ids=str)
def test_what_django_refuses_is_refused_as_ever(connect, values):
    plain = refusal(**values)
    connect(post_save, dict, sender=Writer, when=created, bulk=True)
    assert refusal(**values) == plain


def test_keys_that_a_deletion_empties_are_not_read_for_receivers_of_new_rows(connect):
    def delete():
        writer = Writer.objects.create(name="Ada")
        Article.objects.create(author=writer)
        return [sql for sql in statements(writer.delete) if "app_article" in sql]

    plain = delete()
    connect(post_save, dict, sender=Article, when=created & ~raw, bulk=True)
    assert [sql.split()[0] for sql in delete()] == [sql.split()[0] for sql in plain]


@pytest.mark.parametrize("of", ["parents", "rows", "one row"])
def test_a_deletion_returns_no_rows_to_receivers_that_are_called_before_it(connect, of):
    connect(pre_bulk_delete, dict, sender=[Desk, Seat])
    branch = make_desks(2)
    seat = Seat.objects.create(row=1, number=1)
    deletions = {"parents": branch.delete, "rows": Desk.objects.all().delete, "one row": seat.delete}
    sent = statements(deletions[of])
    assert [sql for sql in sent if "RETURNING" in sql or "FOR UPDATE" in sql] == []
