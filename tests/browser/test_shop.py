"""Journeys of readers, authors, students and moderators through the applications of the shop."""

import re

from playwright.sync_api import expect

from tests.helpers.shop_pages import (
    PAID,
    REFUNDED,
    REFUSED,
    SIGNED_OUT,
    buy,
    comment,
    flow,
    mail,
    number,
    once_there,
    pay,
    publish,
    register,
    sign_in,
    sign_out,
)

BOOK = "books/book/how-bridges-fail/"


def test_who_registers_has_a_profile_at_once_and_a_welcome_mail_soon(page):
    register(page, "zita")

    expect(page.get_by_role("heading", name="Your profile")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("zita")
    expect(flow(page)).to_contain_text("ensure_related(")
    expect(mail(page, "Welcome, zita")).to_be_visible()


def test_an_order_takes_books_from_the_stock_and_is_confirmed_by_mail(page, picture):
    register(page, "olga")
    page.goto(BOOK)
    stock, points = number(page, "#stock"), number(page, "#points")

    page.get_by_label("Copies", exact=True).fill("2")
    page.get_by_role("button", name="Buy").click()

    expect(page.locator("#stock")).to_have_text(str(stock - 2))
    expect(page.locator("#points")).to_have_text(str(points + 82))
    for name in ("reserve(", "mail(", "earn_points", "keep("):
        expect(flow(page)).to_contain_text(name)
    expect(flow(page).get_by_text("in a worker").first).to_be_visible()
    picture(page, "flow-panel")
    expect(mail(page, "You have bought 2 x How Bridges Fail")).to_be_visible()


def test_an_order_that_is_cancelled_brings_the_books_and_the_points_back(page):
    register(page, "carl")
    page.goto("books/book/tables-for-two-hundred/")
    stock = number(page, "#stock")
    page.get_by_role("button", name="Buy").click()
    expect(page.locator("#stock")).to_have_text(str(stock - 1))

    page.get_by_role("button", name="Cancel purchase").click()

    expect(page.get_by_role("status")).to_contain_text("is cancelled")
    expect(page.locator("#stock")).to_have_text(str(stock))
    expect(page.locator("#points")).to_have_text("0")
    expect(flow(page)).to_contain_text("lose_points")


def test_who_pays_an_order_is_charged_once_though_the_first_answer_is_lost(page):
    register(page, "petra")
    buy(page, "books/book/notes-from-the-night-train/")
    pay(page, "A card whose first answer is lost")
    expect(flow(page)).to_contain_text("payments.receivers.charge")
    expect(flow(page).get_by_text("in a worker").first).to_be_visible()

    once_there(page, "payments/", PAID)
    order = page.get_by_role("region", name="Your purchases").get_by_role("listitem")
    purchase = order.get_attribute("id").removeprefix("purchase-")
    charges = page.get_by_role("region", name="The book of the payment service").get_by_role("listitem")
    expect(charges.filter(has_text=re.compile(rf"\$18\.50 for purchase {purchase}\b"))).to_have_count(1)

    order.get_by_role("link", name="1 x Notes from the Night Train").click()
    page.get_by_role("button", name="Cancel purchase").click()
    once_there(page, "payments/", REFUNDED)
    expect(order).to_contain_text("cancelled")
    expect(charges.filter(has_text=re.compile(rf"-\$18\.50 for purchase {purchase}\b"))).to_have_count(1)


def test_who_pays_with_a_card_that_is_refused_sees_the_order_cancelled(page):
    register(page, "rolf")
    book = "books/book/eleven-ways-to-cross-a-river/"
    page.goto(book)
    stock = number(page, "#stock")
    buy(page, book)
    expect(page.locator("#stock")).to_have_text(str(stock - 1))

    pay(page, "A card that is refused")

    once_there(page, book, REFUSED)
    expect(page.locator("#stock")).to_have_text(str(stock))
    expect(page.locator("#points")).to_have_text("0")
    expect(page.get_by_role("region", name="Your purchases").get_by_role("listitem")).to_contain_text("cancelled")


def test_an_order_of_more_books_than_there_are_changes_nothing(page):
    register(page, "greta")
    page.goto(BOOK)
    stock = number(page, "#stock")

    page.get_by_label("Copies", exact=True).fill("100")
    page.get_by_role("button", name="Buy").click()

    expect(page.locator(".message.error")).to_be_visible()
    expect(page.locator("#stock")).to_have_text(str(stock))


def test_a_review_changes_the_rating_of_a_book_and_so_does_its_withdrawal(page):
    register(page, "rita")
    page.goto("books/book/the-patient-gardener/")
    before = page.locator("#rating").inner_text()

    page.get_by_label("Stars").select_option("1")
    page.get_by_label("Text").fill("It taught me to wait.")
    page.get_by_role("button", name="Store the review").click()
    expect(page.locator("#rating")).not_to_have_text(before)
    expect(page.get_by_text("It taught me to wait.").first).to_be_visible()
    expect(flow(page)).to_contain_text("keep(")

    page.get_by_role("button", name="Withdraw it").click()
    expect(page.locator("#rating")).to_have_text(before)


def test_who_is_named_in_a_comment_and_who_gets_a_reply_has_a_mail(page):
    register(page, "nadia")
    sign_out(page)
    register(page, "tom")
    publish(page, "Letters by mirror")
    post = page.url
    comment(page, "Ask @nadia about this.")
    expect(page.get_by_role("heading", name="1 comment")).to_be_visible()
    expect(flow(page)).to_contain_text("mention")
    sign_out(page)

    sign_in(page, "nadia")
    page.goto(post)
    page.get_by_text("Reply to tom").click()
    page.get_by_label("Your reply").fill("With pleasure.")
    page.get_by_role("button", name="Reply", exact=True).click()
    expect(page.get_by_text("1 reply")).to_be_visible()

    expect(mail(page, "tom has mentioned you on Letters by mirror")).to_be_visible()
    sign_out(page)
    sign_in(page, "tom")
    expect(mail(page, "nadia has replied to you on Letters by mirror")).to_be_visible()


def test_a_comment_with_a_link_is_shown_once_a_moderator_has_seen_it(page):
    register(page, "mona", "Moderators")
    publish(page, "A lamp for each window")
    post = page.url
    comment(page, "Look at https://example.com/lamps")
    expect(page.get_by_role("status")).to_contain_text("a moderator looks at it first")
    expect(page.get_by_role("heading", name="0 comments")).to_be_visible()

    page.goto("comments/")
    page.get_by_role("listitem").filter(has_text="example.com/lamps").get_by_role("button", name="Show").click()
    expect(flow(page)).to_contain_text("keep(")

    page.goto(post)
    expect(page.get_by_role("heading", name="1 comment")).to_be_visible()
    page.goto("comments/")
    page.get_by_role("listitem").filter(has_text="example.com/lamps").get_by_role("button", name="Hide").click()
    page.goto(post)
    expect(page.get_by_role("heading", name="0 comments")).to_be_visible()


def test_a_post_that_is_published_is_found_and_its_author_s_followers_know(page):
    register(page, "anna")
    sign_out(page)
    register(page, "felix")
    page.goto("blog/by/anna/")
    page.get_by_role("button", name="Follow").click()
    expect(page.get_by_role("button", name="Follow no longer")).to_be_visible()
    sign_out(page)

    sign_in(page, "anna")
    publish(page, "The heliostat of Hallstatt")
    expect(flow(page)).to_contain_text("announce")
    once_there(page, "blog/?q=hallstatt", "1 post with")
    sign_out(page)

    sign_in(page, "felix")
    once_there(page, "blog/", 'blog/the-heliostat-of-hallstatt/">The heliostat of Hallstatt</a> <span')
    news = page.get_by_role("region", name="New from authors whom you follow")
    expect(news.get_by_role("link", name="The heliostat of Hallstatt")).to_be_visible()


def test_who_finishes_a_course_has_a_certificate(page):
    register(page, "sven")
    page.goto("courses/course/bread-in-a-cold-kitchen/")
    course = page.url
    page.get_by_role("button", name="Take the course").click()
    for lesson in (1, 2):
        page.goto(f"{course}{lesson}/")
        page.get_by_role("button", name="I have finished this lesson").click()
        expect(page.get_by_text(f"{lesson} of 2 lessons")).to_be_visible()
    expect(flow(page)).to_contain_text("issue_certificate")

    once_there(page, course, 'id="certificate"')
    page.get_by_role("link", name="Your certificate").click()

    expect(page.get_by_text("Bread in a Cold Kitchen", exact=True)).to_be_visible()
    expect(page.get_by_text("sven", exact=True)).to_be_visible()
    expect(mail(page, "Your certificate: Bread in a Cold Kitchen")).to_be_visible()


def test_the_report_of_a_day_is_a_bar_of_a_chart(page):
    page.goto("reports/")
    page.get_by_role("button", name="Let the night fall").click()
    expect(flow(page)).to_contain_text("make_report")

    chart = page.get_by_role("img", name="Sales in dollars of every day that was reported")
    expect(chart).to_be_visible()
    assert chart.locator(".bar").count() > 5


def test_a_page_says_who_has_changed_a_book(page):
    register(page, "kim", "Shopkeepers")
    page.goto("books/book/salt-and-copper/")
    page.get_by_label("Copies that came in").fill("7")
    page.get_by_role("button", name="Restock").click()

    page.get_by_role("link", name="History", exact=True).click()

    latest = page.get_by_role("article").first
    expect(latest.get_by_role("heading")).to_have_text("Updated")
    expect(latest).to_contain_text("by kim")
    expect(latest.get_by_role("row", name="received")).to_be_visible()


def test_a_page_says_what_would_happen_and_the_flow_names_the_same_receivers(page, picture):
    page.goto("applications/")
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Bookstore"))
    card.get_by_role("link", name="What happens when").click()

    expect(page.get_by_role("heading", name="Bookstore: what happens when …?")).to_be_visible()
    story = page.get_by_role("region", name="… a reader buys a book?").locator("pre")
    for name in ("reserve(", "mail(", "audit("):
        expect(story).to_contain_text(name)
    picture(page, "what-happens-when")


def test_links_that_end_in_an_arrow_stay_on_one_line(page):
    page.goto("applications/")

    for link in page.locator(".more a").all():
        assert len(link.evaluate("link => [...new Set([...link.getClientRects()].map(r => Math.round(r.top)))]")) == 1


def test_who_is_not_signed_in_reads_and_is_asked_to_sign_in(page):
    page.goto(BOOK)

    expect(page.get_by_text(SIGNED_OUT)).to_be_visible()
    expect(page.get_by_role("button", name="Buy")).to_have_count(0)
