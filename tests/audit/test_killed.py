"""Processes that are killed at each step of a save: a committed change has its entry, and a lost one has none."""

import json
import os
from textwrap import dedent

import pytest
from django.conf import settings
from django.db import connection

from heliograph.audit.models import Entry
from tests.app.models import Writer
from tests.helpers.bare import run

pytestmark = [
    pytest.mark.kills,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork"),
]

IMPORTS = """\
from heliograph.audit import audit
from tests.app.models import Genre, Writer
from tests.helpers.killing import kill_at_each_stop
audit(Writer)
audit(Genre)
"""


def kill(script):
    """Run a script in another process, which is killed while it saves, again and again; return where, by name."""
    database = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
    (places,) = run(
        IMPORTS + dedent(script) + "report(kill_at_each_stop(prepare))",
        early="import tests.settings",  # has Django take PyMySQL for its driver
        INSTALLED_APPS=settings.INSTALLED_APPS,
        DATABASES={"default": {**database, "NAME": str(database["NAME"])}},
        DEFAULT_AUTO_FIELD=settings.DEFAULT_AUTO_FIELD,
    )
    return places


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
