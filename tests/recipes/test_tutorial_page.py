"""The forms of tutorials on the page of kept fields are those that the tests show to be wrong."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from tests.recipes import tutorial_forms
from tests.recipes.tutorial_forms import FORMS, ON_THE_PAGE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes" / "kept-fields.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## Why not a receiver by hand\?$(.*?)^## ", re.MULTILINE | re.DOTALL)
# The models of the page, and those of the tests.
WORDS = {
    "Comment": "Item",
    "comment": "item",
    "comments": "items",
    "comment_count": "items_count",
    "Post": "Cart",
    "post": "cart",
    "posts": "carts",
    "post_id": "cart_id",
}


def on_the_page():
    """Return the receivers of the page by name, in the words of the tests."""
    [section] = SECTION.findall(PAGE.read_text())
    sources = [code for code in BLOCK.findall(section) if not code.startswith(">>>")]
    parsed = ast.parse("".join(re.sub(r"\w+", lambda word: WORDS.get(word[0], word[0]), code) for code in sources))
    return {one.name: one for one in parsed.body if isinstance(one, ast.FunctionDef)}


def in_the_tests(form):
    """Return the receivers of a form by name."""
    functions = {receiver for _, receiver, _ in FORMS[form]}
    return {one.__name__: ast.parse(textwrap.dedent(inspect.getsource(one))).body[0] for one in functions}


def connected(form):
    """Return the decorator of each receiver of a form, as the page would write it."""
    found = {}
    for signal, receiver, options in FORMS[form]:
        signals, _ = found.setdefault(receiver.__name__, ([], options))
        signals.append(next(name for name, value in vars(tutorial_forms).items() if value is signal))
    return {name: _decorator(signals, options) for name, (signals, options) in found.items()}


def _decorator(signals, options):
    shown = f"[{', '.join(signals)}]" if len(signals) > 1 else signals[0]
    return f"receiver({', '.join([shown, 'sender=Item', *(f'{name}={value!r}' for name, value in options.items())])})"


def body(function):
    return ast.unparse([function.args, *function.body])


@pytest.mark.parametrize("form", ON_THE_PAGE)
def test_a_form_of_the_page_is_the_one_of_the_tests(form):
    page, tests = on_the_page(), in_the_tests(form)
    assert {name: body(page[name]) for name in tests} == {name: body(one) for name, one in tests.items()}


@pytest.mark.parametrize("form", ON_THE_PAGE)
def test_a_form_of_the_page_is_connected_as_in_the_tests(form):
    page = on_the_page()
    assert {name: ast.unparse(page[name].decorator_list) for name in connected(form)} == connected(form)


def test_the_tests_have_every_form_of_the_page():
    assert {*on_the_page()} == {name for form in ON_THE_PAGE for name in in_the_tests(form)}
