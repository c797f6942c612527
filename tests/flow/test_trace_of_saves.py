"""The trace of a save: who was called, who was not and why, what was put off, and whose queries were made."""

import json
import re

import pytest
from django.db import connection, transaction

from heliograph import BeforeCommit, Inline, OnCommit, changed, created, mute, trace
from heliograph.dispatch import Skipped
from heliograph.dispatch.skip_reasons import KeptAway, Muted, NoNetChange, NoRowIsDue, NotDue
from heliograph.flow.observed_database import Queried
from heliograph.signals import post_delete, post_save
from tests.app.models import Article
from tests.app.models_of_books import Genre
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db(transaction=True)


def shown(flow):
    """Return the lines of a trace without times and without the place where receivers are defined."""
    return re.sub(r" [\d.]+ ms|[\w.]+<locals>\.", "", str(flow)).splitlines()


def reasons(flow):
    return [one.event.reason for one in flow.tree.nodes() if isinstance(one.event, Skipped)]


def test_v3_queries_are_counted_to_who_has_made_them(receive):
    @receive(post_save, sender=Article)
    def make_genre(**kwargs):
        list(Genre.objects.all())
        list(Genre.objects.all())
        Genre.objects.create()

    Article.objects.create()  # a new connection asks the server for its version
    with trace() as flow:
        Article.objects.create()

    assert [line for line in shown(flow) if "django.db" not in line] == [
        "save app.Article, 1 query",
        "    make_genre, 2 queries",
        f"        2 x {Genre.objects.all().query}",
        "      save app.Genre, 1 query",
    ]


def test_v2_a_receiver_whose_condition_does_not_hold_says_with_which_values(receive):
    article = Article.objects.create(words=1)

    @receive(post_save, sender=Article, when=created | changed("words", to=3))
    def record(**kwargs):
        raise AssertionError

    article = Article.objects.get(pk=article.pk)
    article.words = 2
    with trace() as flow:
        article.save()

    (reason,) = reasons(flow)
    assert type(reason) is NotDue
    assert str(reason).endswith(": created is False, changed('words', to=3) is False: words 1 -> 2")


def test_v2_another_database_a_mute_and_a_batch_without_rows_are_reasons(receive):
    article = Article.objects.create(words=1)

    @receive(post_save, sender=Article, using="other")
    def of_other_database(**kwargs):
        raise AssertionError

    @receive(post_save, sender=Article)
    def silent(**kwargs):
        raise AssertionError

    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit(batch=True))
    def of_batch(batch, **kwargs):
        raise AssertionError

    article = Article.objects.get(pk=article.pk)
    with trace() as flow, mute(silent):
        article.save()

    assert {type(reason) for reason in reasons(flow)} == {KeptAway, Muted, NoRowIsDue}


def test_v2_a_batch_that_comes_to_nothing_at_once_has_one_reason(receive):
    article = Article.objects.create()

    @receive(post_save, sender=Article, when=created, delivery=Inline(batch=True))
    def of_new_rows(batch, **kwargs):
        raise AssertionError

    with trace() as flow:
        article.save()

    assert [*map(str, reasons(flow))] == ["when=created holds for no row of the batch"]


def test_v2_a_batch_whose_rows_are_as_before_has_a_reason_of_its_own(receive):
    @receive([post_save, post_delete], sender=Article, delivery=BeforeCommit(batch=True))
    def of_batch(batch, **kwargs):
        raise AssertionError

    with trace() as flow, transaction.atomic():
        Article.objects.create().delete()

    assert [*map(type, reasons(flow))] == [NoNetChange]


def test_v3_a_call_that_is_put_off_is_below_its_send_in_autocommit_and_in_a_transaction(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def before(**kwargs): ...

    @receive(post_save, sender=Article, delivery=OnCommit())
    def after(**kwargs): ...

    with trace() as alone:
        Article.objects.create()
    with trace() as together, transaction.atomic():
        Article.objects.create()

    put_off = ["before is put off: BeforeCommit()", "before", "after is put off: OnCommit()", "after"]
    for flow in (alone, together):
        assert [line.strip() for line in shown(flow) if "django" not in line and "save " not in line] == put_off


def test_v5_json_has_names_and_no_values(receive):
    @receive(post_save, sender=Article, when=changed("words"))
    def record(**kwargs): ...

    article = Article.objects.create(slug="unmistakable")
    with trace() as flow:
        article.save()

    found = json.loads(flow.to_json())
    assert found["version"] == 1
    (save,) = found["nodes"]
    assert (save["kind"], save["sender"], [one["kind"] for one in save["children"]]) == (
        "save",
        "app.Article",
        ["send", "send"],
    )
    assert "unmistakable" not in flow.to_json()


def test_sql_is_shown_on_demand():
    with trace(sql=True) as flow:
        Genre.objects.create()

    assert [line for line in shown(flow) if "INSERT" in line]


def test_queries_outside_of_saves_are_kept_beside_the_tree():
    connection.ensure_connection()
    with trace() as flow, connection.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert [query.sql for query in flow.tree.queries] == ["SELECT 1"]
    assert str(flow) == "No signal was sent."


def test_the_patches_of_a_trace_end_with_it():
    with trace():
        assert "observe" in {step for one in patched_methods() for step in one.steps}
    assert "observe" not in {step for one in patched_methods() for step in one.steps}


def test_v9_a_trace_changes_neither_who_is_called_nor_how_often(receive):
    called = []

    @receive(post_save, sender=Article, when=created)
    def first(**kwargs):
        called.append("first")

    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def second(**kwargs):
        called.append("second")

    Article.objects.create()
    unwatched, called[:] = [*called], []
    with trace() as flow:
        Article.objects.create()

    assert called == unwatched == ["second", "first"]
    assert any(isinstance(event, Queried) for event in flow.events)
