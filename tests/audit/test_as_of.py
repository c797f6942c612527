"""Rows, relations and models as they were."""

import copy
import pickle
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from heliograph.audit import ReadOnlyError, UnknownPastError, as_of, audit, history, keys_as_of, past
from heliograph.audit.digests import number_of
from heliograph.audit.first_entries import FirstEntries
from heliograph.audit.models import ChangeSet, Entry, Kind
from heliograph.audit.points_in_time import point_of
from tests.app.models import Account, Article, Band, Pinned, Post, Seat, Song, Ticket, Writer
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture
def article():
    """An article with words 1, 2 and 3, each written in a transaction of its own."""
    audit(Article, exclude=["slug"], mask=["cover"])
    article = Article.objects.create(title="a", words=1, price=Decimal("1.50"))
    for words in (2, 3):
        article.words = words
        article.save()
    return article


def entries(what):
    return [*history(what).order_by("id")]


def shift(entry, **ago):
    """Let a change set have been written earlier."""
    ChangeSet._base_manager.filter(pk=entry.change_set_id).update(at=now() - timedelta(**ago))


def forget(entry):
    Entry._base_manager.filter(pk=entry.pk).update(text="", salt="")


def rename_field(entry, old, new):
    """Let a field of an entry have had another name, as before a migration."""
    name = entry.kind.fields.replace(f",{old},", f",{new},")
    columns = (entry.kind.model, entry.kind.action, name)
    kind = Kind(id=number_of(columns), model=columns[0], action=columns[1], fields=name)
    QuerySet(Kind).bulk_create([kind], ignore_conflicts=True)
    text = entry.text.replace(f'"{old}"', f'"{new}"')
    Entry._base_manager.filter(pk=entry.pk).update(kind_id=number_of(columns), text=text)


# --- moments ------------------------------------------------------------------------------------------------------


def test_l9_a_row_is_as_it_was_at_a_time(article):
    for entry, days in zip(entries(article), (3, 2, 1), strict=True):
        shift(entry, days=days)
    at = {days: now() - timedelta(days=days) for days in (0.5, 1.5, 2.5, 3.5)}

    assert [as_of(article, at[days]).words for days in (0.5, 1.5, 2.5)] == [3, 2, 1]
    assert as_of(article, at[3.5]) is None
    was = as_of(article, at[1.5])
    assert (was.title, was.price, was.pk, type(was)) == ("a", Decimal("1.50"), article.pk, Article)


def test_l9_an_entry_stands_for_its_transaction_and_before_leaves_it_out(article):
    first, second, third = entries(article)

    assert [as_of(article, one).words for one in (first, second, third)] == [1, 2, 3]
    assert [as_of(article, one, before=True).words for one in (second, third)] == [1, 2]
    assert as_of(article, first, before=True) is None
    assert as_of(article, second.change_set).words == 2


def test_l9_a_time_has_what_was_written_until_then_and_before_leaves_it_out(article):
    shift(entries(article)[0], days=2)
    shift(entries(article)[1], days=1)
    second = entries(article)[1]

    assert as_of(article, second.at).words == 2
    assert as_of(article, second.at, before=True).words == 1


def test_l9_a_transaction_is_a_moment_as_a_whole(article):
    with transaction.atomic():
        article.words = 9
        article.save()
        other = Article.objects.create(words=8)

    for entry in (history(article).latest(), history(other).get()):
        assert (as_of(article, entry).words, as_of(other, entry).words) == (9, 8)
        assert (as_of(article, entry, before=True).words, as_of(other, entry, before=True)) == (3, None)


def test_l9_a_moment_right_before_a_change_is_before_it(article):
    found = []
    for words in range(4, 24):
        moment = now()
        article.words = words
        article.save()
        found.append((as_of(article, moment).words, as_of(article, now()).words))
    assert found == [(words - 1, words) for words in range(4, 24)]


def test_l9_what_is_no_moment_is_refused(article):
    with pytest.raises(TypeError, match="A point in time is a datetime, an entry or a change set"):
        as_of(article, "yesterday")
    with pytest.raises(ValueError, match="has no time zone"):
        as_of(article, datetime(2026, 1, 1))
    with pytest.raises(UnknownPastError, match="has no entries of the change set 0 any more"):
        as_of(article, ChangeSet(id=0, at=now()))


