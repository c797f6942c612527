"""Names and sentences use one word for one idea: the retired words of CONTRIBUTING.md are gone."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "heliograph"

# Words that have another meaning in English ("in turn", "at the moment") are looked for in names only.
IN_SENTENCES = r"tells?|telling|told|hears?|hearing|heard|fleets?|ledger|settle[ds]?|settling|tenancy|tends?|tending"
IN_NAMES = rf"{IN_SENTENCES}|turns?|moments?|noted?|notes|letters?|places?"
# Names that are not ours to choose, that users import, or that have a word in its English meaning.
ALLOWED = {"decimal_places", "add_note", "UnsettledError", "InTurn", "in_place", "is_in_place"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Attribute(attr=name) | ast.Name(id=name) | ast.keyword(arg=str(name)):
                yield name


def words_of(name: str) -> set[str]:
    """Return the words of a name: `told_by` has told and by, `SavepointTime` has savepoint and time."""
    return {word.lower() for word in WORD.findall(name)}


def retired(words: Iterator[str] | set[str], pattern: str) -> list[str]:
    return sorted(word for word in set(words) if re.fullmatch(pattern, word))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_name_in_the_code_has_a_retired_word(path):
    names = {path.stem, *names_in(ast.parse(path.read_text()))} - ALLOWED

    assert {name for name in names if retired(words_of(name), IN_NAMES)} == set()


@pytest.mark.parametrize("path", [*modules(), *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_for_readers_has_a_retired_word(path):
    sentences = re.findall(rf".*\b(?:{IN_SENTENCES})\b.*", path.read_text(), re.IGNORECASE)

    assert sentences == []


# Modules that Django, or a user's import, expects under this name: an app has one each.
OF_DJANGO = {"0001_initial", "admin", "apps", "checks", "conf", "fields", "models", "signals", "tasks"} | {
    "policies",
    "runner",
}


def test_no_two_modules_have_one_name():
    found = Counter(path.stem for path in modules() if path.stem != "__init__")

    assert [name for name, count in found.items() if count > 1 and name not in OF_DJANGO] == []


def test_the_words_of_a_name_are_found():
    assert [words_of(name) for name in ("_told_by", "HeardRows", "TELL_AGAIN")] == [
        {"told", "by"},
        {"heard", "rows"},
        {"tell", "again"},
    ]
