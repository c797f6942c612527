"""The browser that the tests drive: one that is installed, or the one that Playwright brings."""

import os
import shutil

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Playwright

VARIABLE = "HELIOGRAPH_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium calls its maker for updates and lists, which tests of a page without requests elsewhere must not see.
QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--font-render-hinting=none"),
)
MISSING = (
    "No browser is here: install Chromium, e.g. `apt-get install chromium` or `python -m playwright install chromium`,"
    f" or set {VARIABLE} to the path of one."
)


def path_of_browser() -> str | None:
    """Return the path of the browser that is installed, or None for the one that Playwright may have."""
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the browser without a window; a browser that is missing is a failure that says what to install."""
    # A root, such as in a container, has no sandbox.
    options = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    try:
        return playwright.chromium.launch(executable_path=path_of_browser(), args=options)
    except Error as error:
        pytest.fail(f"{MISSING}\n{error.message}", pytrace=False)


def faults_of(context: BrowserContext, address: str) -> list[str]:
    """Return a list that grows by each request to another address, each error that is logged, and each exception."""
    faults: list[str] = []
    context.on("request", lambda request: faults.extend(_elsewhere(request.url, address)))
    context.on("console", lambda message: faults.extend(_error(message)))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    return faults


def _elsewhere(url: str, address: str) -> list[str]:
    return [] if url.startswith((address, "data:", "blob:")) else [f"a request to {url}"]


def _error(message: ConsoleMessage) -> list[str]:
    return [f"{message.text} of {message.location['url']}"] if message.type == "error" else []
