"""Explain names every receiver that would be asked, in the order in which they run: compared with what runs."""

from contextlib import ExitStack, nullcontext

import pytest
from django.db import transaction

from heliograph import OnRollback, created, explain, mute
from heliograph.flow.stories.expected_receivers import Verdict
from heliograph.outbox.work.runner import drain
from heliograph.signals import (
    m2m_changed,
    m2m_changes,
    post_bulk_create,
    post_bulk_delete,
    post_delete,
    post_save,
    post_update,
    pre_bulk_create,
    pre_bulk_delete,
    pre_delete,
    pre_save,
    pre_update,
)
from tests.app.models import Article, Audiobook, Genre, Named, Novel, Reading, Reprint, Review, Writer
from tests.helpers.random_receivers import BEFORE_WRITE, POLICIES, WITH_WRITE, Calls, conditions

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS = range(8)
in_and_out_of_a_block = pytest.mark.parametrize("is_atomic", [False, True], ids=["autocommit", "atomic"])
of_many_seeds = pytest.mark.parametrize("seed", SEEDS)


@pytest.fixture
def calls(seed):
    with ExitStack() as stack:
        yield Calls(stack, seed)


def compare(story, calls, write, *, is_atomic):
    """Make a write, and compare whom it has called with its story."""
    calls.names.clear()
    with transaction.atomic() if is_atomic else nullcontext():
        write()
    drain()
    names = [calls.receivers[one.receiver] for one in story.receivers(atomic=is_atomic)]
    sure = {calls.receivers[one.receiver] for one in story.receivers() if one.verdict is Verdict.CALLED}
    silent = {calls.receivers[one.receiver] for one in (*story.not_called, *story.on_rollback)}

    assert [name for name in names if name in calls.names] == calls.names
    assert sure <= {*calls.names}
    assert not silent & {*calls.names}
    assert {*names} | silent == {*calls.receivers.values()}


def listen_to_saves(calls, model, *fields):
    for _ in range(calls.random.randrange(0, 5)):
        calls.connect(pre_save, model, BEFORE_WRITE, conditions(*fields), bulk=True)
    for _ in range(calls.random.randrange(1, 7)):
        calls.connect(post_save, model, WITH_WRITE, conditions(*fields), bulk=True, fetch="lock")
    calls.connect(post_save, model, WITH_WRITE, [None], using=calls.random.choice(["default", "other"]))
    calls.connect(post_save, model, [(OnRollback(), False)], [None])


@of_many_seeds
@in_and_out_of_a_block
@pytest.mark.parametrize("model", [Article, Audiobook], ids=["one-table", "two-tables"])
def test_v1_a_creation_calls_the_receivers_of_its_story_in_their_order(calls, model, is_atomic):
    field = model._meta.concrete_fields[1].name
    listen_to_saves(calls, model, field)

    compare(explain(model, "create"), calls, lambda: model.objects.create(**{field: "new"}), is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
@pytest.mark.parametrize("model", [Article, Audiobook], ids=["one-table", "two-tables"])
def test_v1_an_update_calls_the_receivers_of_its_story_in_their_order(calls, model, is_atomic):
    field = model._meta.concrete_fields[1].name
    one = model.objects.create(**{field: "old"})
    listen_to_saves(calls, model, field)
    setattr(one, field, "new")

    compare(explain(model, "update", values={field: "new"}), calls, one.save, is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
@pytest.mark.parametrize("operation", ["create", "update"])
def test_v1_a_save_of_a_row_of_a_relation_also_calls_those_who_receive_its_pair(calls, operation, is_atomic):
    novel, (ada, bob) = Novel.objects.create(name="Tides"), (Writer.objects.create(name=name) for name in "ab")
    row = Reading(novel=novel, reader=ada)
    if operation == "update":
        row.save()
        row.reader = bob
    listen_to_saves(calls, Reading, "reader")
    for _ in range(calls.random.randrange(1, 4)):
        calls.connect(m2m_changes, Reading, WITH_WRITE, [None])

    compare(explain(Reading, operation), calls, row.save, is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
def test_v1_receivers_of_all_models_and_of_subclasses_are_named_and_muted_ones_are_not_called(calls, is_atomic):
    for sender in (Reprint, None):
        calls.connect(pre_save, sender, POLICIES[:3], [None, created])
        calls.connect(post_save, sender, POLICIES[:7], [None, created])
    calls.connect(post_save, Named, POLICIES[:7], [None], subclasses=True)
    silenced = calls.random.choice([*calls.receivers])

    with mute(silenced):
        story = explain(Reprint, "create")
        compare(story, calls, lambda: Reprint.objects.create(name="Tides"), is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
def test_v1_a_save_that_may_be_either_names_all_receivers(calls, is_atomic):
    listen_to_saves(calls, Article, "title")

    compare(explain(Article), calls, lambda: Article(title="new").save(), is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
def test_v1_a_deletion_calls_the_receivers_of_its_story_in_their_order(calls, is_atomic):
    writer = Writer.objects.create(name="Ada")
    novel = Audiobook.objects.create(name="Tides", writer=writer)
    novel.genres.add(Genre.objects.create(name="sea"))
    Reading.objects.create(novel=novel, reader=writer)
    Review.objects.create(novel=novel)
    for model in (Writer, Novel, Audiobook, Reading):
        if calls.random.random() < 0.6:
            calls.connect(pre_delete, model, POLICIES, conditions("id")[:-1], bulk=True)
            calls.connect(post_delete, model, WITH_WRITE, conditions("id")[:-1], bulk=True)
        if calls.random.random() < 0.4 and model is not Writer:
            calls.connect(pre_bulk_delete, model, [(None, False)], [None])
            calls.connect(post_bulk_delete, model, [(None, True)], [None])
    if calls.random.random() < 0.5:
        calls.connect(pre_update, Review, [(None, False)], [None])
        calls.connect(post_update, Review, [(None, True)], [None])
        calls.connect(m2m_changes, Novel.genres.through, [(None, False)], [None])

    compare(explain(Writer, "delete"), calls, writer.delete, is_atomic=is_atomic)


@of_many_seeds
@in_and_out_of_a_block
def test_v1_an_addition_to_a_relation_calls_the_receivers_of_its_story_in_their_order(calls, is_atomic):
    novel, genre, through = Novel.objects.create(name="Tides"), Genre.objects.create(name="sea"), Novel.genres.through
    for _ in range(calls.random.randrange(1, 5)):
        calls.connect(m2m_changed, through, POLICIES[:6], [None], using="default")
    for _ in range(calls.random.randrange(0, 4)):
        calls.connect(m2m_changes, through, WITH_WRITE, [None])
    for signal in (pre_bulk_create, post_bulk_create):
        calls.connect(signal, through, [(None, signal is post_bulk_create)], [None])

    compare(explain(Novel, "add"), calls, lambda: novel.genres.add(genre), is_atomic=is_atomic)
