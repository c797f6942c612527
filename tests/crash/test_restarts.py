"""Databases that go away and come back."""

import sqlite3
from contextlib import suppress

import pytest
from django.db import OperationalError, connection, connections

from tests.crash.counting import assert_each_row_has_its_delivery, count, until_finished
from tests.crash.models import Effect, Order
from tests.crash.processes import until
from tests.crash.programs import OF_SERVERS, missing
from tests.crash.servers import of_a_database
from tests.helpers.databases import PREFIX

KIND = {"mysql": "mariadb"}.get(connection.vendor, connection.vendor)

of_a_server = pytest.mark.skipif(connection.vendor == "sqlite", reason="This database has no server")


@pytest.fixture(scope="module")
def server():
    if absent := missing(OF_SERVERS[KIND]):
        pytest.skip(f"not here: {', '.join(absent)}")
    server = of_a_database(connection.vendor)
    yield server
    server.remove()


@pytest.fixture
def own(server):
    """The alias of a database on that server."""
    alias = "own"
    options = {**connection.settings_dict, **server.settings, "NAME": f"{PREFIX}_crash", "OPTIONS": {}}
    connections.settings[alias] = {**options, "TEST": {**options["TEST"], "NAME": f"{PREFIX}_crash"}}
    creation = connections[alias].creation
    creation.create_test_db(verbosity=0, autoclobber=True)
    yield alias
    creation.destroy_test_db(f"{PREFIX}_crash", verbosity=0)
    connections[alias].close()
    del connections[alias], connections.settings[alias]


@of_a_server
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_database_that_restarts_under_a_worker_and_a_sender(server, own, start, work, report, folder, how):
    sender = start("send_on", "Order", **server.variables)
    worker = work("--concurrency", "2", **server.variables)
    _until_more(own)

    for _ in range(2):
        getattr(server, how)()
        connections[own].close()
        server.start()
        _until_more(own)
    (folder / "enough").touch()
    sender.succeed()
    until_finished(own)

    assert worker.is_alive(), "It did not survive"
    assert_each_row_has_its_delivery(Order, own)
    acknowledged = {*map(int, (folder / "acknowledged").read_text().split())}
    assert acknowledged <= {*Order.objects.using(own).values_list("pk", flat=True)}
    said = {"stop": "restarted", "kill": "killed and started again"}[how]
    report(f"The database {said}, twice, under a worker and a sender", count(Order, own))
    worker.kill()


def _until_more(using):
    """Wait until something new was sent, and done."""
    orders, effects = _numbers(using)
    until(lambda: _is_more(_numbers(using), (orders + 40, effects + 40)), lambda: f"more than {orders}, {effects}")


def _is_more(found, wanted):
    return all(one > other for one, other in zip(found, wanted, strict=True))


def _numbers(using):
    return Order.objects.using(using).count(), Effect.objects.using(using).count()


@of_a_server
def test_connections_that_are_closed_by_the_server(start, work, report, folder):
    sender = start("send_on", "Order")
    worker = work("--concurrency", "2")
    for _ in range(5):
        _until_more("default")
        _close_all_others()
    (folder / "enough").touch()
    sender.succeed()
    until_finished()

    assert worker.is_alive(), "It did not survive"
    assert_each_row_has_its_delivery(Order)
    report("All connections closed by the server, five times, under a worker and a sender", count(Order))


def _close_all_others():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
        for (number,) in cursor.fetchall():
            with suppress(OperationalError):  # it has gone by itself
                cursor.execute(f"KILL CONNECTION {number}")


@pytest.mark.parametrize(
    "place",
    [
        "before claim",
        "at claim",
        "after claim",
        "before record",
        "at record",
        "before commit of record",
        "after record",
    ],
)
def test_a_connection_that_is_cut_off_once(start, work, report, place):
    """After a commit too: the worker does not learn of it then."""
    start("send", "Order", *["some"] * 5).succeed()
    worker = work(cut_at=place)
    until_finished()

    assert worker.is_alive(), "It did not survive"
    assert worker.pipe("cut").exists(), f"It was not {place}"
    report(f"A worker whose connection was cut off {place}", count(Order))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Servers have no lock on everything")
def test_a_database_that_somebody_else_has_locked(start, work, report, folder):
    impatient = {"HELIOGRAPH_CRASH_PATIENCE": "0.2"}
    sender = start("send_on", "Order", **impatient)
    worker = work("--concurrency", "2", **impatient)
    for _ in range(3):
        _until_more("default")
        _lock_until_somebody_minds(worker)
    (folder / "enough").touch()
    sender.succeed()
    until_finished()

    assert worker.is_alive(), "It did not survive"
    assert_each_row_has_its_delivery(Order)
    report("A file that was locked for longer than anybody waits, under a worker and a sender", count(Order))


def _lock_until_somebody_minds(worker):
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=20)
    other.execute("BEGIN EXCLUSIVE")
    minded = worker.said().count("cannot go on")
    until(lambda: worker.said().count("cannot go on") > minded, "the worker has given up to wait")
    other.execute("ROLLBACK")
    other.close()


def test_a_connection_that_is_cut_off_while_claims_are_given_back(start, work_in_batches, report):
    """What waits behind a slow delivery is given back to others, who are not notified."""
    start("send", "Order", *["some"] * 5, "slow", *["some"] * 14).succeed()
    worker = work_in_batches(wait_at="receiver slow", cut_at="before handing back")
    worker.reach()
    until(worker.pipe("cut").exists, lambda: f"claims that are given back by {worker}")
    worker.go_on()
    until_finished()

    assert worker.is_alive(), "It did not survive"
    report("A worker whose connection was cut off while it gave back what it had claimed", count(Order))
