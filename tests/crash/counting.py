"""What was sent and what was done, counted in the database."""

import json
from collections import Counter, defaultdict
from typing import NamedTuple

from heliograph.outbox.models import Delivery, State
from tests.crash.models import Effect
from tests.crash.processes import until

UNFINISHED = [State.READY, State.RUNNING]


class Count(NamedTuple):
    """Rows by what became of their effects."""

    sent: int
    done: int
    lost: int
    twice: int

    def __str__(self):
        return f"{self.sent} sent, {self.done} done, {self.lost} lost, {self.twice} twice"


def count(model, using="default", left_out=0, *, by_key=False):
    """Count the rows of a model and their effects; `left_out` is how many rows are not to have one, and have none.

    An effect is counted once for each time that it was had, or once for each idempotency key, as a service does that
    takes one. One whose row does not exist was never sent: that fails.
    """
    rows = {*model.objects.using(using).values_list("pk", flat=True)}
    had = Effect.objects.using(using).filter(model=model.__name__).values_list("row", "key")
    effects = Counter(row for row, _ in (had.distinct() if by_key else had))
    assert effects.keys() <= rows, f"effects without rows: {effects.keys() - rows}"
    twice = sum(times > 1 for times in effects.values())
    return Count(len(rows) - left_out, len(effects), len(rows) - left_out - len(effects), twice)


def assert_each_row_has_its_delivery(model, using="default"):
    """Check that as many deliveries are there as rows, each for one of them."""
    payloads = of(model, using).values_list("payload", flat=True)
    numbers = sorted(row_of(payload) for payload in payloads)
    assert numbers == sorted(model.objects.using(using).values_list("pk", flat=True))


def assert_in_order(model):
    """Check that rows with one name had their effects in the order of their deliveries."""
    names = dict(model.objects.values_list("pk", "name"))
    sent = map(row_of, of(model).order_by("pk").values_list("payload", flat=True))
    made = Effect.objects.filter(model=model.__name__).order_by("pk").values_list("row", flat=True)
    assert _by_name(made, names) == _by_name(sent, names)


def _by_name(rows, names):
    found = defaultdict(list)
    for row in rows:
        found[names[row]].append(row)
    return found


def row_of(payload):
    """Return the key of the row that a delivery is about."""
    return json.loads(payload)["kwargs"]["instance"]["value"][1][0]


def of(model, using="default"):
    """Return the deliveries that were sent by a model."""
    return Delivery.objects.using(using).filter(sender=model._meta.label)


def until_finished(using="default", seconds=60, but=()):
    """Wait until nothing is left to do."""
    left = Delivery.objects.using(using).filter(state__in=UNFINISHED).exclude(pk__in=but)
    until(lambda: not left.exists(), lambda: f"nothing left to do\n{table(using)}", seconds)


def states(model, using="default"):
    """Return how many deliveries of a model are in each state."""
    return dict(Counter(of(model, using).values_list("state", flat=True)))


def table(using="default", most=30):
    """Return what is unfinished, for a message."""
    columns = ["pk", "sender", "queue", "state", "attempts", "worker", "due_at", "leased_until", "error"]
    rows = Delivery.objects.using(using).filter(state__in=UNFINISHED).values_list(*columns)[:most]
    return "\n".join(" | ".join(map(str, row)) for row in rows)
