"""Durable receivers, each of which leaves an effect."""

import os
import sys
import time
from functools import partial

from django.db import connection, transaction

from heliograph import Durable, Retry, created, receiver
from heliograph import fixed as after
from heliograph.signals import post_save
from tests.crash.models import Bill, Effect, Letter, Order, Parcel, Step
from tests.crash.places import at, die

AT_ONCE = after(0)


@receiver(post_save, sender=Order, when=created, delivery=Durable(retry=Retry(backoff=AT_ONCE, jitter=0)))
def handle_order(sender, instance, delivery, **kwargs):
    leave_effect(instance, delivery)


@receiver(post_save, sender=Parcel, when=created, delivery=Durable(retry=Retry(attempts=3, backoff=AT_ONCE, jitter=0)))
def handle_parcel(sender, instance, delivery, **kwargs):
    leave_effect(instance, delivery)


@receiver(post_save, sender=Letter, when=created, delivery=Durable(atomic=False, retry=Retry(backoff=AT_ONCE)))
def handle_letter(sender, instance, delivery, **kwargs):
    leave_effect(instance, delivery)


@receiver(
    post_save,
    sender=Step,
    when=created,
    delivery=Durable(key="instance.name", retry=Retry(backoff=AT_ONCE, jitter=0)),
)
def handle_step(sender, instance, delivery, **kwargs):
    leave_effect(instance, delivery)


@receiver(
    post_save,
    sender=Bill,
    when=created,
    delivery=Durable(backend="celery", retry=Retry(backoff=AT_ONCE, jitter=0)),
)
def handle_bill(sender, instance, delivery, **kwargs):
    leave_effect(instance, delivery)


def leave_effect(instance, delivery):
    at("receiver", instance.name)
    if instance.name == "poison":
        die()
    if instance.name in _FORKING and not _fork(_FORKING[instance.name]):
        return
    if instance.name == "fork after the commit":
        transaction.on_commit(partial(_fork, sys.exit))
    if instance.name in _FAILING and delivery.attempt == 1:
        _FAILING[instance.name]()
    if seconds := float(os.environ.get("HELIOGRAPH_CRASH_WORK", "0")):
        time.sleep(seconds)  # so that a kill finds it here
    Effect.objects.create(
        model=type(instance).__name__,
        row=instance.pk,
        attempt=delivery.attempt,
        key=delivery.idempotency_key,
        process=os.getpid(),
    )
    at("effect", instance.name)


def _fork(leave):
    """Fork a process that leaves its receiver, and return whether this is the one that has forked it."""
    child = os.fork()
    if not child:
        leave()
        return False
    os.waitpid(child, 0)
    return True


def _raise():
    raise ValueError("The child has failed")


def _fail(error):
    raise error


def _leave_a_block_open():
    transaction.atomic().__enter__()


def _turn_autocommit_off():
    if not connection.in_atomic_block:  # where a receiver has a transaction, Django refuses this
        transaction.set_autocommit(False)
    else:
        _leave_a_block_open()


# What a receiver does in its first attempt, by the name of its row; the second one works.
_FAILING = {
    "flaky": partial(_fail, ConnectionError("It works the second time.")),
    "interrupted": partial(_fail, KeyboardInterrupt()),
    "ended": partial(_fail, GeneratorExit()),
    "block left open": _leave_a_block_open,
    "autocommit left off": _turn_autocommit_off,
}

# What the child of a receiver does, by the name of its row.
_FORKING = {"fork and exit": sys.exit, "fork and raise": _raise, "fork and return": lambda: None}
