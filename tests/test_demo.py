"""The example shop: its own tests, its replay and checks, and its pages as a browser finds them."""

import importlib.util
import re
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import date
from html import unescape
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import pytest

from tests.helpers.shop import EXAMPLES, SHOP, first_purchases, manage, promises, serving

PURCHASES = 300
ONE_BY_ONE = 100  # of these; the others come a week at a time
REPRICINGS = 15  # all that there are, for the last of those purchases was made later
PAGES = 60


def plain_module(name):
    """A module of the demonstration that needs no Django, and so must load without the shop's settings."""
    spec = importlib.util.spec_from_file_location(f"demo_{name}", SHOP / "demo" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected():
    return plain_module("expected")


@pytest.fixture(scope="module")
def expected_prices():
    return plain_module("expected_prices")


@pytest.fixture(scope="module")
def purchases(tmp_path_factory):
    """The first purchases of the real file."""
    return first_purchases(PURCHASES, tmp_path_factory.mktemp("purchases"))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory, purchases):
    """The folder of a replay, and what the command said."""
    folder = tmp_path_factory.mktemp("replayed")
    return folder, manage(folder, "demo", "--check", "--data", str(purchases))


def tamper(folder, statement):
    with closing(sqlite3.connect(folder / "shop.sqlite3")) as database, database:
        database.execute(statement)


@pytest.fixture
def three_purchases(expected):
    """One customer who bought twice, one who bought on the same day and paid nothing."""
    lines = ["00004 0001 19970101  2   29.33", "00021 0002 19970101  1    0.00", "00004 0001 19970118  3   30.67"]
    return expected.compute(lines)


def test_the_independent_computation_sums_up_a_customer(expected, three_purchases):
    assert three_purchases.customers[1] == expected.Sales(2, 5, 6000, date(1997, 1, 1), date(1997, 1, 18))


def test_the_independent_computation_sums_up_a_day(expected, three_purchases):
    assert three_purchases.days[date(1997, 1, 1)] == expected.Sales(2, 3, 2933, date(1997, 1, 1), date(1997, 1, 1))


def test_the_independent_computation_sums_up_everything(expected, three_purchases):
    assert three_purchases.total == expected.Sales(3, 6, 6000, date(1997, 1, 1), date(1997, 1, 18))


def test_of_equally_good_customers_the_lower_number_is_better(expected):
    lines = [f"00000 {customer:04} 19970101 1 10.00" for customer in (3, 1, 2)]
    assert expected.compute(lines).best(2) == [(1, 1000), (2, 1000)]


@pytest.fixture
def two_albums(expected_prices):
    """Two albums, which cost less for a while, one of them twice."""
    albums = ["artist,title,year,genres,price", "Ada,One,1996,Rock;Pop,12.97", "Ada,Two,1997,Jazz,9.05"]
    repricings = ["day,genre,cents", "1997-02-01,,-100", "1997-02-03,Pop,-50", "1997-02-05,,100", "1998-01-01,,20"]
    return expected_prices.compute(albums, repricings, until=date(1997, 2, 5))


def test_the_independent_computation_follows_a_price(two_albums):
    first, third, fifth = (date(1997, 2, day) for day in (1, 3, 5))
    assert two_albums.changes["One"] == ((first, 1297, 1197), (third, 1197, 1147), (fifth, 1147, 1247))
    assert two_albums.changes["Two"] == ((first, 905, 805), (fifth, 805, 905))


def test_the_independent_computation_knows_what_an_album_costs_in_the_end(two_albums):
    assert two_albums.last == {"One": 1247, "Two": 905}


def test_a_price_that_was_never_changed_is_that_of_the_catalogue(expected_prices):
    prices = expected_prices.compute(["title,genres,price", "One,Rock,12.97"], ["day,genre,cents"], date(1997, 1, 1))
    assert (prices.changes, prices.last) == ({"One": ()}, {"One": 1297})


