"""A signal with durable receivers, what they do in an attempt, and when it is repeated."""

import datetime

from django.utils import timezone

from heliograph import Retry, Signal, fixed
from heliograph.outbox.models import Delivery, State
from tests.app.models import Genre
from tests.helpers.errors import MishapError

sent = Signal(name="shop.sent")


def at_once(attempts=3, **options):
    """Return a retry that does not wait."""
    return Retry(attempts=attempts, backoff=fixed(0), jitter=0, **options)


def send(*numbers, using="default"):
    """Send each number, in a transaction of its own."""
    for number in numbers or (0,):
        sent.send(sender=None, using=using, number=number)


def fail(**payload):
    raise MishapError("no way")


def fail_with(error):
    def fail(**payload):
        raise error

    return fail


def give(value):
    return lambda **payload: value


def types(outcomes):
    return [type(one) for one in outcomes]


def wait_over(**of):
    """Let the time come for deliveries that wait."""
    Delivery.objects.filter(state=State.READY, **of).update(due_at=timezone.now() - datetime.timedelta(minutes=1))


def fail_before(attempt):
    """Return what fails in all attempts before this one."""

    def act(delivery, **payload):
        if delivery.attempt < attempt:
            raise MishapError("no way")

    return act


def write(**payload):
    Genre.objects.create()
