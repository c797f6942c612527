"""A commit can be released when its version, its changelog and its tag agree."""

from dataclasses import replace

import pytest

from tools.environments import ROOT
from tools.release import Candidate, candidate

READY = Candidate("1.2.0", "# Changelog\n\n## 1.2.0 - 2031-05-01\n\n## 1.1.0 - 2031-01-01\n", (), (), ("v1.1.0",))


def test_a_commit_whose_version_has_a_section_and_no_tag_can_be_released():
    assert READY.problems() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"fragments": ["+a.fixed.md"]}, "changes.d/+a.fixed.md is not in the changelog: run towncrier."),
        ({"modified": ["README.md"]}, "README.md is not committed."),
        ({"tags": ["v1.2.0"]}, "The tag v1.2.0 is there already."),
        ({"changelog": "## 1.1.0 - 2031-01-01\n"}, "CHANGELOG.md does not begin with 1.2.0 and a date."),
        ({"changelog": "## 1.2.0\n"}, "CHANGELOG.md does not begin with 1.2.0 and a date."),
        ({"changelog": "# Changelog\n"}, "CHANGELOG.md does not begin with 1.2.0 and a date."),
        (
            {"changelog": READY.changelog + "## 0.1 - Unreleased\n"},
            "CHANGELOG.md has a section '0.1 - Unreleased'.",
        ),
        (
            {"version": "1.2.0.dev0", "changelog": "## 1.2.0.dev0 - 2031-05-01\n"},
            "__version__ is '1.2.0.dev0': set it in src/heliograph/__init__.py.",
        ),
    ],
)
def test_what_keeps_a_commit_from_being_released_is_named(change, problem):
    assert replace(READY, **change).problems() == [problem]


def test_the_candidate_of_a_checkout_has_its_fragments_and_its_changelog():
    found = candidate(ROOT)

    assert {*found.fragments} == {path.name for path in ROOT.glob("changes.d/*.*.md")}
    assert found.changelog == (ROOT / "CHANGELOG.md").read_text()
