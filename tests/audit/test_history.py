"""The entries of a row, of a model, of everything."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from heliograph.audit import audit, history
from heliograph.audit.models import ChangeSet
from tests.app.models import Article, Draft, Pinned, Post, Seat, Ticket

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def told(entries):
    return [(one.kind.model, one.action, one.object) for one in entries]


@pytest.fixture
def article():
    audit(Article)
    article = Article.objects.create(title="a")
    article.words = 1
    article.save()
    article.title = "b"
    article.save()
    return article


def test_l13_the_history_of_a_row_is_its_entries_the_newest_first(article):
    Article.objects.create()

    assert [(one.action, one.fields) for one in history(article)][:2] == [
        ("updated", ("title", "updated")),
        ("updated", ("updated", "words")),
    ]
    assert history(article).count() == 3
    assert [one.id for one in history(Article)] == [*range(history().latest().id, history().earliest().id - 1, -1)]


def test_the_history_of_a_deleted_row_is_found_by_its_key():
    audit(Ticket)
    ticket = Ticket.objects.create()
    key = ticket.pk
    ticket.delete()

    for name in (key, str(key), key.hex):
        assert told(history((Ticket, name))) == [
            ("app.Ticket", "deleted", str(key)),
            ("app.Ticket", "created", str(key)),
        ]
    assert told(history(("app.Ticket", key))) == told(history((Ticket, key)))


def test_a_composite_key_names_a_row():
    audit(Seat)
    seat = Seat.objects.create(row=1, number=2)
    Seat.objects.create(row=1, number=3)

    assert len(history(seat)) == 1
    assert told(history((Seat, (1, 2)))) == told(history((Seat, ("1", "2")))) == told(history(seat))


def test_the_history_of_a_child_has_the_entries_of_its_parents():
    audit(Pinned)
    pinned = Pinned.objects.create(text="a", rank=1)
    Post.objects.create()
    key = pinned.pk
    before = {("app.Post", "created", str(key)), ("app.Pinned", "created", str(key))}

    assert {*told(history(pinned))} == {*told(history((Pinned, key)))} == before
    assert {*told(history(Post.objects.get(pk=key)))} == {("app.Post", "created", str(key))}
    assert len(history(Pinned)) == 3


def test_the_history_of_a_proxy_is_that_of_its_model():
    audit(Post)
    draft = Draft.objects.create()

    assert told(history(draft)) == told(history(Draft)) == [("app.Post", "created", str(draft.pk))]


def test_entries_are_found_by_field_and_action(article):
    entries = history(article)

    assert [one.fields for one in entries.changing("words").actions("updated")] == [("updated", "words")]
    assert len(entries.changing("words", "title")) == 3
    assert len(entries.changing("word")) == 0
    assert told(entries.actions("created", "deleted")) == [("app.Article", "created", str(article.pk))]
    with pytest.raises(ValueError, match="saved"):
        entries.actions("saved")


def test_entries_are_found_by_actor(article):
    ada = User.objects.create(username="ada")
    newest = history(article).latest()
    ChangeSet._base_manager.filter(pk=newest.change_set_id).update(actor=f"auth.User {ada.pk}")
    oldest = history(article).earliest()
    ChangeSet._base_manager.filter(pk=oldest.change_set_id).update(actor="cron")

    assert [*history(article).by(ada)] == [*history(Article).by(f"auth.User {ada.pk}")] == [newest]
    assert [*history(article).by("cron")] == [oldest]
    assert len(history(article).by(None)) == 1


def test_entries_are_found_by_time(article):
    third, second, first = history(article)
    for entry, days in ((first, 3), (second, 2), (third, 1)):
        at = third.at - timedelta(days=days)
        ChangeSet._base_manager.filter(pk=entry.change_set_id).update(at=at)
    day = timedelta(days=1)

    assert [*history(article).between(third.at - 2 * day, third.at - day)] == [second]
    assert [*history(article).between(third.at - 2 * day)] == [third, second]
    assert [*history(article).between(end=third.at - 2 * day)] == [first]


def test_entries_of_a_transaction_are_also_those_of_its_other_actors(article):
    with transaction.atomic():
        one, two = Article.objects.create(), Article.objects.create()
    entry = history(one).get()
    other = history(article).latest()
    ChangeSet._base_manager.filter(pk=other.change_set_id).update(first=entry.change_set_id)
    other = history(article).latest()

    for of in (entry, other, entry.change_set):
        assert [*history().in_transaction_of(of)] == [history(two).get(), entry, other]
    assert [*history(two).in_transaction_of(entry)] == [history(two).get()]


def test_the_history_of_a_row_is_in_its_database():
    audit(Article)
    article = Article.objects.using("other").create()

    assert len(history(article)) == len(history(Article, using="other")) == len(history(Article).using("other")) == 1
    assert len(history(Article)) == 0


def test_the_history_of_what_is_no_row_is_refused():
    with pytest.raises(TypeError, match=r"history\(\) takes an instance, a model, or \(model, key\), and not 5\."):
        history(5)
    with pytest.raises(ValueError, match=r"has no primary key, as after delete\(\): give \(Article, key\)"):
        history(Article())
    with pytest.raises(ValueError, match=r"'x' is no primary key of app\.Ticket\."):
        history((Ticket, "x"))
    with pytest.raises(ValueError, match="is no primary key"):
        history((Seat, uuid.uuid4()))


def test_a_kind_that_there_is_not_yet_is_asked_for_when_the_history_is_read(article):
    deletions = history(Article).actions("deleted")
    assert not deletions.exists()

    article.delete()

    assert deletions.all().count() == 1


def test_reading_a_history_takes_one_query_and_one_for_each_condition_on_kinds(article, django_assert_num_queries):
    with django_assert_num_queries(4):
        _ = [(one.changes, one.actor, one.action) for one in history(article).changing("title").actions("updated")]
