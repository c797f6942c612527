"""The reference describes everything that is public, with the options, keys and ids that the code has."""

import argparse
import ast
import builtins
import inspect
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import load_command_class

from heliograph import conf
from heliograph.audit import conf as audit_conf
from heliograph.catalogue import CATALOGUE
from heliograph.outbox import conf as outbox_conf
from heliograph.outbox.backends.celery import CeleryBackend
from heliograph.outbox.backends.database import DatabaseBackend
from heliograph.outbox.backends.tasks import TasksBackend
from heliograph.recipes.webhooks.conf import WebhookSettings
from tests.test_docs_commands import APPS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "src" / "heliograph").rglob("*.py"))

pytestmark = pytest.mark.database_independent


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


# --- names --------------------------------------------------------------------------------------------------------

PUBLIC = [
    "heliograph",
    *(f"heliograph.{name}" for name in ("adoption", "audit", "building", "bulk", "changes", "context", "dispatch")),
    *(f"heliograph.{name}" for name in ("outbox", "recipes", "recipes.search", "recipes.webhooks", "testing")),
    "heliograph.transactions",
]
# Nobody imports these: public names return their objects, and users read the attributes.
READ = [
    *(f"heliograph.dispatch.skip_reasons.{name}" for name in ("NotDue", "Muted", "Reentered", "KeptAway")),
    *(f"heliograph.dispatch.skip_reasons.{name}" for name in ("NoRowIsDue", "NoNetChange", "Gone", "NotReached")),
    *(f"heliograph.flow.{name}" for name in ("stories.story.Story", "analyzing.analysis.Analysis")),
    *(f"heliograph.flow.{name}" for name in ("effects.seen_effects.Effect", "tree.Tree", "tree.Node")),
    "heliograph.audit.models.ChangeSet",
    "heliograph.outbox.models.Operation",
]
DIRECTIVE = re.compile(r"^\.\. auto(\w+):: (\S+)\n((?:   :.*\n)*)", re.MULTILINE)
DIRECTIVES = [one for path in sorted((DOCS / "api").glob("*.md")) for one in DIRECTIVE.findall(path.read_text("utf-8"))]
DESCRIBED = [name for _, name, _ in DIRECTIVES]
MEMBERS = [
    f"{name}.{member}"
    for _, name, options in DIRECTIVES
    for members in re.findall(r":members: (.*)", options)
    for member in members.split(", ")
]


def found(full):
    """The object with a full name: of a module, or of a class in one."""
    home, _, name = full.rpartition(".")
    try:
        return getattr(import_module(home), name)
    except ModuleNotFoundError:
        return getattr(found(home), name)


def public_names():
    """The names of the public modules, and the names that a page of the documentation takes from any other one."""
    listed = {f"{module}.{name}" for module in PUBLIC for name in import_module(module).__all__}
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    imported = re.findall(r"^(?:>>> )?from (heliograph[\w.]*) import (.+)$", text, re.MULTILINE)
    taken = {f"{module}.{name}" for module, names in imported for name in re.findall(r"\b[A-Za-z]\w*", names)}
    in_settings = {*re.findall(r'"(heliograph(?:\.[a-z_]+)+\.[A-Z]\w+)"', text)}
    return {name for name in listed | taken | in_settings if not name.startswith("heliograph.signals.")} | {*READ}


@pytest.mark.parametrize("name", sorted(public_names()))
def test_a_public_name_is_described_in_one_place(name):
    value = found(name)
    assert len([one for one in DESCRIBED if found(one) is value]) == 1


def test_nothing_private_is_described():
    assert {*DESCRIBED} - public_names() == set()
    assert [name for name in MEMBERS if name.rpartition(".")[2].startswith("_")] == []


def test_the_overview_links_each_description():
    assert sorted(re.findall(r"{py:\w+}`~([\w.]+)`", page("reference.md"))) == sorted(DESCRIBED)


def test_every_signal_is_in_the_catalogue():
    catalogue = page("signals.md")
    assert [name for name in CATALOGUE if f"`{name}`" not in catalogue] == []


# --- descriptions -------------------------------------------------------------------------------------------------

SENTENCE = re.compile(r"(?!What |Those |That )[A-Z`\"][^\n]*[.;:]( |$)|[A-Z`][^\n]*[.]$", re.MULTILINE)


def description(name):
    value = found(name)
    return (vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)) or ""


@pytest.mark.parametrize("name", DESCRIBED + MEMBERS)
def test_a_description_begins_with_a_sentence(name):
    assert SENTENCE.match(inspect.cleandoc(description(name)))


WIDTH = 78  # letters of an example that a page shows without scrolling


def test_an_example_fits_the_page():
    lines = {name: inspect.cleandoc(description(name)).splitlines() for name in DESCRIBED + MEMBERS}
    examples = {name: [line for line in of_name if line.startswith("    ")] for name, of_name in lines.items()}

    assert {
        name: long for name, of_name in examples.items() if (long := [x for x in of_name if len(x) > 4 + WIDTH])
    } == {}


CALLABLES = [name for name in DESCRIBED + MEMBERS if inspect.isroutine(found(name)) or inspect.isclass(found(name))]


