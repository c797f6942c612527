"""The worker beside the pages, which a visitor kills and starts."""

import pytest
from playwright.sync_api import expect

from tests.helpers.shop_pages import mail, register


@pytest.fixture
def worker_page(page):
    """A page of the shop, whose worker runs in the end."""
    yield page
    page.goto("applications/")
    if (button := page.get_by_role("button", name="Start the worker")).is_visible():
        button.click()


def test_what_a_killed_worker_has_left_is_delivered_once_a_worker_is_started(worker_page, picture):
    page = worker_page
    page.goto("applications/")
    page.get_by_role("button", name="Kill the worker").click()
    expect(page.get_by_role("heading", name="The worker was killed")).to_be_visible()

    register(page, "wanda")
    page.goto("applications/mails/")
    expect(page.get_by_text("No mail yet")).to_be_visible()
    waiting = page.get_by_role("region", name="The worker was killed")
    expect(waiting).to_contain_text("1 delivery waits")
    picture(page, "worker-killed")

    page.get_by_role("button", name="Start the worker").click()
    expect(mail(page, "Welcome, wanda")).to_be_visible()
    expect(page.get_by_role("heading", name="The worker is running")).to_be_visible()
    expect(page.get_by_text("0 deliveries wait")).to_be_visible()
    picture(page, "worker-started")
