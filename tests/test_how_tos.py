"""The how-tos: each has the wrong form and why, a sample that runs, and a line in the index."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "how-to"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SAMPLE = re.compile(r"^```(?:python|sh)$", re.MULTILINE)
# The sample is in the section of another page, which the how-to links; test_docs.py runs it there.
ELSEWHERE = re.compile(r"\]\(\.\./[\w/-]+\.md#[\w-]+\)")

pytestmark = pytest.mark.database_independent


def sections():
    """Yield the page, the title and the text of each how-to."""
    for page in sorted(FOLDER.glob("*.md")):
        if page.name != "index.md":
            for title, text in SECTION.findall(page.read_text(encoding="utf-8")):
                yield page.name, title, text


HOW_TOS = [*sections()]


def name_of(how_to):
    return f"{how_to[0]}: {how_to[1]}"


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_there_are_at_least_fifty():
    assert len(HOW_TOS) >= 50


@pytest.mark.parametrize("how_to", HOW_TOS, ids=name_of)
def test_a_how_to_has_the_wrong_form(how_to):
    assert "**Wrong:**" in how_to[2]


@pytest.mark.parametrize("how_to", HOW_TOS, ids=name_of)
def test_a_how_to_has_a_sample(how_to):
    assert SAMPLE.search(how_to[2]) or ELSEWHERE.search(how_to[2])


@pytest.mark.parametrize("how_to", HOW_TOS, ids=name_of)
def test_a_how_to_stands_in_the_index(how_to):
    page, title, _ = how_to
    assert f"]({page}#{anchor(title)})" in INDEX
