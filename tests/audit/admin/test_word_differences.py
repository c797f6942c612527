"""The words that were removed from a text and added to it."""

import random
import time

import pytest

from heliograph.audit.word_differences import MOST_WORDS, differences, differences_by_line

pytestmark = pytest.mark.database_independent


def written(pieces):
    marks = {"same": "{}", "removed": "[-{}-]", "added": "[+{}+]"}
    return "".join(marks[piece.kind].format(piece.text) for piece in pieces)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("a big dog", "a small dog", "a [-big -][+small +]dog"),
        ("one two", "one two three", "one [-two-][+two three+]"),
        ("same", "same", "same"),
        ("", "new", "[+new+]"),
        ("old", "", "[-old-]"),
        ("Größe: 5 cm", "Größe: 7 cm", "Größe: [-5 -][+7 +]cm"),
        ("end.", "end!", "end[-.-][+!+]"),
    ],
)
def test_the_words_are_marked(old, new, shown):
    assert written(differences(old, new)) == shown


def test_lines_are_marked_whole():
    assert written(differences_by_line("a\nb\n", "a\nc\n")) == "a\n[-b\n-][+c\n+]"


def test_a_long_part_without_a_change_is_shortened_to_the_sides_of_changes():
    first, second, third = ("".join(f"{name}{at} " for at in range(100)) for name in "abc")
    shown = written(differences(f"{first}one {second}two {third}", f"{first}1 {second}2 {third}"))

    assert shown.count("…") == 3
    assert len(shown) < 500
    assert "a99 [-one -][+1 +]b0 " in shown
    assert "b99 [-two -][+2 +]c0 " in shown


@pytest.mark.parametrize("seed", range(20))
def test_the_pieces_make_both_texts(seed):
    chance = random.Random(seed)
    old, new = ("".join(chance.choice(["a ", "b", "c, ", "\n"]) for _ in range(12)) for _ in range(2))
    pieces = differences(old, new)

    assert "".join(piece.text for piece in pieces if piece.kind != "added") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == new


def test_texts_that_differ_in_too_many_words_are_not_compared():
    assert differences("a " * MOST_WORDS, "b " * MOST_WORDS) is not None
    assert differences("a " * (MOST_WORDS + 1), "b " * MOST_WORDS) is None


@pytest.mark.parametrize("words", [1, 2, 5, 50, 500])
def test_the_largest_texts_are_compared_in_little_time(words):
    chance = random.Random(1)
    old, new = (" ".join(str(chance.randrange(words)) for _ in range(MOST_WORDS)) for _ in range(2))
    begun = time.process_time()
    differences(old, new)

    assert time.process_time() - begun < 1
