"""The five journeys through Heliograph whose length is watched: each is a line of a user's code, in the test project.

The hardest receiver is the one that asks most of Heliograph: it has a condition, it receives bulk writes too, and it is
called once in a transaction, before the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db.models import signals

import heliograph
from tests import settings as settings_of_tests
from tools.calls import Step, recorded

PACKAGE = Path(heliograph.__file__).parent

Run = Callable[[], object]


@dataclass(frozen=True)
class Journey:
    """A line of a user's code, and how long its way through the package may be."""

    name: str
    title: str
    runs: Callable[[], Iterator[Run]]  # yields the line to run, three times
    calls: int
    changes: int


def set_up() -> None:
    """Set the test project up on databases in memory."""
    given = {name: value for name, value in vars(settings_of_tests).items() if name.isupper()}
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(**(given | {"DATABASES": {"default": database, "other": database}}))
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def walked(name: str) -> Step:
    """Make a journey three times, and return the calls of the third: the first two make what is kept."""
    for run in JOURNEYS[name].runs():
        calls = recorded(run, PACKAGE)
    return calls


# --- receivers --------------------------------------------------------------------------------------------------

_received: list[object] = []


def receive(sender: object, instance: object, **payload: object) -> None:
    """Receive a row."""
    _received.append(instance)


def receive_batch(sender: object, batch: object, **payload: object) -> None:
    """Receive the rows of a transaction."""
    _received.append(batch)


def _connect_hardest(model: Any) -> None:
    heliograph.receiver(
        signals.post_save,
        sender=model,
        when=heliograph.changed("name"),
        bulk=True,
        delivery=heliograph.BeforeCommit(batch=True),
    )(receive_batch)


def _verify(is_received: bool) -> None:
    """Raise an error if a run was not received: then its journey is shorter than the one that is watched."""
    if not is_received:
        raise RuntimeError("The receiver of this journey was not called.")


# --- journeys ---------------------------------------------------------------------------------------------------


def _connect() -> Iterator[Run]:
    for model in map(_model, ("Writer", "Genre", "Song")):
        yield partial(_connect_hardest, model)
        _received.clear()
        _update_name(model, model.objects.create(name="Ann"), "Bea")
        _verify(len(_received) == 1)


def _save() -> Iterator[Run]:
    model = _model("Writer")
    _connect_hardest(model)
    writer = model.objects.create(name="Ann")
    for writer.name in ("Bea", "Cleo", "Dora"):
        _received.clear()
        yield writer.save
        _verify(len(_received) == 1)


def _update() -> Iterator[Run]:
    model = _model("Writer")
    _connect_hardest(model)
    writer = model.objects.create(name="Ann")
    for name in ("Bea", "Cleo", "Dora"):
        _received.clear()
        yield partial(_update_name, model, writer, name)
        _verify(len(_received) == 1)


def _update_name(model: Any, instance: Any, name: str) -> None:
    model.objects.filter(pk=instance.pk).update(name=name)


def _save_durably() -> Iterator[Run]:
    model, deliveries = _model("Writer"), apps.get_model("heliograph_outbox", "Delivery")._default_manager
    heliograph.receiver(signals.post_save, sender=model, delivery=heliograph.Durable())(receive)
    writer = model.objects.create(name="Ann")
    for count, writer.name in enumerate(("Bea", "Cleo", "Dora"), 2):
        yield writer.save
        _verify(deliveries.count() == count)


def _send() -> Iterator[Run]:
    model = _model("Writer")
    signals.post_save.connect(receive, sender=model)
    payload = {"created": False, "raw": False, "using": "default", "update_fields": None}
    for _ in range(3):
        _received.clear()
        yield partial(signals.post_save.send, model, instance=model(), **payload)
        _verify(len(_received) == 1)


def _model(name: str) -> Any:
    return apps.get_model("app", name)


JOURNEYS = {
    journey.name: journey
    for journey in (
        Journey("connect", "@receiver, the hardest receiver", _connect, calls=150, changes=50),
        Journey("save", "save() that the hardest receiver receives", _save, calls=120, changes=60),
        Journey("update", "update() that the hardest receiver receives", _update, calls=120, changes=60),
        Journey("durable", "save() that a Durable() receiver receives", _save_durably, calls=110, changes=50),
        Journey("send", "send() to a receiver without options", _send, calls=1, changes=0),
    )
}