def test_the_shops_own_tests_pass(tmp_path):
    finished = manage(tmp_path, "test", "--verbosity", "0")

    assert finished.returncode == 0, finished.stderr


def test_the_migrations_fit_the_models(tmp_path):
    assert manage(tmp_path, "makemigrations", "--check", "--dry-run").returncode == 0


def test_the_replay_ends_with_every_check_ok(replayed):
    _, finished = replayed

    assert finished.returncode == 0, finished.stderr
    assert re.findall(r"^(ok|DIFFERS)  ([\w ]+):", finished.stdout, re.MULTILINE) == [
        ("ok", "orders"),
        ("ok", "customer statistics"),
        ("ok", "daily statistics"),
        ("ok", "totals"),
        ("ok", "best customers"),
        ("ok", "inventory"),
        ("ok", "shelves"),
        ("ok", "prices"),
        ("ok", "activity log"),
        ("ok", "confirmations"),
        ("ok", "deliveries"),
    ]


def transactions(count):
    """In how many transactions the first purchases are placed, with a copy of every hundredth that is cancelled."""
    lines = (EXAMPLES / "data" / "cdnow_sample.txt").read_text(encoding="ascii").splitlines()
    days = sorted(date.fromisoformat(line.split()[2]) for line in lines[:count])
    return ONE_BY_ONE + len({day.isocalendar()[:2] for day in days[ONE_BY_ONE:]}) + count // 100


@pytest.mark.parametrize(
    ("receiver", "times"),
    [
        # Once a transaction.
        ("activity.receivers.log_orders", transactions(PURCHASES)),
        ("store.receivers.take_from_stock", transactions(PURCHASES)),
        # Of bulk_create(): 24 artists, 10 genres and 60 products, each of them, and all of their shelves at once.
        ("store.receivers.set_slug", 24 + 10 + 60),
        ("store.receivers.count_albums", 1),
        # Of update(): all products of a statement at once.
        ("store.receivers.keep_prices", REPRICINGS),
        ("activity.receivers.log_prices", REPRICINGS),
    ],
)
def test_the_report_says_how_often_a_receiver_ran_and_where_it_is(replayed, receiver, times):
    ran = rf"^ +{re.escape(receiver)} +{times} .* {receiver.split('.')[0]}/receivers\.py:\d+$"
    assert re.search(ran, replayed[1].stdout, re.MULTILINE)


def made_in_a_worker(output):
    """What the report says of the receivers in a worker: made, discarded, dead, attempts, fewest, most; and errors."""
    row = r"^  ([\w.]+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) to (\d+)(?:  (.*))?$"
    return {name: ([*map(int, numbers)], errors) for name, *numbers, errors in re.findall(row, output, re.MULTILINE)}


