"""Django's dispatcher and Heliograph, which are used alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models.signals import post_save

from benchmarks import pristine
from benchmarks.facts import DECLARED, DJANGO, DJANGO_UNCACHED, HELIOGRAPH
from benchmarks.peer import BareLoop, Peer
from benchmarks.receivers import ORDER, Order, Receiver
from benchmarks.timing import AsyncCall, Call
from heliograph import Signal


class Djangoish(Peer):
    """The base class of the signals of Django and of Heliograph."""

    sends_robust = True
    sends_async = True
    has_thread_safety = True

    def sending_robust(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: signal.send_robust(sender=sender, instance=instance, created=True)

    def sending_async(self, signal: Any) -> AsyncCall:
        sender, instance = Order, ORDER
        return lambda: signal.asend(sender=sender, instance=instance, created=True)


class Django(Djangoish):
    """Django's own dispatcher, not adopted."""

    name = DJANGO
    package = "Django"
    module = "django"
    connect_rounds = 2

    def signal(self) -> Any:
        return pristine.dispatcher().Signal(use_caching=True)

    def connect_all(self, signal: Any, receivers: Sequence[Receiver], sender: Any) -> None:
        """Connect with Django's own connect, but each to an empty list: 10,000 would take seconds otherwise."""
        rows = list(signal.receivers)
        for receiver in receivers:
            signal.receivers = []
            signal.connect(receiver, sender=sender)
            rows += signal.receivers
        signal.receivers = rows


class DjangoUncached(Django):
    """The same as it is by default."""

    name = DJANGO_UNCACHED

    def signal(self) -> Any:
        return pristine.dispatcher().Signal()


class Heliograph(Djangoish):
    """A signal as Django's users write it."""

    name = HELIOGRAPH

    def signal(self) -> Any:
        return Signal()


class HeliographDeclared(Heliograph):
    """A signal that says what it sends."""

    name = DECLARED

    def signal(self) -> Any:
        return Signal.define(_contract)


def _contract(sender: object, *, instance: object, created: object) -> None:
    """Say what is sent."""


class _Saving:
    """The send of post_save, with the names that Django sends."""

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: signal.send(
            sender=sender, instance=instance, created=True, update_fields=None, raw=False, using="default"
        )


class BareSaving(BareLoop):
    """The calls alone, with the names of post_save."""

    def sending(self, signal: Any) -> Call:
        sender, instance = Order, ORDER
        return lambda: [
            (
                one,
                one(
                    signal=signal,
                    sender=sender,
                    instance=instance,
                    created=True,
                    update_fields=None,
                    raw=False,
                    using="default",
                ),
            )
            for one in signal
        ]


class DjangoSaving(_Saving, Django):
    """The post_save of Django's own dispatcher."""

    def signal(self) -> Any:
        return pristine.model_signals().ModelSignal(use_caching=True)


class HeliographSaving(_Saving, Heliograph):
    """Django's real post_save, adopted."""

    def signal(self) -> Any:
        post_save.receivers = []
        return post_save
