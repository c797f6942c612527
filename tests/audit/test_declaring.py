"""Declarations, the settings and the checks: a mistake fails where it was typed, or as a system check."""

import json
import sys
from datetime import timedelta

import django
import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.test import override_settings

from heliograph.audit import audit, checks
from heliograph.audit.audit_declarations import declare_settings
from heliograph.audit.audited_models import AUDITED
from heliograph.audit.conf import audit_settings
from heliograph.audit.models import Entry
from tests.app.models import Novel, Pinned, Post, Ware
from tests.audit.entries import entries
from tests.helpers.bare import run
from tests.helpers.signals_command import signals

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def settings_of(**given):
    return override_settings(HELIOGRAPH={"AUDIT": given})


MISTAKES = {
    "no model": (lambda: audit(5), TypeError, "audit() takes a model, or its label such as 'shop.Product', not 5."),
    "no label": (lambda: audit("Ware"), ValueError, "audit() takes a model, or its label such as 'shop.Product', not"),
    "nobody": (lambda: audit("app.Nobody"), LookupError, "App 'app' doesn't have a 'Nobody' model."),
    "the log": (lambda: audit(Entry), TypeError, "audit() takes a model of yours: heliograph_audit.Entry is the log"),
    "a text": (lambda: audit(Ware, exclude="name"), TypeError, "audit(exclude=...) takes a list of names of fields"),
    "no field": (
        lambda: audit(Ware, mask=["colour"]),
        FieldDoesNotExist,
        "audit(mask=...): app.Ware has no field 'colour'. It has: id, name, rank, stock.",
    ),
    "no key": (
        lambda: audit(Ware, names=["name"]),
        TypeError,
        "audit(names=...) takes a foreign key, and app.Ware.name",
    ),
    "no person": (lambda: audit(Ware, subject="name"), TypeError, "audit(subject=...) takes a foreign key"),
    "a relation": (lambda: audit(Novel, mask=["genres"]), TypeError, "audit(mask=...): 'genres' is a relation"),
    "exact": (lambda: audit(Ware, exact=1), TypeError, "audit(exact=...) takes True or False, not 1."),
    "keep": (
        lambda: audit(Ware, keep=timedelta()),
        TypeError,
        "audit(keep=...) takes a timedelta of more than nothing",
    ),
}


@pytest.mark.parametrize(("declare", "error", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_raises_where_it_was_typed(declare, error, text):
    with pytest.raises(error) as raised:
        declare()
    assert text in str(raised.value)
    assert {*AUDITED} == set()


def test_a_second_declaration_says_where_the_first_stands():
    audit(Ware)
    line = sys._getframe().f_lineno - 1
    with pytest.raises(ValueError, match=rf"audit\(app.Ware\) is declared already, at .*test_declaring.py:{line}"):
        audit("app.Ware", exclude=["name"])


# The apps of a project in a process of its own, with a database in memory that nobody has migrated.
APPS = ["django.contrib.contenttypes", "django.contrib.auth", "heliograph", "heliograph.audit"]


def test_a_mistake_before_models_are_loaded_becomes_a_check():
    [found] = run(
        """
        from django.core.checks import run_checks
        report([(one.id, one.msg, one.hint) for one in run_checks() if one.id == "heliograph.E301"])
        """,
        early="from heliograph.audit import audit; audit('auth.User', mask=['colour'])",
        INSTALLED_APPS=APPS,
    )
    [(number, text, hint)] = found
    assert number == "heliograph.E301"
    assert "auth.User has no field 'colour'" in text
    assert hint.endswith("<string>:4.")


def test_without_the_app_a_declaration_says_what_to_do():
    [text] = run(
        """
        from heliograph.audit import audit
        try:
            audit("auth.User")
        except Exception as error:
            report(repr(error))
        """,
        INSTALLED_APPS=APPS[:-1],
    )
    assert text.startswith("ImproperlyConfigured")
    assert "add it to INSTALLED_APPS" in text


def test_a_handle_disconnects_a_model_and_its_implied_parents():
    handle = audit(Pinned)
    assert {*AUDITED} == {Pinned, Post}

    assert handle.disconnect()
    assert not handle.disconnect()
    assert {*AUDITED} == set()
    Pinned.objects.create(text="unheard")
    assert entries() == []


def test_a_declaration_of_a_parent_takes_the_place_of_an_implied_one():
    child = audit(Pinned)
    audit(Post, exclude=["topic"])
    assert [*AUDITED[Post].fields] == ["text"]

    child.disconnect()
    assert {*AUDITED} == {Post}


def test_the_decorator_returns_the_class():
    assert audit()(Ware) is Ware
    assert Ware in AUDITED


def test_a_class_under_a_bare_decorator_stays_a_class():
    @audit
    class Decorated(models.Model):
        class Meta:
            app_label = "decorated"
            managed = False

    assert isinstance(Decorated, type)
    assert Decorated in AUDITED


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"MODEL": []}, "has no 'MODEL': it takes MODELS, TEXT_LIMIT, KEEP, ADMIN."),
        ({"MODELS": "app.*"}, "takes a list of labels such as 'shop.Order' and 'shop.*', not 'app.*'."),
        ({"MODELS": ["app"]}, "takes a list of labels"),
        ({"TEXT_LIMIT": 0}, "takes a number of characters, or None for all, not 0."),
        ({"KEEP": 5}, "KEEP takes a timedelta of more than nothing, or None for ever, not 5."),
    ],
)
def test_settings_that_make_no_sense_are_a_check(given, text):
    with settings_of(**given):
        (found,) = checks.check_settings(None)
    assert found.id == "heliograph.E302"
    assert text in found.msg


