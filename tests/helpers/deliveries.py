"""Deliveries for the tests of what people do with them."""

import datetime
import json

from django.utils import timezone

from heliograph.outbox.models import Delivery, State
from tests.helpers.errors import MishapError

RECEIVER = "shop.receivers.send_welcome"


def row():
    """Return the only delivery."""
    return Delivery.objects.get()


def states(using="default"):
    """Return the state of each delivery, in the order of their sends."""
    return [State(state) for state in Delivery.objects.using(using).order_by("pk").values_list("state", flat=True)]


def ago(seconds):
    return timezone.now() - datetime.timedelta(seconds=seconds)


def deliver(state=State.READY, using="default", **values):
    """Write a delivery that is in a state, as its send and its worker would have."""
    return Delivery.objects.using(using).create(**{**new(state), **values})


def deliver_many(count, state=State.READY, **values):
    Delivery.objects.bulk_create(Delivery(**{**new(state), **values}) for _ in range(count))


def new(state):
    has_finished = state in (State.SUCCESSFUL, State.DEAD, State.DISCARDED)
    return {
        "backend": "default",
        "queue": "mail",
        "receiver": RECEIVER,
        "signal": "django.db.models.signals.post_save",
        "sender": "app.Writer",
        "state": state,
        "payload": json.dumps({"v": 1, "signal": "post_save", "sender": None, "kwargs": {"created": True}}),
        "attempts": 0 if state is State.READY else 1,
        "due_at": ago(60),
        "created_at": ago(60),
        "finished_at": ago(30) if has_finished else None,
        "claimed_at": None if state is State.READY else ago(40),
        "leased_until": timezone.now() + datetime.timedelta(hours=1) if state is State.RUNNING else None,
        "worker": "" if state is State.READY else "worker 1",
        "error": "MishapError: no" if state is State.DEAD else "",
        "traceback": "Traceback (most recent call last)" if state is State.DEAD else "",
    }


def stored(using="default"):
    return Delivery.objects.using(using).count()


def refuse(**payload):
    raise MishapError
