"""The example shop, whose workers are killed at random: what its applications promise is kept."""

import os
import re

import pytest

from tests.helpers.brokers import URLS
from tests.helpers.databases import PREFIX, SERVERS
from tests.helpers.shop import first_purchases, manage, promises
from tools.services import of_url

KILLS = int(os.environ.get("HELIOGRAPH_SHOP_KILLS") or 20)
DATABASE = os.environ.get("HELIOGRAPH_TEST_DATABASE", "sqlite")
LONGEST = 1800  # seconds


def assert_all_are_kept(output):
    kept = promises(output)
    assert len(kept) > 30
    assert [text for text, (_, differences) in kept.items() if differences] == []


def killed_in_the_middle(output, kills):
    """How many deliveries a worker had in its hands when it was killed."""
    said = rf"^{kills} workers killed, in the middle of (\d+) deliveries; \d+ mails sent again$"
    return int(re.search(said, output, re.MULTILINE)[1])


@pytest.mark.kills
@pytest.mark.skipif(DATABASE != "sqlite", reason="PostgreSQL's shop has workers of Celery, and MariaDB has none")
@pytest.mark.timeout(LONGEST + 60)
def test_every_promise_is_kept_though_workers_are_killed(tmp_path):
    finished = check(tmp_path, "--kills", str(KILLS))

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert killed_in_the_middle(finished.stdout, KILLS) > KILLS // 10
    assert int(re.search(r"(\d+) rolled back", finished.stdout)[1]) > 0
    assert_all_are_kept(finished.stdout)
    assert "A mail is counted by its Message-ID" in finished.stdout


@pytest.mark.kills
@pytest.mark.skipif(DATABASE != "postgresql", reason="Celery's workers work on PostgreSQL")
@pytest.mark.timeout(LONGEST + 60)
def test_every_promise_is_kept_by_workers_of_celery_that_are_killed(tmp_path):
    if not of_url("rabbitmq", URLS["rabbitmq"]).answers():
        pytest.skip("rabbitmq does not answer")

    finished = check(tmp_path, "--kills", str(KILLS // 2), SHOP_BROKER=URLS["rabbitmq"], **postgresql())

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert killed_in_the_middle(finished.stdout, KILLS // 2) > 0
    assert_all_are_kept(finished.stdout)


def check(folder, *options, **variables):
    """Run the check of the demonstration on a hundred purchases, with the traffic of all applications."""
    arguments = ["demo", "--check", "--data", str(first_purchases(100, folder)), *options]
    return manage(folder, *arguments, timeout=LONGEST, **variables)


def postgresql():
    """The environment of the shop on PostgreSQL, with a database of this run."""
    server = SERVERS["postgresql"]
    login = {"PGUSER": server["USER"], "PGPASSWORD": server["PASSWORD"]}
    return {"SHOP_POSTGRESQL": f"{PREFIX}_shop", "PGHOST": server["HOST"], "PGPORT": str(server["PORT"]), **login}
