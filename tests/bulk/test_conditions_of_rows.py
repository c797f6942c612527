"""Conditions of receivers of bulk writes: which rows they choose, and how often they are asked."""

import pytest
from django.db import transaction
from django.db.models import F

from heliograph import BeforeCommit, changed, created, raw, receiver, update_fields
from heliograph.signals import post_delete, post_save
from heliograph.transactions.choosing import folded
from tests.app.models import Article

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def is_even(instance, **kwargs):
    return instance.price % 2 == 0


CONDITIONS = {
    "created or changed": created | changed("words"),
    "changed or created": changed("words") | created,
    "not created and changed": ~created & changed("words"),
    "not changed": ~changed("words"),
    "neither": ~(created | changed("words")),
    "one of two fields": created | changed("words") | changed("title"),
    "both fields": changed("words") & changed("title"),
    "two fields in one": created | changed("words", "title"),
    "to a value": created | changed("words", to=5),
    "to a value or from one": changed("words", to=5) | changed("words", was=3),
    "any field": created | changed(),
    "a function": created | is_even,
    "a function or a change": is_even | changed("words"),
    "a change and a function": changed("words") & is_even,
    "not a function": ~(changed("words") & is_even),
    "not raw": ~raw & (created | changed("words")),
    "raw": raw,
    "raw or changed": raw | changed("words"),
    "written fields": update_fields("words") & changed("words"),
    "other written fields": update_fields("title") | changed("words"),
}


def articles(count):
    made = [Article(title=f"{number}", words=number, price=number) for number in range(count)]
    return Article.objects.bulk_create(made)


WRITES = [
    lambda: articles(6),
    lambda: Article.objects.update(words=5),
    lambda: Article.objects.update(words=F("words") + 1, title="3"),
    lambda: Article.objects.filter(title="3").update(title="4"),
    lambda: Article.objects.update(price=F("price") + 10),
]


@pytest.mark.parametrize("when", CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_chooses_the_same_rows_of_a_write_as_it_would_row_by_row(receive, when):
    expected, chosen = [], []

    @receive(post_save, sender=Article, bulk=True, when=changed() | created | ~created)
    def record_each(sender, instance, **kwargs):
        if when.holds({"sender": sender, "instance": instance, **kwargs}):
            expected.append(instance.pk)

    @receive(post_save, sender=Article, bulk=True, when=when, delivery=BeforeCommit(batch=True))
    def record_all(sender, batch, **kwargs):
        chosen.extend(batch.pks)

    for write in WRITES:
        with transaction.atomic():
            write()
        assert chosen == expected
        expected.clear()
        chosen.clear()


def test_what_is_the_same_for_all_rows_of_a_write_is_answered_once():
    words = changed("words")
    of_update = {"sender": Article, "created": False, "raw": False, "update_fields": frozenset({"words"})}
    of_insertion = {**of_update, "created": True, "update_fields": None}
    assert folded(created | words, of_update) == words
    assert folded(created | words, of_insertion) is True
    assert folded(words | created, of_insertion) is True
    assert folded(~created & words & ~raw, of_update) == words
    assert folded(~created & words, of_insertion) is False
    assert folded(update_fields("words") & ~(raw | words), of_update) == ~words
    assert folded(update_fields("title") & words, of_update) is False


def test_a_new_or_changed_row_is_found_without_a_comparison_for_each(receive, monkeypatch):
    articles(5)
    chosen, compared = [], []

    @receive(post_save, sender=Article, bulk=True, when=created | changed("words"), delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        chosen.extend(batch.changes("words"))

    from heliograph.changes.rows import Updated

    comparison = Updated.comparison
    monkeypatch.setattr(Updated, "comparison", lambda self, at: compared.append(at) or comparison(self, at))
    Article.objects.update(words=2)
    assert sorted(new for _, _, new in chosen) == [2, 2, 2, 2]  # one had it
    assert compared == []


def test_the_right_side_is_asked_only_where_the_left_one_leaves_it_open(receive):
    made, asked = articles(4), []

    def ask(instance, **kwargs):
        asked.append(instance.pk)
        return True

    @receive(post_save, sender=Article, bulk=True, when=changed("words") | ask, delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        assert len(batch.pks) == 4

    Article.objects.update(words=2)
    assert asked == [made[2].pk]


def test_rows_that_are_gone_are_chosen_by_what_is_known_of_them(receive):
    articles(3)
    chosen = []

    @receive(post_delete, sender=Article, bulk=True, when=is_even, delivery=BeforeCommit(batch=True))
    def record(sender, batch, **kwargs):
        chosen.extend(one.words for one in batch.deleted)

    Article.objects.all().delete()
    assert sorted(chosen) == [0, 2]


def test_a_condition_of_a_class_of_ones_own_is_asked_for_each_row(receive):
    from heliograph.dispatch import Condition

    class IsFirst(Condition):
        def holds(self, payload):
            return payload["instance"].title == "0"

    articles(3)
    chosen = []
    delivery = BeforeCommit(batch=True)

    @receiver(post_save, sender=Article, bulk=True, when=~IsFirst() & changed("words"), delivery=delivery)
    def record(sender, batch, **kwargs):
        chosen.extend(batch.pks)

    try:
        Article.objects.update(words=9)
    finally:
        post_save.disconnect(record, sender=Article)
    assert len(chosen) == 2
