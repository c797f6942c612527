"""The documentation: its samples run, its links lead somewhere, and its reference is complete."""

import ast
import asyncio
import doctest
import importlib
import inspect
import io
import os
import re
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

from heliograph import Durable, Retry, Signal
from heliograph.conf import DEFAULTS
from heliograph.dispatch import Call
from heliograph.outbox.conf import KEYS

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "docs" / "start.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A block that begins with the comment "# shop/receivers.py" is that file of the page's project.
FILE = re.compile(r"# ([\w/]+\.py)\n")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page):
    """The page's name below docs: `recipes/index.md`."""
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


def blocks(page):
    """The Python blocks of a page: the line before the first one of each, and the code."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start()) + 1, match[1]) for match in BLOCK.finditer(text)]


def files(page):
    return {match[1]: code for _, code in blocks(page) if (match := FILE.match(code))}


@pytest.mark.skipif(os.environ.get("HELIOGRAPH_TEST_DATABASE", "sqlite") != "sqlite", reason="they run on SQLite")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_the_samples_of_a_page_run(page, tmp_path):
    command = [sys.executable, "-P", "-W", "error", __file__, str(page)]
    finished = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)

    assert finished.returncode == 0, finished.stderr


def environment(folder):
    outer = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = [str(folder), *(outer["PYTHONPATH"].split(os.pathsep) if "PYTHONPATH" in outer else [])]
    return outer | {"PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not leads_somewhere(page, link)] == []


def leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page):
    """What can be linked on a page: its headings, and the labels in front of them."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return slugs + re.findall(r"^\((.*)\)=$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def reference():
    return (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outbox():
    return (ROOT / "docs" / "outbox.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", ["heliograph", "heliograph.dispatch", "heliograph.adoption"])
def test_every_public_name_is_in_the_reference(module, reference):
    names = public_names(importlib.import_module(module))

    assert [name for name in names if not re.search(rf"^```{{py:\w+}} {name}\b", reference, re.MULTILINE)] == []


def public_names(module):
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [name for name, function in functions if function.__module__ == module.__name__ and name[0] != "_"]
    return getattr(module, "__all__", own)


@pytest.mark.parametrize(
    "name", ["connect", "disconnect", "send", "send_robust", "asend", "asend_robust", "has_listeners", "define"]
)
def test_a_method_of_signal_has_the_parameters_of_the_reference(name, reference):
    written = re.search(rf"^```{{py:method}} Signal\.{name}\((.*)\)$", reference, re.MULTILINE)[1]
    documented = inspect.signature(eval(f"lambda {written}: None", {"Call": Call}))
    actual = inspect.signature(getattr(Signal, name))

    assert described(documented) == described(actual)


def described(signature):
    """The parameters that a caller may pass: what takes every other name refuses it."""
    shown = (one for one in signature.parameters.values() if one.name != "self" and one.kind is not one.VAR_KEYWORD)
    return [(one.name, one.kind, one.default) for one in shown]


def test_drain_has_the_parameters_of_the_reference(reference):
    drain = importlib.import_module(
        "heliograph.outbox.work.runner"
    ).drain  # it needs settings, which a page makes later
    written = re.search(r"^```{py:function} drain\((.*)\)$", reference, re.MULTILINE)[1]

    assert described(inspect.signature(eval(f"lambda {written}: None"))) == described(inspect.signature(drain))


@pytest.mark.parametrize("policy", [Durable, Retry])
def test_every_option_of_a_durable_receiver_is_on_its_page(policy, outbox):
    assert [option.name for option in fields(policy) if f"| `{option.name}` |" not in outbox] == []


def test_every_setting_is_in_the_reference(reference):
    assert [name for name in (*DEFAULTS, *KEYS) if f"| `{name}` |" not in reference] == []


def test_every_system_check_is_in_the_reference(reference):
    checks = (ROOT / "src" / "heliograph" / "checks.py").read_text(encoding="utf-8")
    identifiers = re.findall(r'"(heliograph\.[EWI]\d+)"', checks)

    assert identifiers
    assert [name for name in identifiers if f"| `{name}` |" not in reference] == []


def test_every_system_check_of_the_outbox_is_on_its_page(outbox):
    package = ROOT / "src" / "heliograph"
    files = [package / "outbox" / name for name in ("checks.py", "database_checks.py")]
    files += (package / "databases").glob("*.py")
    checks = "".join(file.read_text(encoding="utf-8") for file in files)
    identifiers = set(re.findall(r'"(?:heliograph\.)?([EWI]\d+)"', checks))

    assert identifiers
    assert identifiers == set(re.findall(r"^\| `heliograph\.(\w+)` \|", outbox, re.MULTILINE))


# --- what runs in the process of a page -----------------------------------------------------------------------


def run(page):
    """Set up the project of a page in the current folder, and run its samples in order."""
    # What the start page writes is there on all pages, but for its receivers.
    for name, code in (files(START) | {"shop/receivers.py": ""} | files(page)).items():
        path = Path(name)
        for folder in [*path.parents][-2::-1]:  # from the outermost one, below the current
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        path.write_text(code, encoding="utf-8")
    set_up()
    with asyncio.Runner() as runner:
        namespace = {"__name__": "__main__", **models()}
        for line, code in blocks(page):
            if not FILE.match(code):
                run_block(code, namespace, page, line, runner)


def set_up():
    chosen = vars(importlib.import_module("mysite.settings"))
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}
    usual = {
        "DATABASES": {"default": database},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
    }
    settings.configure(**usual | {name: value for name, value in chosen.items() if name.isupper()})
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def models():
    """The models of the shop, which samples need not import: neither need they in `manage.py shell`."""
    return {model.__name__: model for model in apps.get_app_config("shop").get_models()}


def run_block(code, namespace, page, line, runner):
    """Run code, or compare what a block of prompts prints with what it says."""
    if ">>> " not in code:
        tree = compile("\n" * line + code, name_of(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return run_code(tree, namespace, runner)
    for example in doctest.DocTestParser().get_examples(code):
        compare(example, printed(example.source, namespace, runner), f"{name_of(page)}:{line + example.lineno + 1}")


def run_code(code, namespace, runner):
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        runner.run(result)


def printed(source, namespace, runner):
    output = io.StringIO()
    with redirect_stdout(output):
        try:
            run_code(compile(source, "<prompt>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace, runner)
        except Exception as error:
            output.writelines(traceback.format_exception_only(error))
    return output.getvalue()


def compare(example, output, place):
    options, checker = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, doctest.OutputChecker()
    wanted = example.exc_msg or example.want
    if not checker.check_output(wanted, output, options):
        sys.exit(f"{place}: {example.source}{checker.output_difference(example, output, options)}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
