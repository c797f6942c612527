"""The promises of the documentation and the tests that hold them refer to each other by the ids of the cases."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def promised():
    """Return the ids of the cases on the page, such as T3."""
    return re.findall(r"^\| ([A-Z]\d+[a-z]?) \|", (ROOT / "docs" / "promises.md").read_text(), re.MULTILINE)


def ids_of_tests():
    """Return the ids with which names of tests, or of classes of tests, begin."""
    sources = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    of_tests = [number.upper() for text in sources for number in re.findall(r"def test_([a-z]\d+)_", text)]
    return {*of_tests, *(number for text in sources for number in re.findall(r"class Test([A-Z]\d+)[A-Z]", text))}


def test_every_promise_has_a_test():
    assert [number for number in promised() if number not in ids_of_tests()] == []


def test_every_case_that_a_test_names_is_promised():
    assert sorted(ids_of_tests() - {*promised()}) == []


def test_no_promise_is_made_twice():
    assert sorted({number for number in promised() if promised().count(number) > 1}) == []
