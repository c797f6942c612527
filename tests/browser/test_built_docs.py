"""The documentation as `make docs` has built it: without the network, in light and dark, and on a phone."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helpers.page_checks import beyond_the_right_edge, unreadable_in_dark

BUILT = Path(__file__).parents[2] / ".build" / "docs"


class QuietHandler(SimpleHTTPRequestHandler):
    """Answers requests without a line for each."""

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def docs():
    """The address of the documentation."""
    assert (BUILT / "index.html").exists(), "The documentation is not built: run `make docs`."
    handler = functools.partial(QuietHandler, directory=BUILT)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path", ["index.html", "start.html", "outbox.html", "reference.html", "recipes/index.html", "comparison.html"]
)
def test_a_page_of_the_documentation_asks_nobody_and_fits_on_a_phone(open_context, docs, path):
    page = open_context(docs).new_page()
    page.goto(path)

    assert beyond_the_right_edge(page) == 0


@pytest.mark.parametrize("path", ["index.html", "audit-admin.html"])
def test_the_text_of_a_page_can_be_read_in_dark(open_context, docs, path):
    page = open_context(docs).new_page()
    page.goto(path)

    assert unreadable_in_dark(page, "article") == []


def test_the_pictures_of_a_page_are_there(open_context, docs):
    page = open_context(docs).new_page()
    for path in ("index.html", "explain-admin.html", "audit-admin.html", "outbox.html"):
        page.goto(path)
        pictures = page.locator("article img").all()
        assert pictures
        assert [one.get_attribute("src") for one in pictures if not one.evaluate("one => one.naturalWidth")] == []


def test_the_search_of_the_documentation_works_without_the_network(open_context, docs):
    page = open_context(docs).new_page()
    page.goto("search.html?q=DurableReceiver")

    page.locator("#search-results li").first.wait_for()
