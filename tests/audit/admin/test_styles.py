"""The style sheet of the audit log: whether its colors can be read, with those of Django around them."""

import re
from pathlib import Path

import django.contrib.admin
import pytest

import heliograph.audit
from tests.helpers.contrast import READABLE, contrast, variables

pytestmark = pytest.mark.database_independent

OURS = (Path(heliograph.audit.__file__).parent / "static/heliograph_audit/admin.css").read_text(encoding="utf-8")
DJANGO = Path(django.contrib.admin.__file__).parent / "static" / "admin" / "css"
LIGHT, DARK, DARK_BY_THE_SYSTEM = r":root", r'html\[data-theme="dark"\]', r"\(prefers-color-scheme: dark\)\s*{\s*:root"
THEMES = {
    "light": (variables(OURS, LIGHT), variables((DJANGO / "base.css").read_text(encoding="utf-8"), LIGHT)),
    "dark": (variables(OURS, DARK), variables((DJANGO / "dark_mode.css").read_text(encoding="utf-8"), DARK)),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("color", ["--audit-quiet", "--audit-added", "--audit-removed"])
def test_every_color_can_be_read_on_the_page(theme, color):
    ours, djangos = THEMES[theme]
    for background in ("--body-bg", "--darkened-bg"):
        assert contrast(ours[color], djangos[background]) >= READABLE


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["added", "removed"])
def test_a_change_can_be_read_on_its_background(theme, kind):
    ours, _ = THEMES[theme]
    assert contrast(ours[f"--audit-{kind}"], ours[f"--audit-{kind}-bg"]) >= READABLE


def test_a_dark_system_and_a_dark_choice_have_the_same_colors():
    assert variables(OURS, DARK_BY_THE_SYSTEM) == variables(OURS, DARK)


@pytest.mark.parametrize(("element", "line"), [("del", "line-through"), ("ins", "underline")])
def test_a_change_is_not_marked_by_color_alone(element, line):
    rule = re.search(rf"^\.audit-page {element} {{(.*?)}}", OURS, re.DOTALL | re.MULTILINE)[1]
    assert f"text-decoration: {line};" in rule
