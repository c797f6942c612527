"""What a type checker makes of the verbs for tests: each ignored error must be one, or mypy says so."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_type

from django.db.models import Model
from django.test import TestCase

from heliograph import Batch, Connected, Signal
from heliograph.dispatch import Called, Sent
from heliograph.dispatch.skip_reasons import Gone, SkipReason
from heliograph.outbox.outcomes import Outcome
from heliograph.testing import (
    Enqueued,
    NotCalledError,
    Outbox,
    OutboxTests,
    Signals,
    SignalTests,
    batch_of,
    isolated,
    max_queries,
    mute,
    only,
)

shipped = Signal(name="shop.shipped")


def index(instance: Model, **kwargs: object) -> str:
    return str(instance)


def test_signals(signals: Signals, instance: Model) -> None:
    assert_type(signals.assert_sent(shipped, sender=Model, times=1, carrier="DHL"), Sent)
    assert_type(signals.assert_called(index, instance=instance), Called)
    assert_type(signals.assert_listening(shipped, index, order=1), Connected)
    signals.assert_sent_in_order(shipped, (shipped, Model))
    signals.assert_not_sent(shipped, carrier="DHL")
    signals.assert_not_called(index, times=1)
    signals.deliver(index, instance=instance, changes={"name": ("old", "new")})
    signals.deliver(index, instance=instance, changes={"name": "old"})  # type: ignore[dict-item]
    signals.assert_sent(shipped, times="once")  # type: ignore[arg-type]
    signals.assert_called("index")  # type: ignore[arg-type]


def test_outbox(outbox: Outbox, instance: Model) -> None:
    found = outbox.assert_enqueued(index, queue="mail")
    assert_type(found, Enqueued)
    assert_type(found.payload, Mapping[str, Any])
    assert_type(outbox.enqueued(index), list[Enqueued])
    assert_type(outbox.drain(until=timedelta(hours=1), queues=["mail"]), list[Outcome])
    outbox.drain(until=3600)  # type: ignore[arg-type]
    outbox.drain(True)  # type: ignore[call-arg]
    outbox.perform(index, instance=instance)
    outbox.wait_for_workers(timedelta(seconds=3))


async def test_outbox_in_async_code(outbox: Outbox, signals: Signals) -> None:
    assert_type(await outbox.adrain(until=timedelta(hours=1)), list[Outcome])
    assert_type(await outbox.aassert_enqueued(index), Enqueued)
    await signals.adeliver(index)


@isolated()
def test_silence(instance: Model) -> None:
    assert_type(batch_of(instance, instance, kind="created"), Batch)
    batch_of(instance, kind="new")  # type: ignore[arg-type]
    with Signals() as signals, only(index), mute(shipped), max_queries(index, 1):
        assert_type(signals, Signals)
    only()
    only("index")  # type: ignore[arg-type]


@only(index)
def test_only(number: int) -> int:
    return number


assert_type(test_only(1), int)


class OrderTests(OutboxTests, TestCase):
    def test_a_payment(self) -> None:
        assert_type(self.signals, Signals)
        assert_type(self.outbox, Outbox)
        assert_type(NotCalledError(index, Gone()).reason, SkipReason)


class ShippingTests(SignalTests):
    def test_a_parcel(self) -> None:
        self.signals.assert_sent(shipped)
        self.outbox  # type: ignore[attr-defined]  # noqa: B018
