"""Processes that are killed at each step of a save: a committed change has its entry, and a lost one has none."""

import json
import os
from functools import partial

import pytest

from heliograph.audit.models import Entry
from tests.app.models import Writer
from tests.helpers import killing

pytestmark = [
    pytest.mark.kills,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork"),
]

IMPORTS = """\
from heliograph.audit import audit
from tests.app.models import Genre, Writer
audit(Writer)
audit(Genre)
"""

kill = partial(killing.kill, IMPORTS)


def logged(label, name):
    """Return how many entries of a model say that a row has got this name."""
    texts = Entry.objects.filter(kind__model=label).values_list("text", flat=True)
    return sum(json.loads(text).get("name", [None])[-1] == name for text in texts)


def test_l1_a_committed_row_has_one_entry_and_a_lost_row_none():
    places = kill("""
        def prepare(name):
            return Writer(name=name)
    """)
    there = {name: Writer.objects.filter(name=name).count() for name in places}
    assert {*there.values()} == {0, 1}, "Kills came only before the commit, or only after it"
    assert {name: logged("app.Writer", name) for name in places} == there


def test_l1_all_rows_of_a_committed_transaction_have_an_entry_and_those_of_a_lost_one_none():
    places = kill("""
        from django.db import transaction

        class Both:
            def __init__(self, name):
                self.name = name

            def save(self):
                with transaction.atomic():
                    writer = Writer.objects.create(name=f"{self.name} before")
                    writer.name = self.name
                    writer.save()
                    Genre.objects.create(name=self.name)

        prepare = Both
    """)
    there = {name: Writer.objects.filter(name=name).count() for name in places}
    assert {*there.values()} == {0, 1}
    for label in ("app.Writer", "app.Genre"):
        assert {name: logged(label, name) for name in places} == there
