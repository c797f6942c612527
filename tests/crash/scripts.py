"""What processes of the project do besides the commands of Django: they send, and have themselves killed."""

import json
import os
import random
import sys
import time
from functools import partial
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import DatabaseError, Error, connection, transaction

from heliograph import observe
from heliograph.outbox.manage import operations, performing
from heliograph.outbox.manage.selecting import look_at
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.work import runner
from tests.crash import clocks, models, places
from tests.helpers.deliveries import deliver_many
from tests.helpers.killing import kill_at_each_stop


def send(model, *names):
    """Save rows with these names in one transaction."""
    with transaction.atomic():
        for name in names:
            getattr(models, model).objects.create(name=name)


def send_alone(model, *names):
    """Save rows with these names, each in autocommit."""
    for name in names:
        getattr(models, model).objects.create(name=name)


def send_many(model, number, seed):
    """Send so many rows and no more, in transactions of different sizes, of which some are rolled back."""
    dice, left = random.Random(int(seed)), int(number)
    while left:
        size = min(dice.randint(1, 20), left)
        with transaction.atomic():
            for _ in range(size):
                name = "flaky" if dice.random() < 0.1 else f"key {dice.randrange(20)}"
                getattr(models, model).objects.create(name=name)
            if dice.random() < 0.2:
                transaction.set_rollback(True)
                size = 0
        left -= size


def send_on(model, pause="0.01"):
    """Send until it is enough, whatever becomes of the database; note what was acknowledged."""
    folder = Path(os.environ[places.FOLDER])
    with (folder / "acknowledged").open("w", buffering=1) as acknowledged:
        while not (folder / "enough").exists():
            try:
                with transaction.atomic():
                    rows = [getattr(models, model).objects.create(name="some") for _ in range(3)]
            except DatabaseError:
                connection.close()
                time.sleep(0.05)
                continue
            acknowledged.writelines(f"{row.pk}\n" for row in rows)
            time.sleep(float(pause))


def send_all_kinds(seed):
    """Send rows of three models until it is enough, whatever becomes of the database; note what was acknowledged.

    Some transactions are rolled back, and some savepoints.
    """
    dice, folder = random.Random(int(seed)), Path(os.environ[places.FOLDER])
    with (folder / f"{os.getpid()}.acknowledged").open("w", buffering=1) as acknowledged:
        while not (folder / "enough").exists():
            try:
                _send_some(dice, acknowledged)
            except Error:
                connection.close()
            time.sleep(0.02)


def _send_some(dice, acknowledged):
    """Send a transaction, and note the rows that it has committed.

    Only a callback knows: Django rolls a block back without an error if its connection is lost while a savepoint in it
    is rolled back.
    """
    with transaction.atomic():
        rows = _made_some(dice)
        with transaction.atomic():
            more = _made_some(dice)
            if dice.random() < 0.2:
                transaction.set_rollback(True)
                more = []
        lines = "".join(f"{type(row).__name__} {row.pk}\n" for row in rows + more)
        transaction.on_commit(partial(acknowledged.write, lines))
        if dice.random() < 0.2:
            transaction.set_rollback(True)


def _made_some(dice):
    names = ["flaky" if dice.random() < 0.1 else f"key {dice.randrange(20)}" for _ in range(dice.randint(0, 8))]
    return [dice.choice([models.Order, models.Letter, models.Step]).objects.create(name=name) for name in names]


def die_sending(size):
    """Send a transaction of so many orders, killed at each stop; print where."""
    _print_places(kill_at_each_stop(partial(_Sending, int(size))))


class _Sending:
    def __init__(self, size, name):
        self.size, self.name = size, name

    def save(self):
        if self.size == 1:
            models.Order.objects.create(name=self.name)
            return
        with transaction.atomic():
            for _ in range(self.size):
                models.Order.objects.create(name=self.name)


def die_working(size):
    """Run deliveries in this thread, killed at each stop; print where."""
    _print_places(kill_at_each_stop(partial(_Working, int(size))))


class _Working:
    def __init__(self, size, name):
        """Send orders in a queue of their own, which nobody else empties."""
        self.queue = f"stop {name}"
        with transaction.atomic():
            orders = [models.Order.objects.create(name=name) for _ in range(size)]
        newest = Delivery.objects.order_by("-pk").values_list("pk", flat=True)[: len(orders)]
        Delivery.objects.filter(pk__in=[*newest]).update(queue=self.queue)

    def save(self):
        runner.drain(queues=[self.queue])


def die_operating(size):
    """Redeliver so many deliveries by chunks of two, killed at some fifty stops; print where."""
    operations.CHUNK = 2
    every = {"sqlite": 3, "postgresql": 6, "mysql": 10}[connection.vendor]
    _print_places(kill_at_each_stop(partial(_Operating, int(size)), stride=1000, every=every))


class _Operating:
    def __init__(self, size, name):
        """Ask for the redelivery of dead letters of a receiver that nobody has."""
        receiver = f"nobody.{name}"
        deliver_many(size, State.DEAD, receiver=receiver)
        selection = look_at("default", [Delivery.objects.filter(receiver=receiver)])
        self.operation = performing.request(selection, "redeliver", ["DEAD"], by=name, reason="")

    def save(self):
        performing.perform(self.operation)


def _print_places(found):
    json.dump(found, sys.stdout)


_ALL = (send, send_alone, send_many, send_on, send_all_kinds, die_sending, die_working, die_operating)
SCRIPTS = {script.__name__: script for script in _ALL}


def run(name, *arguments):
    """Run one of these, or the command of Celery, or one of Django's, whose events are places then."""
    if name == "celery":
        celery(*arguments)
        return
    clocks.set_wrong()
    places.install()
    runner.SECONDS_CLAIMED = float(os.environ.get("HELIOGRAPH_CRASH_SECONDS_CLAIMED", runner.SECONDS_CLAIMED))
    if name in SCRIPTS:
        SCRIPTS[name](*arguments)
        return
    with observe(places.reached):
        execute_from_command_line(["manage.py", name, *arguments])


def celery(*arguments):
    from celery.bin.celery import main

    sys.argv = ["celery", *arguments]
    main()
