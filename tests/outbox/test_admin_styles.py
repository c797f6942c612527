"""The style sheet of the admin of deliveries: whether its colors can be read, with those of Django around them."""

import re
from pathlib import Path

import django.contrib.admin
import pytest

import heliograph.outbox
from tests.helpers.contrast import READABLE, contrast, variables

pytestmark = pytest.mark.database_independent

STYLES = Path(heliograph.outbox.__file__).parent / "static" / "heliograph_outbox" / "admin.css"
DJANGO = Path(django.contrib.admin.__file__).parent / "static" / "admin" / "css"

COLORS = ("--delivery-quiet", "--delivery-running", "--delivery-successful", "--delivery-dead")
BACKGROUNDS = ("--body-bg", "--darkened-bg", "--selected-row")


LIGHT, DARK, DARK_BY_THE_SYSTEM = r":root", r'html\[data-theme="dark"\]', r"\(prefers-color-scheme: dark\)\s*{\s*:root"
OURS = STYLES.read_text(encoding="utf-8")
THEMES = {
    "light": (variables(OURS, LIGHT), variables((DJANGO / "base.css").read_text(encoding="utf-8"), LIGHT)),
    "dark": (variables(OURS, DARK), variables((DJANGO / "dark_mode.css").read_text(encoding="utf-8"), DARK)),
}


def test_black_on_white_has_the_contrast_that_it_must_have():
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("color", COLORS)
def test_every_color_can_be_read_on_every_background_of_a_row(theme, color, background):
    ours, djangos = THEMES[theme]
    assert contrast(ours[color], djangos[background]) >= READABLE


def test_a_dark_system_and_a_dark_choice_have_the_same_colors():
    assert variables(OURS, DARK_BY_THE_SYSTEM) == variables(OURS, DARK)


def test_every_state_has_one_of_these_colors():
    rules = re.findall(r"([^{}]+){([^{}]*)}", OURS)
    colors = {
        state: re.search(r"color: var\((.*?)\)", body)[1]
        for selectors, body in rules
        for state in re.findall(r"\.delivery-state\.(\w+)", selectors)
    }
    assert set(colors) == {"ready", "running", "successful", "dead", "discarded"}
    assert set(colors.values()) <= set(COLORS)
