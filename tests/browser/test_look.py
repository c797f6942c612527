"""Each page of the shop can be read in light and in dark, on a phone, and without a mouse."""

import pytest
from playwright.sync_api import expect

from tests.helpers.page_checks import PHONE, beyond_the_right_edge, found_by_axe
from tests.helpers.shop_pages import PAID, PASSWORD, buy, flow, once_there, pay, register

PAGES = (
    # The record shop.
    *("", "customers/", "customers/1/", "orders/", "orders/1/", "products/", "products/heavy-lifting/"),
    *("statistics/", "statistics/1997/1/", "activity/", "signals/"),
    # What the applications share.
    *("applications/", "applications/mails/"),
    *("applications/bookstore/receivers/", "applications/bookstore/actions/"),
    *(
        f"applications/{row}/"
        for row in ("bookstore/history/book/1", "courses/history/course/3", "comments/history/comment/1")
    ),
    # The applications.
    *("people/", "people/me/", "people/register/"),
    *("books/", "books/authors/", "books/new/", "books/book/a-mirror-on-the-hill/"),
    "payments/",
    *("courses/", "courses/give/", "courses/course/reading-the-sky/", "courses/course/reading-the-sky/1/"),
    *("blog/", "blog/new/"),
    *("comments/", "reports/", "reports/webhooks/"),
)


@pytest.fixture(scope="module")
def cookies(browser, shop):
    """The cookies of somebody who may see all pages."""
    with browser.new_context(base_url=shop) as context:
        page = context.new_page()
        register(page, "paula", "Shopkeepers", "Teachers", "Moderators")
        yield context.storage_state()


@pytest.fixture
def signed_in(open_context, shop, cookies):
    return open_context(shop, storage_state=cookies).new_page()


def assert_looks_good(page):
    assert found_by_axe(page) == []
    assert beyond_the_right_edge(page) == 0


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_in_light_and_dark_and_fits_on_a_phone(signed_in, path):
    signed_in.goto(path)

    assert_looks_good(signed_in)


def test_so_is_a_post_with_its_comments_and_the_page_of_its_author(signed_in):
    signed_in.goto("blog/")
    signed_in.locator(".entries h2 a").first.click()
    assert_looks_good(signed_in)

    signed_in.locator(".lead a").first.click()
    assert_looks_good(signed_in)


def test_so_is_a_page_with_the_flow_of_an_action(page):
    register(page, "flora")
    expect(flow(page)).to_be_visible()

    assert_looks_good(page)


def test_so_are_the_pages_of_a_purchase_that_is_to_be_paid_and_is_paid(page):
    register(page, "polly")
    buy(page, "books/book/salt-and-copper/")
    assert_looks_good(page)

    pay(page, "A card that works")
    assert_looks_good(page)
    once_there(page, "books/book/salt-and-copper/", PAID)
    assert_looks_good(page)


def test_so_is_a_form_that_was_refused(page):
    page.goto("people/enter/")
    page.get_by_label("Username").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()

    assert_looks_good(page)


@pytest.mark.parametrize("path", ["signals/deliveries/", "signals/changes/"])
def test_so_is_a_page_of_heliograph_in_the_admin(page, path):
    page.set_viewport_size(PHONE)
    page.goto(path)

    # The links of Django's own filters are 22 pixels high, and not 24.
    assert found_by_axe(page, "#content", without=["target-size"]) == []
    assert beyond_the_right_edge(page) == 0


# The name of the element with the focus, and the outline that shows it. After the last element it is none of the page.
FOCUSED = """() => {
    const here = document.activeElement;
    const outline = here == document.body ? "" : getComputedStyle(here).outlineStyle;
    return [here.labels?.[0]?.innerText ?? here.innerText, outline];
}"""


def walk_to(page, name):
    """Press Tab until the element with this name has the focus, and see that each element on the way shows it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        here, outline = page.evaluate(FOCUSED)
        assert outline != "none", f"Nobody sees that {here} has the focus."
        if here == name:
            return
    pytest.fail(f"Forty times Tab did not lead to {name}.")


def test_somebody_without_a_mouse_registers_and_buys_a_book(page):
    page.goto("applications/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    walk_to(page, "Register")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Register")).to_be_visible()
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("kaya")
    for label, text in (("Email", "kaya@example.com"), ("Password", PASSWORD), ("Password confirmation", PASSWORD)):
        walk_to(page, label)
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your profile")).to_be_visible()

    for name in ("Bookstore", "Signals Before the Storm"):
        walk_to(page, name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
    walk_to(page, "Copies")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("You have bought 1 x Signals Before the Storm")
