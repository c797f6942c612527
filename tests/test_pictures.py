"""The pictures of the documentation are small, are used, and are described for those who do not see them."""

import re
from pathlib import Path

import pytest

from tests.test_docs import PAGES, name_of

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
MOST_BYTES = 120_000
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def shown(page):
    """Return the description and the file of each picture that a page shows."""
    found = SHOWN.findall(page.read_text(encoding="utf-8"))
    return [(text, (page.parent / path).resolve()) for text, path in found]


@pytest.mark.parametrize("page", [page for page in PAGES if shown(page)], ids=name_of)
def test_a_picture_is_described_in_a_sentence(page):
    assert [path.name for text, path in shown(page) if not re.search(r"\w+ \w+ \w+.*\.$", text, re.DOTALL)] == []


def test_each_picture_is_small_and_stands_on_a_page():
    pictures = {*PICTURES.iterdir()}

    assert len(pictures) > 5
    assert pictures <= {path for page in PAGES for _, path in shown(page)}
    assert {path.name: size for path in pictures if (size := path.stat().st_size) > MOST_BYTES} == {}
