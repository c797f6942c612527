"""Every link of every page leads somewhere: to a file, to an anchor on it, or to an address whose form is right."""

import pytest

from tools.environments import ROOT
from tools.links import anchors, fault, is_external, leads_somewhere, links, pages


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def reader_of(page):
    """The page on which a page is read: a fragment is a part of the changelog."""
    is_fragment = page.parent.name == "changes.d" and page.name != "README.md"
    return ROOT / "CHANGELOG.md" if is_fragment else page


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page):
    inside = [link for link in links(page) if not is_external(link)]
    assert [link for link in inside if not leads_somewhere(reader_of(page), link)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_to_elsewhere_have_the_form_of_an_address(page):
    assert {link: wrong for link in links(page) if is_external(link) and (wrong := fault(link))} == {}


def test_the_readme_and_the_pages_of_the_documentation_are_looked_at():
    assert {ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "recipes" / "mail.md"} <= {*pages()}


# --- what is found, and what is not ----------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path):
    """A function that writes a page."""

    def write(text, name="page.md"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "See [this](other.md#end).",
        'See [this](other.md#end "a title").',
        "See [this\nlong text](other.md#end).",
        "![a picture](other.md#end)",
        "See [this].\n\n[this]: other.md#end",
        "[![a picture](other.md#end)](other.md#end)",
    ],
)
def test_a_link_is_found_in_each_form(page, text):
    assert {*links(page(text))} == {"other.md#end"}


def test_an_address_in_angle_brackets_is_a_link(page):
    assert links(page("See <https://example.com/a>.")) == ["https://example.com/a"]


@pytest.mark.parametrize("text", ["`[a](b)`", "```md\n[a](b)\n```", "``[a](b) ` ``", "~~~\n[a](b)\n~~~"])
def test_code_has_no_links(page, text):
    assert links(page(text)) == []


def test_a_file_or_an_anchor_that_is_missing_is_found(page):
    page("# The end", "other.md")
    here = page("# Here\n\n(label)=\n## There")

    assert all(leads_somewhere(here, link) for link in ("other.md", "other.md#the-end", "#there", "#label"))
    assert not any(leads_somewhere(here, link) for link in ("another.md", "other.md#there", "#the-end"))


def test_a_comment_in_code_is_no_anchor(page):
    assert anchors(page("# Title\n\n```python\n# shop/models.py\n```\n")) == ["title"]


def test_a_heading_that_is_there_twice_has_a_number(page):
    assert anchors(page("# Order\n\n## Rows\n\n## Rows\n")) == ["order", "rows", "rows-1"]


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("https://www.djangoproject.com/download/", ""),
        ("http://127.0.0.1:8000/applications/", ""),
        ("http://www.djangoproject.com", "is not https"),
        ("ftp://www.djangoproject.com", "is not https"),
        ("https://djangoproject", "has no host"),
        ("https://www.djangoproject.com:8000", "has a user or a port"),
        ("https://me@www.djangoproject.com", "has a user or a port"),
        ("https://www.djangoproject.com.", "has no host"),
        ("https://www.djangoproject.com/download.", "ends with a mark of the sentence"),
    ],
)
def test_the_form_of_an_address_is_looked_at(link, wrong):
    assert fault(link) == wrong
