"""The load: shoppers of locust on the example shop for two seconds, and what its check finds afterwards."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.load import chart, tables
from benchmarks.load.measuring import Load, check
from benchmarks.load.variants import VARIANTS, Checked, Requests, Result
from tools import load
from tools.environments import ROOT

# The first test also makes the environment, and starts a dozen processes on a machine that others share.
pytestmark = pytest.mark.timeout(400)

USERS, SECONDS = 2, 2
NAMES = ["Inline", "OnCommit", "Durable"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a run, and what the command said."""
    if not Path(sys.executable).with_name("uv").exists():
        pytest.skip("`make tests` runs this, in an environment that uv has made: those of the matrix have no uv")
    folder = tmp_path_factory.mktemp("load")
    options = ["--database", "sqlite", "--data", folder, "--chart", folder / "load.svg", "--keep"]
    command = [load.interpreter(), "-m", "benchmarks.load", "--seconds", str(SECONDS), "--users", str(USERS), *options]
    return folder, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=220)


@pytest.fixture
def checked(ran):
    """A function that checks the database of a variant, and returns the differences of each sentence."""
    folder, _ = ran

    def differences(key="inline", lost=frozenset(), invented=frozenset()):
        orders = {order for (order,) in rows(folder, key, "SELECT id FROM store_order")}
        variables = Load(USERS, 0, SECONDS, "sqlite", folder).variables(key)
        found, _ = check(variables, sorted(orders - {*lost} | {*invented}), len(orders))
        return {one.text: one.differences for one in found if one.differences}

    return differences


@pytest.fixture
def planted(ran):
    """A function that changes a database, which is put right again."""
    folder, _ = ran
    undo = []

    def plant(statement, undoing):
        undo.append(undoing)
        rows(folder, "inline", statement)

    yield plant
    for statement in undo:
        rows(folder, "inline", statement)


def rows(folder, key, statement):
    with closing(sqlite3.connect(folder / f"{key}.sqlite3")) as database, database:
        return database.execute(statement).fetchall()


def test_it_measures_each_delivery_and_finds_nothing_wrong(ran):
    _, finished = ran
    table = re.findall(
        r"^(\w+) +([\d.]+) +[\d.]+ +\d+ +\d+ +[\d.]+ +[\d.]+ +(\d+) +0 +\d+ +\d+ +0$", finished.stdout, re.MULTILINE
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert [name for name, *_ in table] == NAMES
    assert all(float(rate) > 0 and int(orders) > 0 for _, rate, orders in table)
    assert finished.stdout.endswith("\n0 differences\n")


def test_it_says_how_far_it_is(ran):
    _, finished = ran
    assert re.findall(r"^  (\w+) +[\d.]+ s +\d+ orders", finished.stdout, re.MULTILINE) == [one.key for one in VARIANTS]


def test_nothing_is_wrong_in_what_is_left(checked):
    assert {one.key: checked(one.key) for one in VARIANTS} == {one.key: {} for one in VARIANTS}


def test_a_wrong_total_is_found(checked, planted):
    planted(
        "UPDATE store_order SET cents = cents + 1 WHERE id = (SELECT MIN(id) FROM store_order)",
        "UPDATE store_order SET cents = cents - 1 WHERE id = (SELECT MIN(id) FROM store_order)",
    )
    assert checked() == {"an order has the number and the sum of its items": 1}


def test_a_wrong_stock_is_found(checked, planted):
    planted(
        "UPDATE store_inventory SET sold = sold + 1 WHERE product_id = 7",
        "UPDATE store_inventory SET sold = sold - 1 WHERE product_id = 7",
    )
    assert checked() == {"the stock is what came in, less what was sold": 1}


def test_a_mail_that_is_lost_and_one_about_no_order_are_found(checked):
    assert checked(lost={1}, invented={999_999}) == {
        "the mail about an order has arrived, or is in the outbox": 1,
        "a mail is about an order that is there": 1,
    }


def test_a_mail_that_waits_in_the_outbox_is_not_lost(ran, checked):
    folder, _ = ran
    rows(folder, "durable", "UPDATE heliograph_outbox_delivery SET state = 'READY' WHERE id = 1")

    assert rows(folder, "durable", "SELECT queue FROM heliograph_outbox_delivery WHERE id = 1") == [("mail",)]
    assert checked("durable", lost={order_of_the_first_delivery(folder)}) == {}


def order_of_the_first_delivery(folder):
    ((payload,),) = rows(folder, "durable", "SELECT payload FROM heliograph_outbox_delivery WHERE id = 1")
    return int(re.search(r'"store.Order",\[(\d+)\]', payload)[1])


# --- what is shown of results -----------------------------------------------------------------------------------


@pytest.fixture
def results():
    requests = [
        Requests(120, 0, 12.0, 160, 280, 9, 1),
        Requests(110, 0, 11.0, 180, 290, 9, 1),
        Requests(180, 0, 18.0, 90, 140, 8, 9),
    ]
    checked = [Checked("a total is right", 120, 0)]
    return [Result(one, figures, 120, 0, checked) for one, figures in zip(VARIANTS, requests, strict=True)]


def test_the_table_has_a_row_for_each_delivery(results):
    head, *body = tables.rows(results)

    assert [dict(zip(head, row, strict=True))["beside Inline"] for row in body] == ["1.00", "0.92", "1.50"]
    assert [row[0] for row in body] == NAMES


SVG = "{http://www.w3.org/2000/svg}"


def test_the_chart_has_a_bar_for_each_figure_and_says_its_numbers(results):
    root = ElementTree.fromstring(chart.svg(results, "On a machine & a disk."))
    described = root.find(f"{SVG}desc").text

    assert root.get("aria-labelledby").split() == [root.find(f"{SVG}{tag}").get("id") for tag in ("title", "desc")]
    assert len(root.findall(f"{SVG}rect")) == 1 + len(NAMES) * 3
    assert "Durable 18.0" in described
    assert "Durable, p95 140" in described
    assert described.endswith("On a machine & a disk.")


def test_the_longest_bar_of_the_chart_is_that_of_the_largest_number(results):
    root = ElementTree.fromstring(chart.svg(results, ""))
    widths = [float(bar.get("width")) for bar in root.findall(f"{SVG}rect[@class='orders']")]

    assert widths == [pytest.approx(max(widths) * rate / 18, abs=0.1) for rate in (12, 11, 18)]


def test_a_result_with_a_failed_order_or_a_difference_is_not_right(results):
    right, *_ = results
    wrong = [Checked("a total is right", 120, 1)]

    assert right.is_right
    assert not Result(right.variant, Requests(120, 1, 12.0, 160, 280, 9, 1), 120, 0, right.checked).is_right
    assert not Result(right.variant, right.requests, 120, 0, wrong).is_right
