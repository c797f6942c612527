"""The tutorial, followed to the letter in an empty folder: every command, file and output is as its pages say."""

import os
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

import django
import pytest

from tests.helpers.following import FILE, DifferenceError, Reader, blocks
from tests.helpers.wheels import pack

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial"
PAGES = [TUTORIAL / name for name in ("index.md", "changes.md", "see-and-test.md")]
FIRST = PAGES[0]
FIVE_MINUTES = 300
# What pip would bring with Heliograph, from an index that this test does without.
BROUGHT = ("Django", "asgiref", "sqlparse")

pytestmark = pytest.mark.skipif(django.VERSION < (6, 1), reason="the tutorial shows projects of Django 6.1")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """What the shell of a reader has: a Python, and a package index that is a folder with the wheel of Heliograph."""
    index, brought = (tmp_path_factory.mktemp(name) for name in ("index", "brought"))
    pack(index)
    for name in BROUGHT:
        for part in {file.parts[0] for file in distribution(name).files} - {"..", "__pycache__"}:
            (brought / part).symlink_to(distribution(name).locate_file(part))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "HELIOGRAPH", "COV"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_COMPILE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
        "PYTHONPATH": str(brought),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def reader(environment, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with Reader(folder, environment) as reader:
        yield reader


def test_j1_the_tutorial_works_to_the_letter_in_an_empty_folder(reader):
    started = time.monotonic()
    for page in PAGES:
        reader.follow(page)
    assert time.monotonic() - started < FIVE_MINUTES


def lines_by_hand(page):
    """The lines of code that a reader writes on a page for Heliograph: the models are the reader's own."""
    files = [block for block in blocks(page) if block.kind == "file" and "models.py" not in FILE.match(block.text)[1]]
    return [line for block in files for line in block.text.splitlines() if line and not line.startswith("#")]


def test_j1_the_first_durable_receiver_has_at_most_ten_lines():
    lines = lines_by_hand(FIRST)

    assert any("delivery=Durable()" in line for line in lines)
    assert len(lines) <= 10


DIFFERENT = {
    "an output": "```sh\necho tea\n```\n\n```text\ncoffee\n```\n",
    "a command that fails": "```sh\ncp tea coffee\n```\n",
    "a prompt": "```sh\npython manage.py shell\n```\n\n```python\n>>> 1 + 1\n3\n```\n",
    "an exit": "```sh\nexit\n```\n",
}


@pytest.mark.parametrize("page", DIFFERENT.values(), ids=DIFFERENT)
def test_a_page_that_shows_something_else_is_refused(reader, tmp_path, page):
    (reader.folder / "manage.py").write_text("import sys; exec(sys.stdin.read())")
    path = tmp_path / "page.md"
    path.write_text(page)

    with pytest.raises(DifferenceError, match=r"^page\.md:\d+: "):
        reader.follow(path)


def test_lines_that_are_added_to_a_file_follow_those_that_it_has(reader, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "```python\n# tea.py\ncups = 1\n```\n\n```python\n# tea.py: add at the end\ncups += 1\nprint(cups)\n```\n\n"
        "```sh\npython tea.py\n```\n\n```text\n2\n```\n"
    )

    reader.follow(path)
