"""Leases: for how long a worker has what it has claimed, and what it does when it has lost that."""

from datetime import timedelta

import pytest

from heliograph import Durable, Retry, Signal, fixed
from heliograph.outbox.claiming import lost_workers
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.rescuing import rescue
from heliograph.outbox.runner import Runner, drain
from tests.django.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

sent = Signal(name="shop.leased")

# What a worker that stands still in a test gets over with, in seconds.
SHORT = 0.3


@pytest.fixture
def short(settings):
    """Let leases be over soon."""
    settings.HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(seconds=SHORT)}}


@pytest.fixture
def calls(connect):
    """Connect a durable receiver: the list has the numbers that it was called with, and first what it is to do."""

    def connect_one(action=None, **options):
        calls = []

        def note(sender, number, **payload):
            calls.append(number)
            if action is not None:
                action(number)

        connect(sent, note, delivery=Durable(**{"retry": Retry(backoff=fixed(0), jitter=0), **options}))
        return calls

    return connect_one


def send(*numbers):
    for number in numbers:
        sent.send(sender=None, using="default", number=number)


def claiming(count):
    """Return a runner that claims so many at once, and whose leases nobody renews."""
    runner = Runner("default")
    runner.size = count
    return runner


def states():
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


# --- a worker that stood still ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short")
def test_what_a_worker_claimed_longer_ago_than_its_lease_is_dropped(calls):
    heard = calls(atomic=False)
    send(1, 2, 3)
    outcomes = claiming(3).outcomes()
    next(outcomes)  # and then it stands still
    until(lambda: rescue("default"))
    drain()
    assert (list(outcomes), sorted(heard)) == ([], [1, 2, 3])


@pytest.mark.usefixtures("short")
def test_what_is_dropped_while_nobody_has_rescued_it_is_given_back(calls):
    heard = calls(atomic=False)
    send(1, 2, 3)
    outcomes = claiming(3).outcomes()
    next(outcomes)
    until(lambda: lost_workers("default"))
    assert (list(outcomes), heard) == ([], [1])
    assert states() == [State.SUCCESSFUL, State.READY, State.READY]
    assert set(Delivery.objects.filter(state=State.READY).values_list("attempts", "worker")) == {(0, "")}


def test_a_worker_that_has_lost_a_delivery_drops_the_others(calls):
    """Its lease may be a new one, as that of a machine that was asleep and has renewed it first."""

    def lose(number):
        if number == 1:
            Delivery.objects.filter(state=State.RUNNING).update(worker="another one")

    heard = calls(lose, atomic=False)
    send(1, 2, 3)
    runner = claiming(3)
    assert (list(runner.outcomes()), heard) == ([None], [1])
    assert states() == [State.RUNNING] * 3


def test_what_it_has_still_is_given_back_then(calls):
    def lose(number):
        Delivery.objects.filter(pk=first).update(worker="another one")

    heard = calls(lose, atomic=False)
    send(1, 2)
    first = Delivery.objects.order_by("pk").first().pk
    assert (list(claiming(2).outcomes()), heard) == ([None], [1])
    assert states() == [State.RUNNING, State.READY]