# --- rows ---------------------------------------------------------------------------------------------------------


def test_l9_a_deleted_row_is_as_it_was(article):
    key = article.pk
    article.delete()
    *_, third, deleted = entries((Article, key))

    assert as_of((Article, key), third).words == 3
    assert as_of((Article, key), deleted) is None
    assert as_of((Article, key), deleted, before=True).title == "a"


def test_l9_a_row_that_is_older_than_the_log_is_as_it_was():
    article = Article.objects.create(words=1)
    audit(Article)
    article.words = 2
    article.save()

    assert as_of(article, now() - timedelta(days=1)).words == 1


def test_l9_a_key_that_had_another_row_before(article):
    key = article.pk
    article.delete()
    Article.objects.create(pk=key, title="another")
    first = entries((Article, key))[0]

    assert as_of((Article, key), first).title == "a"
    assert [one.title for one in as_of(Article, first)] == ["a"]


def test_l9_a_child_is_as_it_was_in_all_its_tables():
    audit(Pinned)
    pinned = Pinned.objects.create(text="a", rank=1)
    made = history(pinned).latest()
    pinned.text, pinned.rank = "b", 2
    pinned.save()
    changed = history(pinned).latest()
    key = pinned.pk
    pinned.delete()

    for moment, values in ((made, ("a", 1)), (changed, ("b", 2))):
        was = as_of((Pinned, key), moment)
        assert (was.text, was.rank, was.id, was.post_ptr_id) == (*values, key, key)
        assert as_of((Post, key), moment).text == values[0]
    assert [(one.text, one.rank) for one in as_of(Pinned, made)] == [("a", 1)]


def test_l9_composite_and_uuid_keys():
    audit(Seat)
    audit(Ticket)
    seat, ticket = Seat.objects.create(row=1, number=2, guest="a"), Ticket.objects.create()
    made = history(ticket).get()
    Seat.objects.update(guest="b")
    ticket.delete()

    assert as_of(seat, made).guest == "a"
    assert [one.guest for one in as_of(Seat, made)] == ["a"]
    assert [one.state for one in as_of(Ticket, made)] == ["new"]


def test_l9_a_row_of_another_database():
    audit(Ticket)
    ticket = Ticket.objects.using("other").create(state="a")
    made = history(ticket).get()
    ticket.state = "b"
    ticket.save()

    was = as_of(ticket, made)
    assert (was.state, was._state.db) == ("a", "other")
    assert [one.state for one in as_of(Ticket, made)] == ["a"]
    assert [one.state for one in as_of(Ticket, now(), using="other")] == ["b"]


def test_l9_a_model_is_as_it_was(article):
    kept, gone = Article.objects.create(title="kept"), Article.objects.create(title="gone")
    moment = history(gone).get()
    Article.objects.create(title="later")
    gone.delete()
    Article.objects.update(title="changed")

    assert [(one.pk, one.title) for one in as_of(Article, moment)] == [
        (article.pk, "a"),
        (kept.pk, "kept"),
        (kept.pk + 1, "gone"),
    ]
    assert [one.title for one in as_of(Article, moment, keys=[kept.pk])] == ["kept"]


def test_l9_a_model_takes_four_queries_for_each_thousand_rows(monkeypatch):
    audit(Ticket)
    Ticket.objects.bulk_create([Ticket() for _ in range(25)])
    moment = history(Ticket).latest()
    Ticket.objects.update(state="b")
    Ticket.objects.all()[0].delete()
    monkeypatch.setattr("heliograph.audit.past_rows.CHUNK", 10)

    with counted() as queries:
        rows = [*as_of(Ticket, moment)]

    assert ({one.state for one in rows}, len(rows), len({one.pk for one in rows})) == ({"new"}, 25, 25)
    # The moment, pruned ones, the kinds; three chunks of rows, and the end of them; the deletion, and the end of them.
    assert len(queries) <= 4 + 3 * 4 + 1 + 13


def test_l9_a_row_takes_few_queries(article):
    first = entries(article)[0]

    with counted() as queries:
        as_of(article, first.at)

    # Pruned ones, the kinds, the row, the numbers of the entries after the moment, these entries, the kinds again.
    assert len(queries) == 6


