"""An entry gives its changes as values of the fields."""

import datetime
import json
import uuid
from decimal import Decimal

import pytest

from heliograph import NO_ROW, UNKNOWN, Change
from heliograph.audit import MASKED, CutText, Related, audit
from heliograph.audit.models import ChangeSet, Entry, Kind
from tests.app.models import Article, Band, Song, Ticket

pytestmark = pytest.mark.django_db(transaction=True)


def entry(label, action, stored):
    """Return an entry that was not written, with this JSON."""
    text = "" if stored is None else json.dumps(stored)
    kind = Kind(id=1, model=label, action=action, fields=f",{','.join(sorted(stored or ['title']))},")
    return Entry(kind=kind, change_set=ChangeSet(actor="auth.User 7", actor_label="ada", reason="why"), text=text)


def last():
    return Entry.objects.select_related("kind", "change_set").latest()


def test_an_update_has_old_and_new_values():
    audit(Article)
    published = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
    article = Article.objects.create(price=Decimal("1.50"), labels=["a"])

    article.price, article.labels, article.published = Decimal("2.00"), ["b"], published
    article.save()

    changes = last().changes
    assert changes["price"] == Change(Decimal("1.50"), Decimal("2.00"))
    assert changes["labels"] == Change(["a"], ["b"])
    assert changes["published"] == Change(None, published)


def test_a_created_row_had_no_values_and_a_deleted_one_has_none():
    audit(Ticket)
    ticket = Ticket.objects.create(state="open")
    created = last()
    ticket.delete()

    assert (created.action, created.changes) == ("created", {"state": Change(NO_ROW, "open")})
    assert (last().action, last().changes) == ("deleted", {"state": Change("open", NO_ROW)})


def test_a_relation_has_the_keys_that_were_added_and_removed():
    audit(Band)
    band, song = Band.objects.create(), Song.objects.create(slug="a")
    band.hidden.add(song)

    assert last().changes == {"hidden": Related((song.pk,), ())}


def test_a_masked_field_says_only_that_it_has_changed():
    assert entry("app.Article", "updated", {"title": "masked"}).changes == {"title": Change(MASKED, MASKED)}
    assert entry("app.Article", "created", {"title": "masked"}).changes == {"title": Change(NO_ROW, MASKED)}


def test_a_forgotten_entry_has_no_changes_and_keeps_the_names():
    forgotten = entry("app.Article", "updated", None)

    assert (forgotten.changes, forgotten.is_forgotten, forgotten.fields) == ({}, True, ("title",))


def test_a_text_that_was_cut_says_so():
    stored = {"title": {"old": "lon", "new": "short", "cut": [900, 0]}}
    [change] = entry("app.Article", "updated", stored).changes.values()

    assert (change.old, change.old.length) == ("lon", 900)
    assert repr(change.old) == "<the first 3 of 900 characters: 'lon'>"
    assert (isinstance(change.old, CutText), isinstance(change.new, CutText)) == (True, False)


def test_a_field_or_a_model_that_is_gone_is_given_as_stored():
    gone = entry("app.Article", "updated", {"isbn": [{"$": "uuid", "value": str(uuid.UUID(int=1))}, "b"]})
    of_no_model = entry("gone.Model", "updated", {"isbn": ["a", "b"]})

    assert gone.changes == {"isbn": Change(uuid.UUID(int=1), "b")}
    assert (of_no_model.model, of_no_model.changes) == (None, {"isbn": Change("a", "b")})


def test_a_value_has_the_type_of_its_field():
    assert entry("app.Article", "updated", {"words": ["1", 2]}).changes == {"words": Change(1, 2)}
    assert entry("app.Article", "updated", {"words": ["many", 2]}).changes == {"words": Change("many", 2)}


def test_a_value_that_nobody_knows_is_unknown():
    stored = {"words": [{"$": "unknown", "value": None}, 2]}

    assert entry("app.Article", "updated", stored).changes == {"words": Change(UNKNOWN, 2)}


def test_a_value_of_a_kind_that_this_release_does_not_know_is_given_as_stored():
    stored = {"$": "of tomorrow", "value": 1}

    assert entry("app.Article", "updated", {"words": [stored, 2]}).changes == {"words": Change(stored, 2)}


def test_a_foreign_key_says_how_its_object_was_called():
    named = entry("app.Article", "updated", {"author": {"old": 1, "new": 2, "names": ["Ada", "Bob"]}})

    assert (named.changes, named.names) == ({"author": Change(1, 2)}, {"author": Change("Ada", "Bob")})


def test_an_entry_says_who_and_why():
    one = entry("app.Article", "updated", {"words": [1, 2]})

    assert (one.actor, one.actor_label, one.reason, one.model) == ("auth.User 7", "ada", "why", Article)


def test_changes_of_an_entry_ask_nothing(django_assert_num_queries):
    audit(Ticket)
    Ticket.objects.create()

    with django_assert_num_queries(1):
        _ = [(one.changes, one.action, one.actor) for one in Entry.objects.select_related("kind", "change_set")]
