"""The pages about moving from another package name every public name that the installed package has."""

import re
from importlib.metadata import files
from pathlib import Path

import pytest

MOVING = Path(__file__).resolve().parents[1] / "docs" / "moving"

pytestmark = pytest.mark.database_independent


def source(package, module):
    """Return the source of a module of an installed package, which need not be set up for Django."""
    [path] = [file for file in files(package) if file.as_posix() == module]
    return path.locate().read_text(encoding="utf-8")


def sources(package):
    """Return the source of all modules of an installed package, without its migrations and tests."""
    modules = [file for file in files(package) if file.suffix == ".py" and not {"migrations", "tests"} & {*file.parts}]
    return "\n".join(file.locate().read_text(encoding="utf-8") for file in modules)


def parameters(text, function):
    """Return the names of the parameters of a function, as its source has them."""
    signature = re.search(rf"def {function}\((.*?)\)(?: -> .*?)?:\n", text, re.DOTALL)[1]
    return {*re.findall(r"^ {4,8}(\w+)(?::.*)?(?:=.*)?,$", signature, re.MULTILINE)} - {"self", "model"}


def settings_of(text, prefix):
    return {*re.findall(rf"\b{prefix}_[A-Z_]+[A-Z]\b", text)}


def public_functions(text):
    return {*re.findall(r"^(?:def|class) ([a-zA-Z]\w*)", text, re.MULTILINE)}


def commands(package):
    found = (re.search(r"management/commands/([a-z]\w*)\.py$", file.as_posix()) for file in files(package))
    return {match[1] for match in found if match}


def auditlog():
    registry = source("django-auditlog", "auditlog/registry.py")
    models = source("django-auditlog", "auditlog/models.py")
    fields = {*re.findall(r"^    (\w+) = models\.\w+Field", models, re.MULTILINE)} | {"content_type", "actor"}
    return {
        "registration": parameters(registry, "register") | {"unregister", "contains", "get_models"},
        "settings": settings_of(source("django-auditlog", "auditlog/conf.py"), "AUDITLOG"),
        "context": public_functions(source("django-auditlog", "auditlog/context.py")) - {"call_context_manager"},
        "signals": {"accessed", "pre_log", "post_log"},
        "entries": fields | {*re.findall(r"^    def ((?:log|get_for|changes)_\w+)", models, re.MULTILINE)},
        "classes": public_functions(models) | public_functions(source("django-auditlog", "auditlog/mixins.py")),
        "commands": commands("django-auditlog"),
    }


def simple_history():
    models = source("django-simple-history", "simple_history/models.py")
    manager = source("django-simple-history", "simple_history/manager.py")
    utils = source("django-simple-history", "simple_history/utils.py")
    helpers = {"get_app_model_primary_key_name", "get_m2m_field_name", "get_m2m_reverse_field_name"}
    return {
        "registration": parameters(models, "__init__"),
        "register": parameters(source("django-simple-history", "simple_history/__init__.py"), "register"),
        "settings": settings_of(sources("django-simple-history"), "SIMPLE_HISTORY")
        - {"SIMPLE_HISTORY_REVERSE_ATTR_NAME"},
        "signals": {
            *re.findall(r"^(\w+) = ", source("django-simple-history", "simple_history/signals.py"), re.MULTILINE)
        },
        "queries": {*re.findall(r"^    def ([a-z]\w+)", manager, re.MULTILINE)}
        - {"filter", "get_queryset", "get_super_queryset"},
        "records": {
            *re.findall(r'^            "(history_\w+|instance\w*|\w+_record|revert_url)": ', models, re.MULTILINE)
        },
        "fields": {*re.findall(r"^class (Historic(?:ForeignKey|OneToOneField))", models, re.MULTILINE)},
        "bulk helpers and others": public_functions(utils) - helpers,
        "errors": public_functions(source("django-simple-history", "simple_history/exceptions.py")),
        "commands": commands("django-simple-history"),
    }


def pghistory():
    package = source("django-pghistory", "pghistory/__init__.py")
    core = source("django-pghistory", "pghistory/core.py")
    models = source("django-pghistory", "pghistory/models.py")
    return {
        "names": {*re.findall(r'^    "(\w+)",$', package, re.MULTILINE)} - {"__version__"},
        "tracking": parameters(core, "track") - {"trackers"},
        "settings": settings_of(source("django-pghistory", "pghistory/config.py"), "PGHISTORY"),
        "events": {*re.findall(r"^    (pgh_\w+) = models\.", models, re.MULTILINE)},
        "queries": {*re.findall(r"^    def (across|references|tracks|revert|can_revert)\b", models, re.MULTILINE)},
    }


PAGES = {"django-auditlog": auditlog, "django-simple-history": simple_history, "django-pghistory": pghistory}


@pytest.mark.parametrize("package", PAGES)
def test_the_table_of_a_page_has_every_public_name_of_the_package(package):
    page = (MOVING / f"{package}.md").read_text(encoding="utf-8")
    missing = {
        kind: sorted(name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", page))
        for kind, names in PAGES[package]().items()
    }
    assert {kind: names for kind, names in missing.items() if names} == {}


@pytest.mark.parametrize("package", PAGES)
def test_there_are_names_of_each_kind(package):
    assert [kind for kind, names in PAGES[package]().items() if not names] == []