def test_l9_a_row_that_was_changed_often_reads_one_entry_of_each_kind(article):
    first = entries(article)[0]
    for number in range(20):
        article.words = number + 10
        article.save()
    with transaction.atomic():
        article.title, article.words = "z", 99
        article.save()
    found = FirstEntries(point_of(first, before=False, using="default"), ["app.Article"])

    assert [one.fields for one in found.of_objects([str(article.pk)])] == [
        ("updated", "words"),
        ("title", "updated", "words"),
    ]
    assert (as_of(article, first).words, as_of(article, first).title) == (1, "a")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a statement that reads keeps the writer out")
def test_l9_an_entry_of_a_kind_that_was_new_meanwhile_is_read(article):
    Article.objects.update(words=4)  # so that this kind is there before
    now = entries(article)[-1]

    def write():
        Article.objects.filter(pk=article.pk).update(title="x", words=50)
        Article.objects.filter(pk=article.pk).update(words=51)

    def write_before_the_entries(execute, sql, params, many, context):
        if writes and "GROUP BY" in sql:
            in_thread(writes.pop())
        return execute(sql, params, many, context)

    writes = [write]
    with connection.execute_wrapper(write_before_the_entries):
        was = as_of(article, now)

    assert (was.words, was.title, writes) == (4, "a", [])


@contextmanager
def counted():
    queries = []

    def count(execute, sql, *arguments):
        queries.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(count):
        yield queries


# --- what is not known --------------------------------------------------------------------------------------------


def test_l9_a_field_that_the_audit_leaves_out_is_told(article):
    was = as_of(article, entries(article)[0])

    assert past(was).unknown["slug"] == "the audit of the model leaves it out"
    with pytest.raises(
        UnknownPastError,
        match=r"Nobody knows of this app\.Article as it was \(after .*\): slug \(the audit of the model leaves it out",
    ):
        _ = was.slug


def test_l9_a_computed_field_is_told():
    audit(Account)
    account = Account.objects.create(balance=1)
    made = history(account).get()
    account.balance = 2
    account.save()

    was = as_of(account, made)
    assert (was.balance, past(was).unknown) == (1, {"twice": "the database computes it"})


def test_l9_a_masked_field_is_told_after_it_has_changed(article):
    article.cover = "x.png"
    article.save()
    *_, third, fourth = entries(article)

    assert past(as_of(article, third)).unknown["cover"] == f"entry {fourth.pk} has masked it"
    assert as_of(article, fourth).cover.name == "x.png"


def test_l9_a_forgotten_value_is_told_and_not_taken_from_a_later_entry(article):
    first, second, _ = entries(article)
    forget(second)

    was = as_of(article, first)
    assert past(was).unknown["words"] == f"entry {second.pk} was forgotten"
    assert (was.title, as_of(article, second).words) == ("a", 2)


def test_l9_a_text_that_was_cut_is_told(article):
    first, second, _ = entries(article)
    rename_field(second, "words", "title")
    Entry._base_manager.filter(pk=second.pk).update(text='{"title": {"old": "lon", "new": "sho", "cut": [9, 0]}}')

    assert past(as_of(article, first)).unknown["title"] == f"entry {second.pk} has only the beginning of the text"


def test_l9_a_field_that_is_gone_is_told(article):
    first, second, _ = entries(article)
    rename_field(second, "words", "letters")

    was = as_of(article, first)
    assert past(was).gone == {"letters": 1}
    assert was.words == 2  # of the entry that follows


def test_l9_a_field_that_did_not_exist_yet_is_told(article):
    first, second, _ = entries(article)
    rename_field(first, "words", "letters")

    assert past(as_of(article, first)).unknown["words"] == f"the log has it only since entry {second.pk}"
    assert as_of(article, second).words == 2


def test_l9_a_value_of_another_type_is_told(article):
    first, second, _ = entries(article)
    Entry._base_manager.filter(pk=second.pk).update(text='{"words": ["many", 2], "updated": [null, null]}')

    assert past(as_of(article, first)).unknown["words"] == "its type was another one: 'many'"


def test_l9_a_time_before_the_kept_entries_is_refused():
    audit(Ticket, keep=timedelta(days=30))
    ticket = Ticket.objects.create()

    with pytest.raises(UnknownPastError, match=r"Entries of app\.Ticket are kept for 30 days.* is longer ago"):
        as_of(ticket, now() - timedelta(days=31))
    assert as_of(ticket, now()).state == "new"


