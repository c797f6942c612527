"""Steps that the browser tests take on the pages of the shop."""

from playwright.sync_api import Locator, Page

PASSWORD = "a long one, 4 words"
SIGNED_OUT = "Sign in to buy it"
# Parts of a page that say how far a payment is.
PAID, REFUSED, REFUNDED = (f'<span class="badge">{state}</span>' for state in ("paid", "refused", "refunded"))
# Whether the page has a text by now. The answer is waited for, since the driver takes a promise for true.
HAS = """text => {
    const request = new XMLHttpRequest();
    request.open("GET", location, false);
    request.send();
    return request.responseText.includes(text);
}"""


def register(page: Page, name: str, *roles: str) -> None:
    """Register somebody, who is signed in then and sees the profile."""
    page.goto("people/register/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Email").fill(f"{name}@example.com")
    for label in ("Password", "Password confirmation"):
        page.get_by_label(label, exact=True).fill(PASSWORD)
    for role in roles:
        page.get_by_label(role).check()
    page.get_by_role("button", name="Register").click()
    page.get_by_role("status").get_by_text(f"Welcome, {name}!").wait_for()


def sign_in(page: Page, name: str) -> None:
    """Sign in somebody who has registered."""
    page.goto("people/enter/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text(f"Signed in as {name}").wait_for()


def sign_out(page: Page) -> None:
    """Sign out whoever is signed in."""
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Register").first.wait_for()


def publish(page: Page, title: str) -> None:
    """Write a post and publish it; the page shows the post."""
    page.goto("blog/new/")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Body").fill("Two mirrors, one sun.")
    page.get_by_role("button", name="Store as a draft").click()
    page.get_by_role("button", name="Publish").click()
    page.locator("#status").get_by_text("Published").wait_for()


def buy(page: Page, path: str) -> None:
    """Buy a copy of the book that has the path."""
    page.goto(path)
    page.get_by_role("button", name="Buy").click()
    page.get_by_role("status").get_by_text("You have bought").wait_for()


def pay(page: Page, card: str) -> None:
    """Pay the only purchase on the page that is not paid; a page says then that the payment waits."""
    page.get_by_label("Card").select_option(card)
    page.get_by_role("button", name="Pay purchase").click()
    page.get_by_role("status").get_by_text("waiting for payment").wait_for()


def comment(page: Page, text: str) -> None:
    """Comment the post that the page shows."""
    page.get_by_label("Your comment").fill(text)
    page.get_by_role("button", name="Comment").click()


def flow(page: Page) -> Locator:
    """Return the panel that names the receivers which the last action has called."""
    return page.get_by_role("complementary", name="What your click has caused")


def number(page: Page, selector: str) -> int:
    """Return the number that stands in an element."""
    return int(page.locator(selector).inner_text())


def once_there(page: Page, path: str, text: str) -> None:
    """Go to a page once a worker has done its part, and the page has the text."""
    page.goto(path)
    page.wait_for_function(HAS, arg=text, polling=250)
    page.goto(path)


def mail(page: Page, subject: str) -> Locator:
    """Return the mail with the subject, once it has come."""
    once_there(page, "applications/mails/", subject)
    return page.get_by_role("article", name=subject)
