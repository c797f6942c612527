"""Performing: a durable receiver is called with what a worker would read from the table."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from django.utils import timezone

from heliograph.context.kept_context import under
from heliograph.dispatch.describe import describe
from heliograph.outbox.delivery_rows import Claim
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.send.enqueueing import row_with_context, stored_at_last
from heliograph.outbox.send.storing import StoredCall
from heliograph.outbox.work.attempts import make_call
from heliograph.outbox.work.isolation import isolated
from heliograph.outbox.work.stored_contexts import context_of_attempt
from heliograph.outbox.write_transaction import block_of_attempt
from heliograph.testing.due_calls import DescribedSend, Receiver
from heliograph.testing.listening_receivers import connections_to


def perform(send: DescribedSend, using: str) -> Any:
    """Make the call of a send, and its context, into text and back, call the receiver, and return its response.

    Raises NotCalledError if the receiver is not due, TypeError for a value that cannot be stored, MissingError for an
    instance that has no row, and what the receiver raises.
    """
    _verify_durable(send.receiver)
    call = send.late_call()
    sent_using = call.payload.get("using") or using
    stored = stored_at_last(call, sent_using)
    if stored is None:
        raise send.refused()
    return _made(stored, sent_using)


def _made(stored: StoredCall, using: str) -> Any:
    row = row_with_context(stored, {})
    claim = Claim(**asdict(row), id=0, attempt=1, created_at=timezone.now(), worker="", using=using)
    with under(context_of_attempt(claim)):
        return isolated(partial(_called, claim, stored.durable))


def _called(claim: Claim, durable: DurableReceiver) -> Any:
    with block_of_attempt(claim.using, atomic=durable.policy.atomic):
        return make_call(claim, durable)


def _verify_durable(receiver: Receiver) -> None:
    if not any(one.connection.options.find(DurableReceiver) for one in connections_to(receiver)):
        raise TypeError(f"{describe(receiver)} has no delivery=Durable(...), and no worker calls it: use deliver().")
