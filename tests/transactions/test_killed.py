"""Saves in autocommit whose process is killed: the row and what belongs to it are both there, or both not.

A process is killed (SIGKILL) at a step between the call of `save()` and its return: right before or after a function,
of Python or of C, is called. Of the two thousand steps of a save, all those are tried that lead into the driver of the
database or out of it, since nothing else changes what is there; and of the others every 40th on SQLite, every 60th on
PostgreSQL, every 80th on MariaDB.
"""

import os
from collections import defaultdict
from functools import partial

import pytest
from django.db.models import Value

from tests.app.models import Audiobook, Genre, Novel, Writer
from tests.helpers import killing

pytestmark = [
    pytest.mark.kills,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork"),
]

NOTHING = ()


def test_a_row_and_its_effect_are_both_there_or_both_not():
    places = kill("""
        @receiver(post_save, sender=Writer, delivery=BeforeCommit())
        def add_effect(sender, instance, **kwargs):
            Genre.objects.create(name=instance.name)

        def prepare(name):
            return Writer(name=name)
    """)
    left = outcomes(places, Writer, Genre)
    assert left.keys() == {NOTHING, ("Genre", "Writer")}, left


def test_a_row_and_the_effect_of_a_batch_are_both_there_or_both_not():
    places = kill("""
        @receiver(post_save, sender=Writer, delivery=BeforeCommit(batch=True))
        def add_effects(sender, batch, **kwargs):
            Genre.objects.bulk_create(Genre(name=one.name) for one in batch.instances)

        def prepare(name):
            return Writer(name=name)
    """)
    left = outcomes(places, Writer, Genre)
    assert left.keys() == {NOTHING, ("Genre", "Writer")}, left


def test_a_row_and_the_effects_of_pre_save_and_post_save_are_all_there_or_none():
    places = kill("""
        @receiver([pre_save, post_save], sender=Writer, delivery=BeforeCommit())
        def add_effect(sender, instance, **kwargs):
            Genre.objects.create(name=instance.name)

        def prepare(name):
            return Writer(name=name)
    """)
    left = outcomes(places, Writer, Genre)
    assert left.keys() == {NOTHING, ("Genre", "Genre", "Writer")}, left


def test_the_row_of_a_child_and_that_of_its_parent_and_their_effect_are_all_there_or_none():
    places = kill("""
        @receiver(post_save, sender=Audiobook, delivery=BeforeCommit())
        def add_effect(sender, instance, **kwargs):
            Genre.objects.create(name=instance.name)

        def prepare(name):
            return Audiobook(name=name)
    """)
    left = outcomes(places, Audiobook, Novel, Genre)
    assert left.keys() == {NOTHING, ("Audiobook", "Genre", "Novel")}, left


def test_an_updated_row_has_its_old_value_and_no_effect_or_its_new_value_and_the_effect():
    places = kill("""
        def prepare(name):
            Writer.objects.bulk_create([Writer(name=f"{name} before")])  # sends nothing
            writer = Writer.objects.get(name=f"{name} before")
            writer.name = name
            return writer

        @receiver(post_save, sender=Writer, delivery=BeforeCommit())
        def add_effect(sender, instance, **kwargs):
            Genre.objects.create(name=instance.name)
    """)
    left = outcomes(places, Writer, Genre)
    assert left.keys() == {("Writer before",), ("Genre", "Writer")}, left


def test_the_effect_of_an_inline_receiver_is_missing_after_a_kill_between_the_two_commits():
    """This is how Django does it, and the proof that these kills find a hole where there is one."""
    places = kill("""
        @receiver(post_save, sender=Writer)
        def add_effect(sender, instance, **kwargs):
            Genre.objects.create(name=instance.name)

        def prepare(name):
            return Writer(name=name)
    """)
    left = outcomes(places, Writer, Genre)
    assert left.keys() == {NOTHING, ("Writer",), ("Genre", "Writer")}, left


# --- kills, and what they leave ---------------------------------------------------------------------------------

IMPORTS = """\
from heliograph import BeforeCommit, receiver
from heliograph.signals import post_save, pre_save
from tests.app.models import Audiobook, Genre, Writer
"""

kill = partial(killing.kill, IMPORTS)


def outcomes(places, *models):
    """Return what kills have left there, the models of the rows that bear the name; each with the first of its places.

    One statement reads all rows, and sees a single instant: the server may still be busy with a client that is dead.
    """
    first, *others = [model.objects.values_list("name", Value(model.__name__)) for model in models]
    rows = defaultdict(list)
    for name, model in first.union(*others, all=True):
        name, _, state = name.partition(" ")
        rows[name].append(f"{model} {state}".strip())
    left = {}
    for name, place in places.items():
        left.setdefault(tuple(sorted(rows[name])), place)
    return left
