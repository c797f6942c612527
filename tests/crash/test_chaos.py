"""Everything at once: three kinds of receivers, while workers and senders are killed or stopped and connections cut."""

import faulthandler
import os
import random
import signal
import time
from itertools import count as counted_from

import pytest
from django.db import connection
from django.db.models import Count

from heliograph.outbox.models import Delivery, State
from tests.crash.chaos import Chaos
from tests.crash.counting import UNFINISHED, assert_each_row_has_its_delivery, assert_in_order, count, states, table
from tests.crash.models import Effect, Letter, Order, Step
from tests.crash.processes import until, within

MODELS = {model.__name__: model for model in (Order, Letter, Step)}
# How many deliveries there are at least.
USUAL = {"postgresql": 2000, "mysql": 1000, "sqlite": 500}[connection.vendor]
SIZE = int(os.environ.get("HELIOGRAPH_CRASH_DELIVERIES") or USUAL)
# What is done and when; that of a run is in what it prints.
SEED = int(os.environ.get("HELIOGRAPH_CRASH_SEED") or random.randrange(10_000))
# How many effects there are from one blow to the next: a slow machine has as many blows as a fast one.
EVERY = 25
PAUSE = 0.1  # seconds, from one blow to the next at least
LONGEST = 200 + SIZE / 20  # seconds


@pytest.mark.timeout(LONGEST + 60)
def test_in_chaos_nothing_is_lost_or_done_twice_or_out_of_order(start, work, report, folder):
    faulthandler.cancel_dump_traceback_later()  # a large run takes longer than pytest waits for one that hangs in C
    seeds = counted_from(SEED)
    chaos = Chaos(
        random.Random(SEED),
        work=lambda: work("--concurrency", "2"),
        send=lambda: start("send_all_kinds", str(next(seeds))),
        workers=3,
        senders=2,
    )

    deadline = time.monotonic() + LONGEST
    while not within(PAUSE, lambda: _is_enough(folder) and not _left(chaos)):
        assert time.monotonic() < deadline, f"Not finished, with seed {SEED} and {chaos}\n{table()}"
        chaos.wake_some()
        if Effect.objects.count() >= (chaos.number + 1) * EVERY:
            chaos.do_something()
    _end(chaos)

    assert chaos.has_done_everything(), f"Too little was done to say anything: {chaos}"
    acknowledged = [line.split() for file in folder.glob("*.acknowledged") for line in file.read_text().splitlines()]
    for name, model in MODELS.items():
        assert_each_row_has_its_delivery(model)
        assert states(model) == {State.SUCCESSFUL: model.objects.count()}
        of_model = {int(row) for of, row in acknowledged if of == name}
        assert of_model <= {*model.objects.values_list("pk", flat=True)}, "A commit was lost"
    assert_in_order(Step)
    how = f"with {chaos} (seed {SEED})"
    report(f"Orders, {how},", count(Order))
    report(f"Steps in the order of their keys, {how},", count(Step))
    report(
        f"Letters without a transaction, {_twice()} of them called twice, counted by key, {how},",
        count(Letter, by_key=True),
    )


def _is_enough(folder):
    """Whether there are as many rows as there are to be; if so, the senders end."""
    is_enough = sum(model.objects.count() for model in MODELS.values()) >= SIZE
    if is_enough:
        (folder / "enough").touch()
    return is_enough


def _left(chaos):
    is_sending = any(sender.is_alive() for sender in chaos.senders)
    return is_sending or Delivery.objects.filter(state__in=UNFINISHED).exists()


def _end(chaos):
    """Let everybody end what is in hand; all must have survived."""
    chaos.wake_all()
    for sender in chaos.senders:
        sender.succeed()
    for worker in chaos.workers:
        until(lambda worker=worker: "Worker started" in worker.said(), lambda worker=worker: f"a start of {worker}")
        assert worker.is_alive(), f"It did not survive: {worker}"
        worker.report(signal.SIGTERM)
        worker.succeed()


def _twice():
    """Return how many letters have more than one effect, which is allowed to them."""
    effects = Effect.objects.filter(model="Letter").values("row").annotate(times=Count("pk"))
    return effects.filter(times__gt=1).count()
