"""Bulk writes of instances whose class is not the model of the query: proxies, children, lazy objects."""

from functools import partial

import pytest
from django.db import transaction
from django.utils.functional import SimpleLazyObject

from heliograph import UNKNOWN, BeforeCommit, Change, changed, changes_of, created
from heliograph.signals import post_save, pre_save
from tests.app.models import Audiobook, Novel, Reprint

pytestmark = pytest.mark.django_db


def new(kind, name):
    """Return an unsaved instance of a kind of novel."""
    return {
        "a novel": partial(Novel, name=name),
        "a proxy": partial(Reprint, name=name),
        "a child": partial(Audiobook, name=name),
        "a lazy object": partial(SimpleLazyObject, partial(Novel, name=name)),
        "a lazy proxy": partial(SimpleLazyObject, partial(Reprint, name=name)),
    }[kind]()


KINDS = ["a novel", "a proxy", "a child", "a lazy object", "a lazy proxy"]


def loaded(kind, name):
    """Store a row of a kind of novel, and return its instance as it is loaded."""
    model = {"a proxy": Reprint, "a lazy proxy": Reprint, "a child": Audiobook}.get(kind, Novel)
    key = model.objects.create(name=name).pk
    load = partial(model.objects.get, pk=key)
    return SimpleLazyObject(load) if "lazy" in kind else load()


@pytest.mark.parametrize("kind", KINDS)
def test_bulk_update_of_other_instances_is_received_row_by_row(receive, kind):
    received = []

    @receive(post_save, sender=Novel, when=changed("name"), bulk=True)
    def record(instance, changes, **kwargs):
        received.append((instance.name, changes, changes_of(instance), changes_of(instance, "name")))

    novel = loaded(kind, "Old")
    novel.name = "New"
    Novel.objects.bulk_update([novel], ["name"])
    change = {"name": Change("Old", "New")}
    assert received == [("New", change, change, change)]


@pytest.mark.parametrize("kind", KINDS)
def test_bulk_update_of_other_instances_is_received_in_a_batch(receive, kind):
    received = []

    @receive(post_save, sender=Novel, when=changed("name"), bulk=True, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        received.extend((event.instance.name, event.changes) for event in batch.events)

    novel = loaded(kind, "Old")
    novel.name = "New"
    with transaction.atomic():
        Novel.objects.bulk_update([novel], ["name"])
    assert received == [("New", {"name": Change("Old", "New")})]


@pytest.mark.parametrize("kind", KINDS)
def test_bulk_create_of_other_instances_is_received_row_by_row(receive, kind):
    received = []

    @receive(post_save, sender=Novel, when=created | changed("name"), bulk=True)
    def record(instance, created, changes, **kwargs):
        received.append((instance.name, created, changes, changes_of(instance, "name")))

    Novel.objects.bulk_create([new(kind, "New")])
    assert received == [("New", True, {}, {})]


@pytest.mark.parametrize("kind", KINDS)
def test_pre_save_of_other_instances_has_changes_or_says_that_they_are_unknown(receive, kind):
    received = []

    @receive(pre_save, sender=Novel, when=changed("name"), bulk=True)
    def record(changes, **kwargs):
        received.append(changes)

    novel = loaded(kind, "Old")
    novel.name = "New"
    Novel.objects.bulk_update([novel], ["name"])
    Novel.objects.bulk_create([new(kind, "Newer")])
    is_watched = kind in ("a novel", "a lazy object")
    assert received == [{"name": Change("Old" if is_watched else UNKNOWN, "New")}]


@pytest.mark.parametrize("kind", KINDS)
def test_pre_save_may_write_fields_of_other_instances(receive, kind):
    @receive(pre_save, sender=Novel, when=changed("name"), writes=["writer"], bulk=True)
    def record(instance, **kwargs):
        instance.writer = None

    novel = loaded(kind, "Old")
    novel.name = "New"
    Novel.objects.bulk_update([novel], ["name"])
    assert Novel.objects.get().name == "New"


def test_a_lazy_object_remembers_what_a_bulk_write_stored(receive):
    received = []

    @receive(post_save, sender=Novel, when=changed("name"))
    def record(changes, **kwargs):
        received.append(changes)

    lazy = loaded("a lazy object", "Old")
    lazy.name = "New"
    Novel.objects.bulk_update([lazy], ["name"])
    lazy.save()
    assert received == []
    created_lazily = new("a lazy object", "New")
    Novel.objects.bulk_create([created_lazily])
    created_lazily.name = "Newer"
    created_lazily.save()
    assert received == [{"name": Change("New", "Newer")}]


def test_changes_of_an_instance_that_another_class_than_the_sender_has_are_known_where_both_are_watched(receive):
    received = []

    @receive(post_save, sender=Novel, subclasses=True, when=changed("name"), bulk=True)
    def record(changes, **kwargs):
        received.append(changes)

    audiobook = loaded("a child", "Old")
    audiobook.name = "New"
    Novel.objects.bulk_update([audiobook], ["name"])
    audiobook.save()
    audiobook.name = "Newer"
    audiobook.save()
    assert received == [{"name": Change("Old", "New")}, {"name": Change("New", "Newer")}]