def test_the_report_says_what_workers_made_in_how_many_attempts(replayed):
    made = made_in_a_worker(replayed[1].stdout)

    (confirmed, discarded, dead, *_), _ = made["mailing.receivers.confirm_order"]
    assert (confirmed, discarded, dead) == (PURCHASES, PURCHASES // 100, 0)
    (restocked, _, dead, attempts, fewest, _), errors = made["store.receivers.reorder"]
    assert restocked > 0
    assert dead == 0
    assert (fewest, attempts >= 2 * restocked) == (2, True)
    assert "LineBusyError" in errors
    assert any("LostWorkerError" in errors for _, errors in made.values())


def said_by_workers(folder):
    """What workers have said of the replay, before the last one made the deliveries of visitors."""
    return (folder / "workers.log").read_text().rpartition("Worker started")[0]


def test_a_worker_is_killed_half_way_and_another_one_makes_what_it_had(replayed):
    ended = r"^killed half way: a worker, after (\d+) of (\d+) and with (\d+) in its hands$"
    made, waiting, held = map(int, re.search(ended, replayed[1].stdout, re.MULTILINE).groups())
    assert waiting / 2 <= made < waiting
    assert 0 < held <= waiting - made

    log = said_by_workers(replayed[0])
    *_, killed, last = re.findall(r"Worker started on 'default': (\S+)", log)
    assert re.search(rf"The worker {re.escape(killed)} is lost\b.*\b{held}\b", log)
    assert re.findall(r"Worker stopped: (\S+)", log) == [last]


def test_no_delivery_ends_twice(replayed):
    log = said_by_workers(replayed[0])
    ended = re.findall(r"Delivery (\d+) of \S+ (?:succeeded|is discarded)", log)
    made = sum(sum(numbers[:2]) for numbers, _ in made_in_a_worker(replayed[1].stdout).values())

    assert len(ended) == len(set(ended))
    assert made - len(ended) in (0, 1)  # what a worker commits it may not live to log


def test_the_report_says_how_often_a_signal_of_bulk_writes_was_sent(replayed):
    sends = dict(re.findall(r"^heliograph\.bulk\.signals\.(\w+) +(\d+)$", replayed[1].stdout, re.MULTILINE))
    assert int(sends.pop("pre_bulk_create")) > 0  # what keep() begins with, and how often says nothing
    assert sends == {"m2m_changes": "1", "post_update": str(REPRICINGS)}


def test_the_report_says_what_an_order_takes_with_inline_receivers_and_once_a_transaction(replayed):
    _, table = replayed[1].stdout.split("queries to place an order")
    rows = re.findall(r"^  of (\d+) CDs? +\d+ +([\d.]+) +([\d.]+)$", table, re.MULTILINE)
    means = {int(cds): (float(inline), float(once)) for cds, inline, once in rows}

    assert {round(once) for _, once in means.values()} == {13}
    assert all(inline > once for cds, (inline, once) in means.items() if cds > 1)
    assert means[10][0] > 6 * means[10][1]
    assert re.search(r"^  on average +100 +", table, re.MULTILINE)


STATISTICS = {
    "customers": (
        "UPDATE analytics_customerstatistics SET cents = cents + 1 WHERE customer_id = 1",
        r"customer 1: cents: expected (\d+), found (?!\1$)\d+",
    ),
    "days": (
        "DELETE FROM analytics_dailystatistics WHERE day = '1997-01-01'",
        r"day 1997-01-01: orders: expected \d+, found None",
    ),
    "inventory": (
        "UPDATE store_inventory SET sold = sold + 1 WHERE product_id = 1",
        r"product Lighthouse Keeping: sold: expected \d+, found \d+",
    ),
    "activity": (
        "DELETE FROM activity_entry WHERE kind = 'cancelled'",
        r"kind cancelled: entries: expected 3, found None",
    ),
    "still coming": (
        "UPDATE store_inventory SET coming = 50 WHERE product_id = 1",
        r"product Lighthouse Keeping: coming: expected 0, found 50",
    ),
    "attempts": (
        "UPDATE heliograph_outbox_delivery SET attempts = 1",
        r"store\.receivers\.reorder: attempts of each: expected 2, found 1",
    ),
    "dead": (
        "UPDATE heliograph_outbox_delivery SET state = 'DEAD' WHERE id = 1",
        r"mailing\.receivers\.confirm_order: dead: expected 0, found 1",
    ),
    "left": (
        "UPDATE heliograph_outbox_delivery SET state = 'READY' WHERE id = 2",
        r"worker: left: expected 0, found 1",
    ),
    "killed": (
        "UPDATE heliograph_outbox_delivery SET history = ''",
        r"worker: killed: expected True, found False",
    ),
    "mail lost": (
        "DELETE FROM mailing_mail WHERE id = 1",
        r"customer-\d+@example\.com: Your order of .*: sent: expected 1, found None",
    ),
    "mail twice": (
        'INSERT INTO mailing_mail ("to", subject, body, message_id)'
        ' SELECT "to", subject, body, message_id FROM mailing_mail WHERE id = 2',
        r"customer-\d+@example\.com: Your order of .*: sent: expected 1, found 2",
    ),
    "items": (
        "UPDATE store_orderitem SET cents = cents + 1 WHERE id = 1",
        r"customer \d+ on .*: items: expected 1, found 0",
    ),
    "prices": (
        "UPDATE store_product SET cents = cents + 1 WHERE title = 'Night Ferry'",
        r"product Night Ferry: cents: expected 1747, found 1748",
    ),
    "price changes": (
        "UPDATE store_pricechange SET old = old + 1 WHERE new = 1497 AND day = '1997-02-03'",
        r"Night Ferry on 1997-02-03, 1697 to 1497 cents: kept: expected 1, found None",
    ),
    "repricings": (
        "DELETE FROM activity_entry WHERE kind = 'repriced'",
        r"kind repriced: entries: expected 15, found None",
    ),
}


@pytest.fixture(scope="module")
def verified(replayed, purchases, tmp_path_factory):
    """What the command says of statistics, all of which somebody has changed."""
    folder = shutil.copytree(replayed[0], tmp_path_factory.mktemp("changed"), dirs_exist_ok=True)
    for statement, _ in STATISTICS.values():
        tamper(folder, statement)
    return manage(folder, "verify", "--data", str(purchases))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_tampered_statistic_is_named(verified, statistic):
    _, difference = STATISTICS[statistic]

    assert verified.returncode == 1
    assert re.search(rf"^    {difference}$", verified.stdout, re.MULTILINE), verified.stdout
    assert "checks found differences." in verified.stderr


def test_restocks_that_were_lost_are_named(replayed, purchases, tmp_path):
    folder = shutil.copytree(replayed[0], tmp_path, dirs_exist_ok=True)
    tamper(folder, "DELETE FROM store_restock WHERE day > '1996-12-31'")

    finished = manage(folder, "verify", "--data", str(purchases))

    assert finished.returncode == 1
    assert re.search(r"^    store\.receivers\.reorder: made: expected None, found \d+$", finished.stdout, re.MULTILINE)


def test_random_visitors_are_refused_or_leave_and_every_promise_is_kept(replayed):
    became = r"(\d+) actions of visitors: (\d+) done, (\d+) refused, (\d+) rolled back; (\d+) deliveries made"
    numbers = [int(number) for number in re.search(became, replayed[1].stdout).groups()]
    kept = promises(replayed[1].stdout)

    assert min(numbers) > 0
    assert len(kept) > 30
    assert [text for text, (_, differences) in kept.items() if differences] == []


TAMPERING = {
    "a nightly report says what was sold on its day": "UPDATE analytics_report SET cents = cents + 1 WHERE id = 1",
    "each report was announced by one webhook": "DELETE FROM heliograph_webhooks_message",
    "each user has one profile, and preferences": "DELETE FROM onboarding_profile WHERE user_id = 1",
    "each user with an address has a welcome mail": "DELETE FROM mailing_mail WHERE subject = 'Welcome, ada'",
    "a book is rated by the average of its reviews": "UPDATE bookstore_book SET rating = 1.23 WHERE id = 1",
    "the stock is what came in, less what was sold, and never below zero": (
        "UPDATE bookstore_book SET stock = stock + 1 WHERE id = 2"
    ),
    "each alert is one mail": "DELETE FROM mailing_mail WHERE subject LIKE 'Only % left of %'",
    "a card has a point for each dollar of what was not cancelled": (
        "UPDATE bookstore_loyaltycard SET points = points + 1 WHERE id = 1"
    ),
    "authors know how many books they have": "DELETE FROM bookstore_book_authors WHERE id = 1 + (SELECT MIN(id) FROM "
    "bookstore_book_authors)",
    "a cover is a file, and no other file is there": "UPDATE bookstore_book SET cover = '' WHERE id = 1",
    "what is paid and not cancelled has one charge, of its cents": (
        "UPDATE payments_charge SET cents = cents + 1 WHERE cents > 0"
    ),
    "a card that is refused has no charge": (
        "INSERT INTO payments_charge (key, reference, cents, at) SELECT 'one more', 'purchase ' || purchase_id, cents,"
        " '1998-01-01' FROM payments_payment WHERE status = 'refused' LIMIT 1"
    ),
    "what was paid and is cancelled has one refund": "DELETE FROM payments_charge WHERE cents < 0",
    "a charge that is withdrawn was not made": (
        "UPDATE payments_payment SET status = 'withdrawn' WHERE id = (SELECT MIN(id) FROM payments_payment"
        " WHERE status = 'paid')"
    ),
    "no payment waits, and only payments of cancelled purchases are refused, refunded or withdrawn": (
        "UPDATE payments_payment SET status = 'waiting' WHERE status = 'refused'"
    ),
    "nothing is charged for what nobody has paid": (
        "INSERT INTO payments_charge (key, reference, cents, at) VALUES ('another', 'purchase 0', 100, '1998-01-01')"
    ),
    "progress is the number of lessons that are done": "DELETE FROM courses_completion WHERE id = (SELECT MIN(id) FROM "
    "courses_completion)",
    "whoever has completed a course has one certificate, and nobody else": "DELETE FROM courses_certificate",
    "the search index has each post that is published, and no other": "DELETE FROM heliograph_search_searchdocument",
    "each reader knows of each post of an author whom the reader follows": "DELETE FROM blog_notification",
    "authors know how much they have written, and how much was said about it": (
        "UPDATE blog_authorstatistics SET posts = posts + 1 WHERE author_id = 1"
    ),
    "a post knows how many comments are shown": "UPDATE blog_post SET comments_shown = comments_shown + 1 WHERE id = 1",
    "the audit log knows how each comment came about": "DELETE FROM heliograph_audit_entry",
}


@pytest.fixture(scope="module")
def tampered(replayed, tmp_path_factory):
    """What the command says of promises, all of which somebody has broken."""
    folder = shutil.copytree(replayed[0], tmp_path_factory.mktemp("tampered"), dirs_exist_ok=True)
    for statement in TAMPERING.values():
        tamper(folder, statement)
    return manage(folder, "promises")


@pytest.mark.parametrize("promise", TAMPERING)
def test_a_promise_that_is_broken_is_named(tampered, promise):
    _, differences = promises(tampered.stdout)[promise]

    assert differences > 0
    assert tampered.returncode == 1
    assert re.search(r"\d+ of \d+ promises are broken\.$", tampered.stderr.strip())


@pytest.mark.parametrize(
    ("message_id", "broken"),
    [("message_id", []), ("'<another@example.com>'", ["and a purchase one confirmation"])],
    ids=["same", "another"],
)
def test_a_mail_that_was_sent_again_is_one_mail_by_its_message_id(replayed, tmp_path, message_id, broken):
    folder = shutil.copytree(replayed[0], tmp_path, dirs_exist_ok=True)
    tamper(
        folder,
        f'INSERT INTO mailing_mail ("to", subject, body, message_id) SELECT "to", subject, body, {message_id}'
        " FROM mailing_mail WHERE subject LIKE 'You have bought %' LIMIT 1",
    )

    kept = promises(manage(folder, "promises").stdout)

    assert [text for text, (_, differences) in kept.items() if differences] == broken
    assert kept


def test_a_promise_is_broken_without_its_declaration(tmp_path):
    shop = shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns(".data"))
    without(shop / "bookstore" / "receivers.py", "keep(LoyaltyCard,", 'clean_up_files(Book, "cover")')
    for command in (["migrate"], ["traffic", "--actions", "200"]):
        assert manage(tmp_path, *command, shop=shop).returncode == 0

    kept = promises(manage(tmp_path, "promises", shop=shop).stdout)

    assert [text for text, (_, differences) in kept.items() if differences] == [
        "a card has a point for each dollar of what was not cancelled",
        "a cover is a file, and no other file is there",
    ]


