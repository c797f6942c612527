"""The files that strangers look for say what is true, and lead somewhere."""

import re
import tomllib

import pytest

from tests.test_docs import LINK, leads_somewhere
from tools.environments import ROOT
from tools.versions import PYTHONS, SUPPORTED

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = [page for glob in ("*.md", ".github/**/*.md", "changes.d/*.md", "examples/**/*.md") for page in ROOT.glob(glob)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    # A fragment is read as a part of the changelog.
    reader = ROOT / "CHANGELOG.md" if page.parent.name == "changes.d" and page.name != "README.md" else page
    links = LINK.findall(page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not leads_somewhere(reader, link)] == []


def test_the_policies_name_the_versions_that_are_tested():
    rows = re.findall(r"^\| (\d\.\d) \| (3[\d., ]+) \|$", (ROOT / "docs" / "policies.md").read_text(), re.MULTILINE)
    assert {django: tuple(pythons.split(", ")) for django, pythons in rows} == SUPPORTED


@pytest.mark.parametrize(
    ("family", "versions"), [("Framework :: Django", [*SUPPORTED]), ("Programming Language :: Python", [*PYTHONS])]
)
def test_the_package_names_the_versions_that_are_tested(family, versions):
    pattern = re.compile(rf"{family} :: (\d\.\d+)")
    assert [match[1] for one in PROJECT["classifiers"] if (match := pattern.fullmatch(one))] == versions


def test_the_package_requires_the_versions_that_are_tested():
    newest = tuple(map(int, [*SUPPORTED][-1].split(".")))
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert f"Django>={next(iter(SUPPORTED))},<{newest[0]}.{newest[1] + 1}" in PROJECT["dependencies"]
