"""The statement by which a save locks its row: Django compiles it once, and it reads each row as its query would."""

import sys
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import models
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import isolate_apps, override_settings
from django.utils.timezone import is_aware, now

from heliograph import Change, changed
from heliograph.signals import post_delete, post_save
from tests.app.models import Article, Country, Pinned, Post, Seat, Ticket, Topic
from tests.helpers.stale_copies import elsewhere, locking

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@contextmanager
def compiled_queries():
    """Count how often Django compiles a SELECT in the block."""
    counted = []

    def look(frame, event, argument):
        if event == "call" and frame.f_code is SQLCompiler.as_sql.__code__:
            counted.append(frame.f_locals["self"].query.model)

    sys.setprofile(look)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def stale(instance, **values):
    """Write the row of an instance elsewhere, and save the instance, which does not know."""
    elsewhere(instance, **values)
    instance.save()


def test_the_query_of_a_lock_is_compiled_for_the_first_save_of_a_model_only(changes_by_lock):
    got = changes_by_lock(Post, when=changed("text"))
    first, second = Post.objects.create(text="a"), Post.objects.create(text="b")
    stale(first, text="theirs")
    with compiled_queries() as compiled:
        elsewhere(second, text="theirs")
        before = len(compiled)
        second.save()
    assert len(compiled) == before
    assert got == [{"text": Change("theirs", "a")}, {"text": Change("theirs", "b")}]


def test_control_a_queryset_that_locks_is_compiled_each_time():
    post = Post.objects.create()
    with compiled_queries() as compiled:
        for _ in range(2):
            [*Post.objects.select_for_update().filter(pk=post.pk)]
    assert compiled == [Post, Post]


@pytest.mark.parametrize(
    ("model", "name", "rows"),
    [
        (Seat, "guest", [{"row": 1, "number": 2}, {"row": 2, "number": 1}]),
        (Ticket, "state", [{}, {}]),
        (Country, "name", [{"code": "é'"}, {"code": "%s"}]),
        (Pinned, "text", [{"rank": 1}, {"rank": 2}]),
    ],
    ids=["a key of two columns", "a UUID", "a text", "a row in two tables"],
)
def test_each_row_is_found_by_its_own_key(changes_by_lock, model, name, rows):
    got = changes_by_lock(model, when=changed(name))
    first, second = [model.objects.create(**row) for row in rows]
    for one, value in ((first, "a"), (second, "b"), (first, "c")):
        stale(one, **{name: value})
    assert got == [{name: Change(value, "" if model is not Ticket else "new")} for value in "abc"]


def test_the_rows_of_both_tables_of_a_child_are_locked_by_one_statement(changes_by_lock):
    changes_by_lock(Pinned, when=changed("text") | changed("rank"))
    first, second = Pinned.objects.create(), Pinned.objects.create()
    locks = [locking(one.save) for one in (first, second)]
    assert [len(one) for one in locks] == [1, 1]
    assert locks[0][0].replace(str(first.pk), "KEY") == locks[1][0].replace(str(second.pk), "KEY")


def test_values_have_the_types_of_their_fields(changes_by_lock):
    got = changes_by_lock(Article, when=changed("published", "price", "labels"))
    moment, article = now().replace(microsecond=0), Article.objects.create()
    article.save()
    stale(article, published=moment, price="1.50", labels=["a"])
    [changes] = got
    assert changes == {
        "published": Change(moment, None),
        "price": Change(Decimal("1.50"), Decimal("0.00")),
        "labels": Change(["a"], []),
    }


def test_times_are_aware_or_naive_as_the_settings_say_at_the_time_of_the_save(changes_by_lock):
    got = changes_by_lock(Article, when=changed("published"))
    article = Article.objects.create()
    for use_tz in (True, False, True):
        with override_settings(USE_TZ=use_tz):
            stale(article, published=now() - timedelta(days=1))
    assert [is_aware(changes["published"].old) for changes in got] == [True, False, True]


def test_two_databases_have_a_statement_each(changes_by_lock):
    got = changes_by_lock(Post, when=changed("text"))
    for using in ("default", "other", "default", "other"):
        post = Post.objects.using(using).create()
        stale(post, text=using)
    assert [changes["text"].old for changes in got] == ["default", "other", "default", "other"]


def test_a_lock_before_a_deletion_finds_each_row_too(changes_by_lock):
    got = changes_by_lock(Post, post_delete, when=changed("text"))
    for text in ("a", "b"):
        post = Post.objects.create()
        elsewhere(post, text=text)
        post.delete()
    assert [changes["text"].old for changes in got] == ["a", "b"]


# --- queries that are compiled each time --------------------------------------------------------------------------


@isolate_apps("tests.app")
def test_a_base_manager_whose_filter_changes_is_asked_at_each_save(changes_by_lock):
    shown = []

    class Shown(models.Manager):
        def get_queryset(self):
            return super().get_queryset().filter(topic__in=shown)

    class Visible(models.Model):
        topic = models.ForeignKey(Topic, models.CASCADE)
        text = models.CharField(max_length=50)
        everything = models.Manager()
        objects = Shown()

        class Meta:
            app_label, db_table, managed, base_manager_name = "app", Post._meta.db_table, False, "objects"

    got = changes_by_lock(Visible, post_save, when=changed("text"))
    topics = [Topic.objects.create(), Topic.objects.create()]
    for topic in topics:
        shown[:] = [topic.pk]
        post = Post.objects.create(topic=topic)
        visible = Visible.everything.get(pk=post.pk)
        stale(visible, text=f"of {topic.pk}")
    assert [changes["text"].old for changes in got] == [f"of {topic.pk}" for topic in topics]