def test_a_setting_that_names_nothing_is_a_check():
    with settings_of(MODELS=["app.Nobody"]):
        (found,) = checks.check_settings(None)
    assert "Nobody" in found.msg


def test_the_settings_name_models_and_apps():
    with settings_of(MODELS=["app.Ware", "auth.*"], KEEP=timedelta(days=9)):
        assert audit_settings().keep == timedelta(days=9)
        declare_settings()
    labels = {one._meta.label for one in AUDITED}
    assert labels == {"app.Ware", "auth.User", "auth.Group", "auth.Permission"}


def test_a_declaration_takes_the_place_of_the_settings():
    with settings_of(MODELS=["app.Ware"]):
        declare_settings()
        audit(Ware, exclude=["stock"])
        declare_settings()
    assert [*AUDITED[Ware].fields] == ["name", "rank"]


@pytest.mark.parametrize("verb", [("list", "--model", "app.Ware"), ("explain", "app.Ware", "create", "--analyze")])
def test_listing_and_explain_name_the_setting_where_a_declaration_has_a_file_and_line(verb):
    with settings_of(MODELS=["app.Ware"]):
        declare_settings()
        shown = signals(*verb)
    assert "HELIOGRAPH['AUDIT']['MODELS']" in shown.out


def test_a_listing_as_json_has_no_file_for_a_model_that_the_settings_name():
    with settings_of(MODELS=["app.Ware"]):
        declare_settings()
        shown = signals("list", "--model", "app.Ware", "--json")
    found = [one for one in json.loads(shown.out)["receivers"] if one["receiver"].endswith("audit(app.Ware)")]
    assert [(one["file"], one["line"]) for one in found] == [(None, None)] * len(found)
    assert found


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"INSTALLED_APPS": [one for one in APPS if one != "heliograph"]}, "Add 'heliograph' to INSTALLED_APPS"),
        ({"INSTALLED_APPS": APPS, "HELIOGRAPH": {"ADOPT_DJANGO_SIGNALS": False}}, "turn it on"),
    ],
)
def test_without_heliograph_as_the_dispatcher_a_declaration_says_what_to_do(settings, advice):
    [text] = run(
        """
        from django.core.exceptions import ImproperlyConfigured
        from heliograph.audit import audit
        try:
            audit("auth.User")
        except ImproperlyConfigured as error:
            report(str(error))
        """,
        **settings,
    )
    assert text.startswith("The audit log needs Heliograph to run Django's signals. ")
    assert advice in text


# --- checks -----------------------------------------------------------------------------------------------------


def test_tables_that_are_missing_are_a_check():
    audit(Ware)
    assert checks.check_tables(None, databases=["default"]) == []

    [found] = run(
        """
        from heliograph.audit import audit, checks
        audit("auth.User")
        report([(one.id, one.hint) for one in checks.check_tables(None, databases=["other"])])
        """,
        INSTALLED_APPS=APPS,
        DATABASES={
            alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"} for alias in ("default", "other")
        },
    )
    assert found == [("heliograph.W303", "manage.py migrate --database other makes them.")]


class _NotThere:
    """A router that keeps the log out of the other database."""

    def allow_migrate(self, db, app_label, **hints):
        return False if (db, app_label) == ("other", "heliograph_audit") else None


def test_l8_a_router_that_keeps_the_log_from_rows_is_a_check():
    audit(Ware)
    assert checks.check_routers(None) == []
    with override_settings(DATABASE_ROUTERS=[_NotThere()]):
        (found,) = checks.check_routers(None)
    assert found.id == "heliograph.E303"
    assert "on the database 'other'" in found.msg


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django has DB_CASCADE and DB_SET_NULL since 6.1")
def test_rows_that_the_database_deletes_or_changes_are_a_check():
    from tests.app.models import Footnote, Sidenote

    audit(Footnote)
    audit(Sidenote)
    audit(Pinned)
    deleted, changed = checks.check_cascades(None)

    assert (deleted.id, deleted.obj) == ("heliograph.W301", Footnote)
    assert deleted.msg.startswith("app.Footnote.page has on_delete=DB_CASCADE")
    assert (changed.id, changed.obj) == ("heliograph.W301", Sidenote)
    assert changed.msg.startswith("app.Sidenote.page has on_delete=DB_SET_NULL")


def test_rows_that_are_written_before_migrate_has_made_the_tables_have_no_entries_and_nothing_fails():
    counts = run(
        """
        from django.contrib.auth.models import Group
        from django.core.management import call_command
        from heliograph.audit import audit
        from heliograph.audit.models import Entry
        from heliograph.recipes import seed

        audit(Group)
        seed(Group, [{"name": "Editors"}])
        call_command("migrate", "auth", verbosity=0)
        report(Group.objects.count())
        call_command("migrate", verbosity=0)
        report(Entry.objects.count())
        Group.objects.get().delete()
        report(Entry.objects.count())
        """,
        INSTALLED_APPS=APPS,
    )
    assert counts == [1, 0, 1], "Only the deletion has an entry"
