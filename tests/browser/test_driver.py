"""The browser that the other tests drive: one that is missing is a failure, and faults of a page are found."""

import pytest

from tests.helpers.browsers import VARIABLE, faults_of, launch
from tests.helpers.page_checks import beyond_the_right_edge, found_by_axe


def test_a_browser_that_is_missing_is_a_failure_that_says_what_to_install(playwright, monkeypatch):
    monkeypatch.setenv(VARIABLE, "/no/such/browser")

    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        launch(playwright)


@pytest.fixture
def watched(browser, shop):
    """A page of the shop, and the list of its faults."""
    with browser.new_context(base_url=shop) as context:
        faults = faults_of(context, shop)
        page = context.new_page()
        page.goto("people/")
        yield page, faults


def test_a_request_to_another_address_is_a_fault(watched):
    page, faults = watched

    page.evaluate("fetch('http://127.0.0.1:1/').catch(() => null)")

    assert "a request to http://127.0.0.1:1/" in faults


def test_an_error_that_a_page_logs_is_a_fault(watched):
    page, faults = watched

    with page.expect_console_message():
        page.evaluate("console.error('out of order')")

    assert [fault for fault in faults if fault.startswith("out of order")]


def test_text_that_nobody_can_read_and_a_page_that_is_too_wide_are_found(watched):
    page, _ = watched
    assert (found_by_axe(page), beyond_the_right_edge(page)) == ([], 0)

    page.add_style_tag(content="h1 { color: light-dark(#eee, #222); width: 400px; }")

    page.emulate_media(color_scheme="light")
    light, dark = found_by_axe(page)
    assert light.startswith("color-contrast: <h1>")
    assert dark.startswith("dark: color-contrast: <h1>")
    assert beyond_the_right_edge(page) > 0
