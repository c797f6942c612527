"""What a batch holds is the difference of the table before and after the transaction, whatever was written in it."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph import BeforeCommit, changed, created
from tests.app.models import Novel, Reprint

pytestmark = pytest.mark.django_db(transaction=True)

KEYS, NAMES, MODELS, SLOTS = (1, 2, 3), "abc", (Novel, Reprint), (0, 1, 2)
GONE = 4  # the key of a row of which there is only a copy


@dataclass
class Run:
    """A transaction under way, with copies of rows that were loaded at some time in it."""

    copies: dict[int, Any] = field(default_factory=dict)

    def do(self, steps):
        for name, *arguments in steps:
            getattr(self, name)(*arguments)

    def create(self, model, key, name):
        if not Novel.objects.filter(pk=key).exists():
            self.copies[key % 3] = model.objects.create(pk=key, name=name)

    def load(self, model, key, slot):
        for copy in model.objects.filter(pk=key):
            self.copies[slot] = copy

    def save(self, slot, name, names):
        copy = self.copies.get(slot)
        if copy is not None and (names is None or Novel.objects.filter(pk=copy.pk).exists()):
            copy.name = name
            copy.save(update_fields=names)

    def delete(self, slot):
        copy = self.copies.pop(slot, None)
        if copy is not None:
            self._forget(copy)
            copy.delete()

    def update(self, model, keys, name):
        model.objects.filter(pk__in=keys).update(name=name)

    def delete_query(self, model, keys):
        model.objects.filter(pk__in=keys).delete()

    def bulk_create(self, model, keys, name):
        there = {*Novel.objects.values_list("pk", flat=True)}
        model.objects.bulk_create([model(pk=key, name=name) for key in keys if key not in there])

    def insert_or_ignore(self, model, keys, name):
        model.objects.bulk_create([model(pk=key, name=name) for key in keys], ignore_conflicts=True)

    def bulk_update(self, model, keys, name):
        found = [*model.objects.filter(pk__in=keys)]
        for one in found:
            one.name = name
        model.objects.bulk_update(found, ["name"])

    def move(self, model, old, new):
        if not Novel.objects.filter(pk=new).exists():
            model.objects.filter(pk=old).update(id=new)

    def savepoint(self, steps, is_kept):
        before, names = dict(self.copies), [(one, one.name) for one in self.copies.values()]
        with transaction.atomic():
            self.do(steps)
            transaction.set_rollback(not is_kept)
        if not is_kept:  # copies that were loaded in it are of rows that never were
            self.copies = {slot: one for slot, one in before.items() if one.pk is not None}
            for one, name in names:  # a rollback does not change instances, of which an event has the last state
                one.name = name

    def _forget(self, copy):
        self.copies = {slot: one for slot, one in self.copies.items() if one is not copy}


def steps(more=None):
    model, key, name, slot = (st.sampled_from(values) for values in (MODELS, KEYS, NAMES, SLOTS))
    keys = st.lists(key, min_size=1, max_size=3, unique=True)
    kinds = [
        st.tuples(st.just("create"), model, key, name),
        st.tuples(st.just("load"), model, key, slot),
        st.tuples(st.just("save"), slot, name, st.sampled_from([None, ["name"]])),
        st.tuples(st.just("delete"), slot),
        *(
            st.tuples(st.just(one), model, keys, name)
            for one in ("update", "bulk_create", "insert_or_ignore", "bulk_update")
        ),
        st.tuples(st.just("delete_query"), model, keys),
        st.tuples(st.just("move"), model, key, key),
    ]
    if more is not None:
        kinds.append(st.tuples(st.just("savepoint"), more, st.booleans()))
    return st.lists(st.one_of(kinds), max_size=8)


STEPS = steps(steps(steps()))


def table():
    return dict(Novel.objects.values_list("pk", "name"))


def difference(before, after):
    """Return what became of each row, with its name before and after."""
    found = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old != new:
            found[key] = ("created" if old is None else "deleted" if new is None else "updated", old, new)
    return found


def old_name(event):
    compared = event.comparison
    return event.instance.name if compared is None else compared.old[compared.plan.positions["name"]]


def net(batch):
    """Return the same out of a batch."""
    found = {}
    for event in batch.events:
        old = None if event.kind == "created" else old_name(event)
        new = None if event.kind == "deleted" else event.instance.name
        if event.kind == "updated":
            assert event.changes["name"] == (old, new)
        assert event.pk not in found
        found[event.pk] = (event.kind, old, new)
    assert {key for key, _, _ in batch.changes("name")} == {key for key, one in found.items() if one[0] == "updated"}
    return found


@settings(max_examples=60 if connection.vendor == "sqlite" else 25, suppress_health_check=list(HealthCheck))
@given(first=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(NAMES)), done=STEPS)
def test_a_batch_is_the_difference_of_the_table_before_and_after(receive, first, done):
    Novel.objects.all().delete()
    Novel.objects.bulk_create([Novel(pk=key, name=name) for key, name in {**first, GONE: "a"}.items()])
    batches = []

    def record(sender, batch, **kwargs):
        batches.append(net(batch))

    options = {"sender": [Novel, Reprint], "bulk": True, "delivery": BeforeCommit(batch=True)}
    receive(post_save, when=created | changed("name"), **options)(record)
    receive(post_delete, **options)(record)
    gone = Novel.objects.get(pk=GONE)
    Novel.objects.filter(pk=GONE)._raw_delete("default")
    try:
        with transaction.atomic():
            Run({0: gone}).do(done)
        assert batches == [one for one in [difference(first, table())] if one]
    finally:
        for signal in (post_save, post_delete):
            signal.disconnect(record, sender=[Novel, Reprint])