def test_l9_a_model_that_is_not_audited_is_refused():
    with pytest.raises(TypeError, match=r"app\.Ticket is not audited, .* audit\(Ticket\) in models\.py"):
        as_of(Ticket, now())


def test_l9_a_queryset_is_refused(article):
    with pytest.raises(TypeError, match=r"A queryset selects rows by their values of today.* as_of\(Article, point\)"):
        as_of(Article.objects.filter(words=1), now())
    with pytest.raises(TypeError, match=r"as_of\(\) takes an instance, a model, \(model, key\) or a relation"):
        as_of(5, now())
    with pytest.raises(ValueError, match="has no primary key"):
        as_of(Article(), now())


# --- instances that are read only ---------------------------------------------------------------------------------


def test_l9_a_row_as_it_was_is_not_written(article):
    was = as_of(article, entries(article)[0])

    for write in (
        was.save,
        was.delete,
        lambda: Article.objects.bulk_update([was], ["words"]),
        lambda: Article.objects.bulk_create([was]),
        lambda: copy.copy(was).save(),
        lambda: pickle.loads(pickle.dumps(was)).save(),
    ):
        with pytest.raises(ReadOnlyError, match=r"This is a app\.Article as it was .* is not saved or deleted"):
            write()
    assert Article.objects.get().words == 3


def test_l9_a_row_as_it_was_is_not_refreshed(article):
    with pytest.raises(UnknownPastError, match="refreshed, it would be the row of now"):
        as_of(article, entries(article)[0]).refresh_from_db()


def test_l9_relations_of_a_row_as_it_was_do_not_pretend():
    audit(Band)
    band = Band.objects.create()
    was = as_of(band, history(band).get())

    with pytest.raises(UnknownPastError, match=r"'hidden' would have the rows of now: as_of\(instance\.hidden\)"):
        was.hidden.all()
    with pytest.raises(ReadOnlyError, match="'hidden' are not changed"):
        was.hidden.add(Song.objects.create(slug="a"))


def test_past_takes_what_as_of_returns(article):
    with pytest.raises(TypeError, match="past\\(\\) takes an instance that as_of\\(\\) has returned"):
        past(article)


# --- relations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def band():
    audit(Band)
    audit(Song)
    audit(Writer)
    return Band.objects.create(code="x")


def test_l9_a_relation_is_as_it_was(band):
    one, two, three = (Song.objects.create(slug=slug, name=slug) for slug in "abc")
    band.hidden.add(one, two)
    added, keys = history(band).latest(), {one.pk, two.pk}
    band.hidden.set([two, three])
    Song.objects.update(name="later")
    two.delete()

    assert keys_as_of(band.hidden, added) == keys
    assert keys_as_of(band.hidden, now()) == {three.pk}
    assert [song.name for song in as_of(band.hidden, added)] == ["a", "b"]
    assert keys_as_of(band.hidden, added, before=True) == set()
    assert keys_as_of(as_of(band, added).hidden) == keys_as_of(band.hidden, added)
    assert [song.name for song in as_of(as_of(band, added).hidden)] == ["a", "b"]


def test_l9_a_relation_of_a_deleted_row_is_as_it_was(band):
    song = Song.objects.create(slug="a")
    band.hidden.add(song)
    added, key = history(band).latest(), band.pk
    band.delete()

    assert keys_as_of(as_of((Band, key), added).hidden) == {song.pk}


def test_l9_a_forgotten_relation_is_told(band):
    song = Song.objects.create(slug="a")
    band.hidden.add(song)
    forget(history(band).latest())

    with pytest.raises(UnknownPastError, match=r"Nobody knows hidden of .* was forgotten"):
        keys_as_of(band.hidden, history(song).latest())


def test_l9_what_is_no_relation_is_refused(band):
    song = Song.objects.create(slug="a")

    with pytest.raises(TypeError, match=r"is no many-to-many relation of an instance, as product\.tags is"):
        as_of(Band.objects, now())
    with pytest.raises(TypeError, match="'bands' is the other side of a relation"):
        keys_as_of(song.bands, now())