def without(path, *declarations):
    """Take lines with these declarations out of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    left = [line for line in lines if not line.strip().startswith(declarations)]
    assert len(left) == len(lines) - len(declarations)
    path.write_text("\n".join(left), encoding="utf-8")


def test_checks_fail_if_receivers_do_not_receive_bulk_writes(tmp_path):
    shop = shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns(".data"))
    deafen(shop / "store" / "receivers.py", "take_from_stock")
    deafen(shop / "store" / "receivers.py", "keep_prices")
    deafen(shop / "activity" / "receivers.py", "log_restock")

    finished = manage(tmp_path, "demo", "--check", "--data", str(first_purchases(20, tmp_path)), shop=shop)

    assert finished.returncode == 1
    differs = re.findall(r"^DIFFERS  ([\w ]+):", finished.stdout, re.MULTILINE)
    assert differs == ["inventory", "prices", "activity log"], finished.stdout + finished.stderr


def deafen(path, receiver):
    """Let a receiver be connected for saves only."""
    text, count = re.subn(rf",\s+bulk=True([^@]*\)\ndef {receiver}\()", r"\1", path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")


def test_every_page_answers_and_ctrl_c_ends_the_demonstration(replayed, tmp_path):
    shutil.copytree(replayed[0], tmp_path, dirs_exist_ok=True)
    with serving(tmp_path, "--again") as (process, address):
        statuses = crawl(address)
        _, applications = visit(f"{address}applications/")
        statuses |= {link.removeprefix(address): visit(link)[0] for link in applications}
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)

    assert process.returncode == 0
    assert statuses == dict.fromkeys(statuses, 200)
    assert {"", "customers/", "orders/", "products/", "statistics/", "activity/", "signals/"} <= set(statuses)
    assert {"reports/", "people/", "books/", "courses/", "blog/", "comments/"} <= set(statuses)


class Visitor:
    """A browser without scripts: it keeps cookies, and sends forms with their token."""

    def __init__(self, address):
        self.address = address
        self._open = build_opener(HTTPCookieProcessor()).open

    def read(self, path, form=None):
        data = None if form is None else urlencode(form).encode()
        with self._open(Request(self.address + path, data, {"Referer": self.address}), timeout=120) as answer:
            return answer.read().decode()

    def send(self, page, path, **form):
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.read(page))[1]
        return self.read(path, {"csrfmiddlewaretoken": token, **form})


def test_a_mail_waits_while_the_worker_is_killed_and_comes_once_it_is_started(tmp_path):
    with serving(tmp_path, "--data", str(first_purchases(20, tmp_path))) as (_, address):
        zoe, password = Visitor(address), "a long one, 4 words"
        killed = zoe.send("applications/", "signals/worker/", action="kill the worker")
        form = {"username": "zoe", "email": "zoe@example.com", "password1": password, "password2": password}
        registered = zoe.send("people/register/", "people/register/", action="register", **form)
        waiting = zoe.read("applications/mails/")
        zoe.send("applications/", "signals/worker/", action="start the worker")
        while "Welcome, zoe" not in (mails := zoe.read("applications/mails/")):
            assert "The worker is running" in mails

    assert "The worker was killed" in killed
    assert "in a worker" in registered
    assert "No mail yet" in waiting


def crawl(address):
    """Follow the links from the home page, the shorter ones first, and return the status of each page."""
    statuses, waiting = {}, {address}
    while waiting and len(statuses) < PAGES:
        page = min(waiting, key=lambda link: (len(link), link))
        statuses[page.removeprefix(address)], links = visit(page)
        waiting = (waiting | links) - {address + path for path in statuses}
    return statuses


def visit(page):
    try:
        with urlopen(page, timeout=120) as answer:
            links = re.findall(r'href="([^"#]*)"', answer.read().decode())
            return answer.status, {urljoin(page, unescape(link)) for link in links}
    except HTTPError as error:
        return error.code, set()
