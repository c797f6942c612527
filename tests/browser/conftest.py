"""The fixtures of the browser tests: the shop with a worker beside it, pages of a browser, and pictures for docs."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers.shop import first_purchases, serving

# Other environments, such as those of the matrix, have no driver: `make test-browser` runs these.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

PURCHASES = 20
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDE = {"width": 1180, "height": 760}
PATIENCE = 60_000  # milliseconds, on a machine that others use too


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder with the data of the shop."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="session")
def shop(folder):
    """The address of the shop as `make demo` serves it, with its worker; each test signs in as somebody of its own."""
    with serving(folder, "--data", str(first_purchases(PURCHASES, folder))) as (_, address):
        yield address


@pytest.fixture(scope="session")
def playwright():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright):
    from tests.helpers.browsers import launch

    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def open_context(browser):
    """A function that opens a window with cookies of its own; no page of it may ask elsewhere, or log an error."""
    from tests.helpers.browsers import faults_of

    contexts, faults = [], []

    def open_context(address, **options):
        context = browser.new_context(base_url=address, **{"viewport": WIDE, "color_scheme": "light", **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        faults.append(faults_of(context, address))
        return context

    yield open_context
    for context in contexts:
        context.close()
    assert [fault for of_one in faults for fault in of_one] == []


@pytest.fixture
def page(open_context, shop):
    """A page of the shop."""
    return open_context(shop).new_page()


@pytest.fixture(scope="session")
def picture():
    """A function that stores a picture for the documentation, if `make screenshots` asks for it."""

    def picture(page, name, width=1130, height=600):
        if os.environ.get("HELIOGRAPH_SCREENSHOTS"):
            PICTURES.mkdir(exist_ok=True)
            page.set_viewport_size({"width": width, "height": height})
            page.mouse.move(0, 0)
            page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")
            page.set_viewport_size(WIDE)

    return picture
