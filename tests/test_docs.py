"""The documentation: its samples run, and no page hangs loose; test_links.py follows its links."""

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
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from pathlib import Path

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from heliograph import Durable, Retry

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":  # in the process of a page, whose folder is the current one
    sys.path.append(str(ROOT))

from tests.helpers.databases import PREFIX, SERVERS  # noqa: E402 - after the path

START = ROOT / "docs" / "start.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = ROOT / "docs" / "tutorial"  # test_tutorial.py follows it
ON_POSTGRESQL = ROOT / "docs" / "moving" / "django-pghistory.md"  # a package of triggers of PostgreSQL

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A block that begins with the comment "# shop/receivers.py" is that file of the page's project.
FILE = re.compile(r"# ([\w/]+\.py)\n")


def name_of(page):
    """The page's name below docs: `recipes/index.md`."""
    return page.relative_to(ROOT).as_posix().removeprefix("docs/")


def blocks(page):
    """The Python blocks of a page: the line before the first one of each, and the code."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, match.start()) + 1, match[1]) for match in BLOCK.finditer(text)]


def files(page):
    return {match[1]: code for _, code in blocks(page) if (match := FILE.match(code))}


def kind_of(page):
    """Return the database that the samples of a page run on."""
    return "postgresql" if page == ON_POSTGRESQL else "sqlite"


def on_sqlite():
    """The pages with samples that run here; test_docs_on_postgresql.py has the other one."""
    return [page for page in PAGES if blocks(page) and page.parent != TUTORIAL and kind_of(page) == "sqlite"]


@pytest.mark.parametrize("page", on_sqlite(), ids=name_of)
def test_the_samples_of_a_page_run(page, tmp_path):
    finished = run_afresh(page, tmp_path)
    assert finished.returncode == 0, finished.stderr


def run_afresh(page, folder):
    """Run the samples of a page in a process of its own, in an empty folder."""
    command = [sys.executable, "-P", "-W", "error", __file__, str(page)]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)


def environment(folder):
    outer = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = [str(folder), *(outer["PYTHONPATH"].split(os.pathsep) if "PYTHONPATH" in outer else [])]
    return outer | {"PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.parametrize("policy", [Durable, Retry])
def test_every_option_of_a_durable_receiver_is_on_its_page(policy):
    outbox = (ROOT / "docs" / "outbox.md").read_text(encoding="utf-8")
    assert [option.name for option in fields(policy) if f"| `{option.name}` |" not in outbox] == []


# --- the tree of the pages ----------------------------------------------------------------------------------------

DESCRIPTION = re.compile(r"\A---\nmyst:\n  html_meta:\n    description: (.+)\n---\n\n# ")
TOCTREE = re.compile(r"^```{toctree}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def described_pages():
    """The pages with a description for search engines."""
    return [page for page in PAGES if page != ROOT / "README.md"]


def description(page):
    match = DESCRIPTION.match(page.read_text(encoding="utf-8"))
    return match[1] if match else ""


@pytest.mark.parametrize("page", described_pages(), ids=name_of)
def test_a_page_has_a_description_that_a_search_engine_shows_whole(page):
    assert 50 <= len(description(page)) <= 155
    assert description(page).endswith(".")


def test_each_page_has_a_description_of_its_own():
    descriptions = [description(page) for page in described_pages()]
    assert sorted({*descriptions}) == sorted(descriptions)


def children(page):
    """The pages that the tables of contents of a page name."""
    trees = "".join(TOCTREE.findall(page.read_text(encoding="utf-8")))
    names = [re.sub(r".*<(.+)>", r"\1", line) for line in trees.splitlines() if line and line[0] != ":"]
    return [page.parent / f"{name}.md" for name in names]


def test_each_page_stands_in_the_table_of_contents_once():
    pages = [page for page in PAGES if page.name != "README.md"]
    index = ROOT / "docs" / "index.md"

    assert sorted([index, *(child for page in pages for child in children(page))]) == pages


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
    with set_up(kind_of(page)), asyncio.Runner() as runner:
        namespace = {"__name__": "__main__", **models()}
        for line, code in blocks(page):
            if not FILE.match(code):
                run_block(code, namespace, page, line, runner)


@contextmanager
def set_up(kind):
    """Configure the project of a page, and migrate its database: on PostgreSQL one that is gone afterwards."""
    chosen = vars(importlib.import_module("mysite.settings"))
    usual = {
        "DATABASES": {"default": database_of_the_samples(kind)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
    }
    settings.configure(**usual | {name: value for name, value in chosen.items() if name.isupper()})
    django.setup()
    if kind == "sqlite":
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield
        return
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db("unused", verbosity=0)


def database_of_the_samples(kind):
    if kind == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}
    name = f"{PREFIX}_samples"
    return {**SERVERS[kind], "NAME": name, "TEST": {"NAME": name}}


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