@pytest.mark.parametrize("name", CALLABLES)
def test_a_description_names_each_error_that_the_code_raises(name):
    assert [error for error in sorted(raised_by(found(name))) if error not in description(name)] == []


def raised_by(value):
    """The classes of errors that a function raises, or the making of an object, in its own lines or private helpers."""
    made = [getattr(value, name, None) for name in ("__init__", "__post_init__")] if inspect.isclass(value) else [value]
    functions = [inspect.unwrap(one) for one in made if inspect.isfunction(one)]
    return {error for one in functions if is_written(one) for error in errors_in(one, {one})}


def is_written(function):
    """Whether a function stands in the sources; the `__init__` of a dataclass does not."""
    return Path(function.__code__.co_filename) in SOURCES


def errors_in(function, seen):
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            error = function.__globals__.get(node.exc.func.id, getattr(builtins, node.exc.func.id, None))
            if inspect.isclass(error):
                yield error.__name__
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("_"):
            helper = function.__globals__.get(node.func.id)
            if inspect.isfunction(helper) and helper not in seen:
                yield from errors_in(helper, seen | {helper})


# --- the pages ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the pages as plain text, of a build that takes each warning for an error."""
    pytest.importorskip("sphinx", reason="only the development environment has the group docs")
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "text", "-d", folder / "trees"]
    outer = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    build = subprocess.run([*command, DOCS, folder / "text"], env=outer, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    return folder / "text"


def test_the_pages_are_built_without_a_warning(built):
    text = "".join(path.read_text(encoding="utf-8") for path in (built / "api").glob("*.txt"))

    assert [name for name in DESCRIBED if name not in text] == []


def test_a_signature_shows_types_and_defaults_as_they_are_written(built):
    text = (built / "api" / "policies.txt").read_text(encoding="utf-8")

    assert "   retry: Retry = Retry(),\n" in text
    assert "   key: str | Callable[..., Any] | None = None,\n" in text


def test_no_page_shows_an_object_in_place_of_its_name(built):
    pages = {path.name: path.read_text(encoding="utf-8") for path in (built / "api").glob("*.txt")}

    shown = re.compile(r" at 0x|<class|<factory>|<function|Unpack\[")
    assert [name for name, text in pages.items() if shown.search(text)] == []


# --- settings, checks, commands -----------------------------------------------------------------------------------


def first_cells(text):
    return re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)


def section(text, heading):
    """The text below a heading, up to the next one of its level."""
    level = heading.partition(" ")[0]
    return text.split(f"\n{heading}\n", 1)[1].split(f"\n{level} ", 1)[0]


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("## `HELIOGRAPH`", conf.DEFAULTS),
        ('## `HELIOGRAPH["AUDIT"]`', audit_conf.KEYS),
        ("## `HELIOGRAPH_WEBHOOKS`", [one.name.upper() for one in fields(WebhookSettings)]),
    ],
)
def test_a_table_of_settings_has_exactly_the_keys_of_the_code(heading, keys):
    assert sorted(first_cells(section(page("settings.md"), heading))) == sorted(keys)


def test_the_tables_of_a_backend_have_exactly_its_keys_and_options():
    options = {name for one in (DatabaseBackend, CeleryBackend, TasksBackend) for name in one.options}

    assert {*first_cells(section(page("settings.md"), "## `HELIOGRAPH_OUTBOX`"))} == {*outbox_conf.KEYS} | options


def test_the_table_of_system_checks_has_exactly_the_ids_of_the_code():
    sources = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    rows = re.findall(r"^\| `heliograph\.(\w+)` \|", page("system-checks.md"), re.MULTILINE)

    assert sorted(rows) == sorted({*re.findall(r'"(?:heliograph\.)?([EWI]\d{3})"', sources)})


OF_DJANGO = {"-h", "-v", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color", "--skip-checks"}


def verbs(command):
    """The verbs of a command, each with the names of its options and of what it takes by position."""
    parser = load_command_class(APPS[command], command).create_parser("manage.py", command)
    (parsers,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return {
        f"{command} {verb}": {
            option_of(one) for one in of_verb._actions if not OF_DJANGO & {*one.option_strings} and is_ours(one)
        }
        for verb, of_verb in parsers.choices.items()
    }


def is_ours(action):
    return not isinstance(action, argparse._VersionAction)


def option_of(action):
    """What stands in the table: an option, or what is shown for something without a name."""
    if action.option_strings:
        return action.option_strings[0]
    return action.metavar or "|".join(action.choices or ()) or action.dest.upper()


def documented(command):
    text = section(page("commands.md"), f"## `manage.py {command}`")
    found = {}
    for part in text.split("\n### ")[1:]:
        cells = re.findall(r"^\| `(.*?)` \|", part, re.MULTILINE)
        found[re.match("`(.*)`", part)[1]] = {re.sub(r"^(--[\w-]+) .*", r"\1", bare(cell)) for cell in cells}
    return found


def bare(cell):
    """The cell without the signs of "may be left out" and "may be repeated"."""
    text = cell.replace("\\|", "|")
    return text[1:-1].removesuffix(" ...") if text.startswith("[") else text


@pytest.mark.parametrize("command", APPS)
def test_a_command_has_exactly_the_verbs_and_options_of_its_page(command):
    assert documented(command) == verbs(command)
