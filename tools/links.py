"""The links of the pages: inside of the checkout, which must lead somewhere, and to elsewhere, which this lists.

Tests look at both, without a network: `python -m tools.links` prints what somebody should open now and then.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tools.environments import ROOT

PLACES = ("*.md", ".github/**/*.md", "changes.d/*.md", "docs/**/*.md", "examples/**/*.md")

# `[text](target)` and images, with or without a title; `[name]: target`; and an address in angle brackets.
INLINE = re.compile(r"\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
NAMED = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
BARE = re.compile(r"<((?:https?|mailto):[^>\s]+)>")
FENCED = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2`*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)


def pages() -> list[Path]:
    """Return every page of the checkout."""
    return sorted({page for place in PLACES for page in ROOT.glob(place)})


def links(page: Path) -> list[str]:
    """Return the targets of a page's links, without those that stand in code."""
    text = CODE.sub("code", FENCED.sub("", page.read_text(encoding="utf-8")))
    return [target for form in (INLINE, NAMED, BARE) for target in form.findall(text)]


def is_external(link: str) -> bool:
    """Return whether a link leads out of the checkout."""
    return bool(urlsplit(link).scheme)


def leads_somewhere(page: Path, link: str) -> bool:
    """Return whether the file of a link is there, and has the anchor."""
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> list[str]:
    """Return what can be linked on a page: its headings, and the labels in front of them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [*_slugs(headings), *re.findall(r"^\((.*)\)=$", text, re.MULTILINE)]


def _slugs(headings: list[str]) -> Iterator[str]:
    """Yield the anchor of each heading; one that was there before gets a number."""
    seen: dict[str, int] = {}
    for heading in headings:
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug


def fault(link: str) -> str:
    """Return what is wrong with the form of an external link, or nothing."""
    parts = urlsplit(link)
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"):
        return ""
    if parts.scheme != "https":
        return "is not https"
    if not re.fullmatch(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", parts.hostname or ""):
        return "has no host"
    if parts.username or parts.port:
        return "has a user or a port"
    return "ends with a mark of the sentence" if link[-1] in ".,;:!?" else ""


def main() -> None:
    """Print each external link, with the pages that have it."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for link in filter(is_external, links(page)):
            found.setdefault(link, []).append(page.relative_to(ROOT).as_posix())
    for link, places in sorted(found.items()):
        print(f"{link}  {', '.join(places)}")


if __name__ == "__main__":
    main()
