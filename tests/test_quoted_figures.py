"""Each ratio that docs/performance.md quotes stands in the table that it names."""

import re

import pytest

from tools.environments import ROOT
from tools.links import anchors

DOCS = ROOT / "docs"
# | [title](page.md#anchor), which table | row | column | ratio |
LINK = r"\[[^\]]+\]\(([\w-]+\.md)#([^)]+)\)(?:, (\w+))?"
QUOTE = re.compile(rf"^\| {LINK} \| (.+?) \| (.+?) \| ([\d.]+) \|$", re.MULTILINE)
QUOTES = QUOTE.findall((DOCS / "performance.md").read_text(encoding="utf-8"))


def cells(line):
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def section(page, anchor):
    """The text below a heading."""
    headings = re.split(r"^#+ .*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return headings[1 + anchors(page).index(anchor)]


def tables(text):
    """The tables of a section: the line in front of each, and its lines."""
    return re.findall(r"^((?!\|).*)\n\n((?:\|.*\n)+)", text, re.MULTILINE)


def ratio(table, row, column):
    """The ratio in a cell such as `1.21 (227 us)`, or nothing."""
    head, _, *body = table.splitlines()
    found = {cells(line)[0]: dict(zip(cells(head), cells(line), strict=True)) for line in body}
    return found.get(row, {}).get(column, "").partition(" ")[0]


def quoted(page, anchor, which, row, column):
    """The ratios of this row and column, in the tables of a section that the line in front of them names."""
    named = [table for before, table in tables(section(DOCS / page, anchor)) if which in before]
    return [found for table in named if (found := ratio(table, row, column))]


@pytest.mark.parametrize(("page", "anchor", "which", "row", "column", "figure"), QUOTES)
def test_a_quoted_ratio_is_the_one_of_its_table(page, anchor, which, row, column, figure):
    assert quoted(page, anchor, which, row, column) == [figure]


def test_each_line_of_the_tables_of_ratios_is_a_quote():
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| \[.*benchmarks\.md#.*\|$", text, re.MULTILINE)

    assert len(QUOTES) == len(lines) > 20


def test_a_ratio_of_another_row_or_another_table_is_not_found():
    page, anchor = "benchmarks.md", "the-audit-log"

    assert quoted(page, anchor, "SQLite", "Heliograph", "a save in atomic()") != quoted(
        page, anchor, "PostgreSQL", "Heliograph", "a save in atomic()"
    )
    assert quoted(page, anchor, "SQLite", "Heliograph", "a save that nobody has measured") == []
