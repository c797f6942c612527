"""Checks that hold for each page in a browser: its width on a phone, and accessibility by the rules of WCAG AA."""

from collections.abc import Mapping, Sequence

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

PHONE = {"width": 360, "height": 740}
AA = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
CONTRAST = {"type": "rule", "values": ["color-contrast"]}
# It returns a line for each rule that is broken; what axe has found besides is much, and not needed.
RUN = """async ([part, options]) => {
    const { violations } = await axe.run(part ?? document, options);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html)}`);
}"""


def found_by_axe(page: Page, part: str | None = None, without: Sequence[str] = ()) -> list[str]:
    """Return each rule that the page, or a part of it, breaks in light or in dark, and the elements that break it."""
    light = _broken(page, part, {"type": "tag", "values": [*AA]}, without)
    # Only colours differ in dark.
    return [*light, *unreadable_in_dark(page, part)]


def unreadable_in_dark(page: Page, part: str | None = None) -> list[str]:
    """Return the elements whose text has too little contrast in dark."""
    page.emulate_media(color_scheme="dark")
    page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished))")
    return [f"dark: {one}" for one in _broken(page, part, CONTRAST)]


def _broken(page: Page, part: str | None, rules: Mapping[str, object], without: Sequence[str] = ()) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    disabled = {name: {"enabled": False} for name in without}
    options = {"runOnly": rules, "rules": disabled, "resultTypes": ["violations"]}
    return page.evaluate(RUN, [part, options])


def beyond_the_right_edge(page: Page) -> int:
    """Return how many pixels of the page stand beyond the right edge of a phone."""
    page.set_viewport_size(PHONE)
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
