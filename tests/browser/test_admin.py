"""The outbox and the audit log in the admin, as the visitor sees them who may change nothing, and a superuser."""

import re
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from tests.helpers.shop import manage
from tests.helpers.shop_pages import PASSWORD, sign_in

CHANGING = re.compile(r"^(Save|Delete|Add|Redeliver|Discard|Pause|Revert|Go)\b", re.IGNORECASE)


def assert_nothing_can_be_changed(page):
    content = page.locator("#content")
    expect(content).to_be_visible()
    expect(content.get_by_role("button", name=CHANGING)).to_have_count(0)
    expect(content.get_by_role("link", name=CHANGING)).to_have_count(0)
    expect(content.locator("form[method=post] :is([name=action], textarea), [type=checkbox]")).to_have_count(0)


def assert_is_refused(page, *addresses):
    for address in addresses:
        assert page.request.get(address).status == 403, address


def test_the_visitor_of_the_outbox_sees_each_delivery_and_can_change_none(page, picture):
    page.goto("signals/deliveries/")
    expect(page.locator("#user-tools")).to_contain_text("visitor", ignore_case=True)
    assert_nothing_can_be_changed(page)

    page.locator("#result_list th a").first.click()

    expect(page.get_by_role("heading", name="View delivery")).to_be_visible()
    assert_nothing_can_be_changed(page)
    assert_is_refused(page, urljoin(page.url, "../delete/"), urljoin(page.url, "../../add/"))


def test_a_delivery_whose_worker_was_killed_was_made_by_another_attempt(page):
    page.goto("signals/deliveries/?receiver=mailing.receivers.confirm_order")
    twice = page.get_by_role("row").filter(has_text="2 attempts")

    twice.first.get_by_role("link").first.click()

    expect(page.locator("#content")).to_contain_text("LostWorkerError")
    expect(page.locator("#content")).to_contain_text("successful")


def test_the_visitor_of_the_audit_log_sees_who_changed_what_and_can_change_nothing(page):
    page.goto("signals/changes/")
    expect(page.locator(".audit-timeline > li").first).to_be_visible()
    assert_nothing_can_be_changed(page)
    entry = page.locator(".audit-title").first.get_attribute("id").removeprefix("entry-")

    page.get_by_role("link", name="History of this object").first.click()

    expect(page.locator(".audit-timeline > li").first).to_be_visible()
    assert_nothing_can_be_changed(page)
    log = "admin/heliograph_audit/entry/"
    assert_is_refused(page, f"{log}add/", f"{log}{entry}/delete/", f"{log}{entry}/revert/")


@pytest.fixture(scope="module")
def superuser(shop, folder):
    """The name of a superuser of the shop."""
    options = ("--noinput", "--username", "root", "--email", "root@example.com")
    made = manage(folder, "createsuperuser", *options, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    assert made.returncode == 0, made.stderr
    return "root"


@pytest.fixture
def superuser_page(page, superuser):
    sign_in(page, superuser)
    return page


def fold_menu(page):
    """Fold the menu at the left, which leaves the page to its subject, and go to the top."""
    page.get_by_role("button", name="Toggle navigation").click()
    page.locator("#header").scroll_into_view_if_needed()


def test_a_superuser_sees_what_a_save_would_cause_and_nothing_of_it_stays(superuser_page, picture):
    page = superuser_page
    page.goto("admin/bookstore/book/")
    page.get_by_role("link", name="Salt and Copper").click()
    page.get_by_label("Title").fill("Copper and Salt")

    page.get_by_role("button", name="Explain this save").click()

    expect(page.locator("#content")).to_contain_text("rolled back")
    expect(page.locator("#content")).to_contain_text("audit(")
    fold_menu(page)
    picture(page, "explain-admin", width=1330, height=570)
    page.goto("books/book/salt-and-copper/")
    expect(page.get_by_role("heading", name="Salt and Copper", exact=True)).to_be_visible()


def test_the_timeline_of_a_book_says_who_changed_it_and_from_what(superuser_page, picture):
    page = superuser_page
    page.goto("books/book/a-short-history-of-waiting/")
    page.get_by_role("button", name="Buy").click()
    page.goto("books/book/a-short-history-of-waiting/")
    page.get_by_role("button", name="Cancel purchase").click()

    page.goto("admin/bookstore/book/")
    page.get_by_role("link", name="A Short History of Waiting").click()
    page.locator("#content").get_by_role("link", name="Audit log").click()

    latest = page.locator(".audit-timeline > li").first
    expect(latest).to_contain_text("root")
    expect(latest).to_contain_text("Stock")
    fold_menu(page)
    picture(page, "audit-timeline", height=700)


def test_the_list_of_deliveries_can_be_narrowed_to_a_receiver(superuser_page, picture):
    page = superuser_page
    page.goto("admin/heliograph_outbox/delivery/")
    expect(page.locator("#result_list")).to_be_visible()
    fold_menu(page)
    picture(page, "outbox-admin")

    page.get_by_role("link", name="blog.receivers.notify_followers").click()

    expect(page.locator("#result_list tbody tr").first).to_contain_text("notify_followers")
