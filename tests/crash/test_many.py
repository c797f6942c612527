"""Many deliveries, while workers are killed one after the other."""

import os
import random
import time

from django.db import connection

from heliograph.outbox.models import State
from tests.crash.counting import UNFINISHED, assert_each_row_has_its_delivery, assert_in_order, count, of, states, table
from tests.crash.models import Order, Step
from tests.crash.processes import within

EVERY = 1.0  # second
# Which workers are killed; that of a run is in what it prints.
SEED = int(os.environ.get("HELIOGRAPH_CRASH_SEED") or random.randrange(10_000))


def test_a_thousand_deliveries_while_a_worker_is_killed_every_second(start, work, report):
    dice = random.Random(SEED)
    is_sqlite = connection.vendor == "sqlite"
    # A receiver on SQLite has the database to itself.
    options = {"HELIOGRAPH_CRASH_WORK": "0.008" if is_sqlite else "0.04"}
    senders = [start("send_many", model, "500", seed) for model, seed in (("Order", "1"), ("Step", "2"))]
    workers = [work("--concurrency", "2", **options) for _ in range(3)]

    killed = 0
    deadline = time.monotonic() + 100  # before pytest takes it for a deadlock
    while not within(EVERY, lambda: not any(sender.is_alive() for sender in senders) and not _left()):
        assert time.monotonic() < deadline, f"Not finished, with seed {SEED}\n{table()}"
        number = dice.randrange(len(workers))
        workers[number].kill()
        workers[number] = work("--concurrency", "2", **options)
        killed += 1

    for sender in senders:
        sender.succeed()
    assert killed >= 5, "Too few were killed to say anything"
    for model in (Order, Step):
        assert_each_row_has_its_delivery(model)
        assert states(model) == {State.SUCCESSFUL: 500}
    assert_in_order(Step)
    how = f"with {killed} workers killed (seed {SEED})"
    report(f"Five hundred orders, {how},", count(Order))
    report(f"Five hundred steps in the order of their keys, {how},", count(Step))


def _left():
    return of(Order).filter(state__in=UNFINISHED).exists() or of(Step).filter(state__in=UNFINISHED).exists()
