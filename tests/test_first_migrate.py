"""The first `manage.py migrate` of a project whose models have receivers, recipes and the audit log."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.fresh import fresh

# What a project has in receivers.py when it migrates its empty database for the first time.
PROJECT = """
import json, os, sys
from tests import settings
settings.DATABASES = {"default": json.loads(os.environ["FRESH"])}
settings.SILENCED_SYSTEM_CHECKS = ["postgres.E005"]  # the tests have an array without django.contrib.postgres
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db.models import Count
from heliograph import Durable, changed, receiver
from heliograph.audit import audit
from heliograph.context import acting
from heliograph.recipes import *
from heliograph.signals import post_save
from tests.app.models import Article, Cart, Profile, Song, Writer
for model in (Group, Article, Writer):
    audit(model)
keep(Cart, items_count=Count("items"))
ensure_related(Profile, to="member", defaults={"locale": "en"})
unique_slug(Song, "slug", source="name")
seed(Group, [{"name": "Editors"}])
search_index(Article, ["title"])
receiver(post_save, delivery=Durable())(lambda **kwargs: None)
call_command("migrate", run_syncdb=True, skip_checks=False, verbosity=0)
print(Group.objects.get().name)
call_command("check", databases=["default"])
"""


@pytest.mark.django_db(transaction=True)
def test_a_fresh_database_is_migrated_and_its_first_rows_are_written():
    with fresh("first_migrate") as entry:
        environment = {**os.environ, "FRESH": json.dumps(entry)}
        ended = subprocess.run(
            [sys.executable, "-c", PROJECT],
            env=environment,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
    assert (ended.returncode, ended.stdout.splitlines()[:1]) == (0, ["Editors"]), ended.stderr
