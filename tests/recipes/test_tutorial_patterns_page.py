"""The page about patterns of tutorials and those of the recipes show the code and the figures of examples/tutorial."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from examples.tutorial import cached_title, file_deletion, profile, slug, stock
from tests.recipes.test_tutorial_patterns import CHECKS, FIGURES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "tutorial-forms.md").read_text(encoding="utf-8")
MODULES = dict.fromkeys(pattern for pattern, _, _ in CHECKS.values())
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.database_independent


def file_of(module):
    return Path(module.__file__).name


def row_of(module):
    """Return the row of the page about a module."""
    [row] = re.findall(rf"^\| `{file_of(module)}`:.*$", PAGE, re.MULTILINE)
    return row


@pytest.mark.parametrize(("check", "pattern", "wrong", "number"), FIGURES)
def test_the_page_has_the_figures_of_the_check(check, pattern, wrong, number):
    assert f" {wrong} of {number} " in row_of(pattern)


@pytest.mark.parametrize("module", MODULES, ids=file_of)
def test_the_page_shows_our_line(module):
    shown = row_of(module).split(" | ")[3].strip("`@")

    assert shown in inspect.getsource(module.ours)


def test_the_page_has_a_row_for_each_module():
    folder = Path(profile.__file__).parent
    names = {path.name for path in folder.glob("*.py")} - {"__init__.py", "apps.py", "models.py"}

    assert {*re.findall(r"^\| `(\w+\.py)`", PAGE, re.MULTILINE)} == {*map(file_of, MODULES)} == names


# The receivers of a page, and the words of the page where the module has others.
ON_PAGES = {
    "related-rows.md": ([profile.create_profile, profile.save_profile], {"customer": "member"}),
    "slugs.md": ([slug.set_slug], {"Article": "instance.__class__"}),
    "stock.md": ([stock.subtract_and_save], {}),
    "cache.md": ([cached_title.delete_key], {}),
    "files.md": ([file_deletion.delete_file], {"thumbnail": "image", "delete_thumbnail": "delete_file"}),
}


@pytest.mark.parametrize("name", ON_PAGES)
def test_the_page_of_a_recipe_shows_the_receivers_of_the_module(name):
    receivers, words = ON_PAGES[name]
    shown = functions("\n".join(BLOCK.findall((DOCS / "recipes" / name).read_text(encoding="utf-8"))), words)

    for receiver in receivers:
        assert shown[receiver.__name__] == functions(inspect.getsource(receiver), {})[receiver.__name__]


def functions(code, words):
    """Return the functions of a text by name, in other words, without decorators."""
    code = "\n".join(line for line in code.splitlines() if not line.startswith((">>>", "...", "@")))
    found = re.findall(r"^def \w+\(.*\n(?:(?: .*)?\n)*", code + "\n", re.MULTILINE)
    changed = (re.sub(r"\w+", lambda word: words.get(word[0], word[0]), one) for one in found)
    return {tree.name: ast.unparse(tree) for [tree] in (ast.parse(one).body for one in changed)}
