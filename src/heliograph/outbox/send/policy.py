"""The policy whose calls are made by a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from heliograph.catalogue import title
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe, full_name
from heliograph.dispatch.identity import Receiver, is_async
from heliograph.dispatch.option_errors import named_options
from heliograph.dispatch.options import Options
from heliograph.dispatch.verification import parameters_of, verify_function
from heliograph.outbox.durable.durable_options import DurableOptions
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.durable.stored_names import is_of_app, label_of
from heliograph.outbox.payload.secrecy import OF_THE_PROCESS, is_sensitive
from heliograph.outbox.send.enqueueing import write
from heliograph.outbox.send.storing import stored
from heliograph.transactions.pending import Stage


class ThisDelivery(NamedTuple):
    """The delivery for which a receiver is called, if the receiver has a parameter named `delivery`.

    `id` is its number. `attempt` is 1 for the first attempt. `idempotency_key` is a text that is the same in all
    attempts, for another system that must act only once. A named tuple.
    """

    id: int
    attempt: int  # 1 for the first
    idempotency_key: str  # the same in all attempts, for services that take one


@named_options
@dataclass(frozen=True, repr=False)
class Durable(DurableOptions):
    """The delivery policy that stores the call in the transaction of the send, for a worker to make after the commit.

    - `batch`: with `True`, there is one call for all sends of a transaction, and the receiver gets a `Batch`.
    - `queue`: the name of the queue from which workers take the call, up to 64 characters.
    - `retry`: how often the call is attempted, and when.
    - `key`: calls of one receiver with the same key are made one at a time, in the order of their commits. The key is a
      path into the payload ("order.customer_id"), or a function of the payload.
    - `atomic`: whether the writes of the receiver and the record of its success are one transaction. Use `False` for
      effects outside the database.
    - `backend`: the system whose workers make the call, an alias of `settings.HELIOGRAPH_OUTBOX`.
    - `missing`: what happens if an instance that the receiver asks for is gone. "discard", "retry" and "fail" make no
      call; "call" makes it with an instance that has only its primary key.
    - `aliases`: names that the receiver had in older releases, whose stored calls it takes over.
    - `warn_after`: an attempt that takes longer is logged. Seconds or a timedelta, up to ten years.
    - `give_up_after`: an async receiver that takes longer is cancelled. Seconds or a timedelta, more than `warn_after`.

    Raises TypeError or ValueError for an option with a wrong value. Where a receiver is connected, TypeError is raised
    for a receiver that no worker could find by its name, such as a lambda, for a receiver with `give_up_after` that is
    not async, and for a signal that is never about a database. A send raises TypeError or ValueError for a value that
    cannot be stored, and TransactionManagementError where commits are made by hand.
    """

    stage: ClassVar[Stage] = Stage.STORED
    extra: ClassVar[frozenset[str]] = frozenset(["delivery"])

    def connected(self, options: Options, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver whose calls are stored."""
        _verify_receiver(self, receiver, target)
        durable = DurableReceiver(full_name(receiver), receiver, target, self, options)
        return super().connected(options.with_facts(durable), receiver, target)

    # A call is made into text when it is sent, so that what cannot be stored fails there. It is written in the
    # transaction.
    kept = staticmethod(stored)
    make = staticmethod(write)


_ABOUT_SECRETS = (
    "HELIOGRAPH['SENSITIVE_FIELDS'] says so: leave it out and read what you need in the receiver, or change the"
    " setting."
)


# --- mistakes ---------------------------------------------------------------------------------------------------


def _verify_key(policy: Durable, receiver: Receiver, target: Target) -> None:
    """Raise TypeError or ValueError for a `key` that is not in the calls of the receiver."""
    if policy.key is not None and not isinstance(policy.key, str):
        verify_function("Durable(key=...)", policy.key)
        return
    if is_sensitive((policy.key or "").rpartition(".")[2]):
        raise ValueError(f"{describe(receiver)}: delivery={policy!r} would store a secret. {_ABOUT_SECRETS}")
    sent = ("using", "batch") if policy.batch else _sent(target)
    name = (policy.key or "").partition(".")[0]
    if sent is None or name in ("", "sender", "signal", *sent):
        return
    if policy.batch:
        advice = "A batch is one call for everything in a transaction: leave batch=True out, or the key."
    elif "instance" in sent and hasattr(target.sender, name):
        advice = f"Write key='instance.{policy.key}'."
    else:
        advice = f"It sends {', '.join(sent)}."
    raise TypeError(f"{describe(receiver)}: there is no {name!r} for delivery={policy!r} in a call. {advice}")


def _sent(target: Target) -> Sequence[str] | None:
    """Return all names that a signal sends; None if others may be sent."""
    return target.carries if target.is_exact else None


def _verify_secrets(policy: Durable, receiver: Receiver, target: Target) -> None:
    """Raise TypeError for a receiver with a parameter whose value is never stored."""
    sent = _sent(target)
    for parameter in parameters_of(receiver) or ():
        if is_sensitive(parameter.name) and (sent is None or parameter.name in sent):
            raise TypeError(
                f"{describe(receiver)} asks for {parameter.name!r}, which is never stored for delivery={policy!r}."
                f" {_ABOUT_SECRETS}"
            )


def _verify_end(policy: Durable, receiver: Receiver) -> None:
    """Raise TypeError for a sync receiver with `give_up_after`: nothing can stop it."""
    if policy.give_up_after is not None and not is_async(receiver):
        raise TypeError(
            f"{describe(receiver)} is not async, so that delivery={policy!r} cannot stop it: give_up_after= is for"
            " async receivers. Give the calls that it waits for a timeout, and use warn_after=."
        )


def _verify_receiver(policy: Durable, receiver: Receiver, target: Target) -> None:
    """Raise TypeError for a receiver with a parameter that cannot be stored, or that no worker could find."""
    _verify_key(policy, receiver, target)
    _verify_secrets(policy, receiver, target)
    _verify_end(policy, receiver)
    if not is_of_app(target.sender):
        raise TypeError(
            f"{describe(receiver)}: {label_of(target.sender)} is a model of no app, which no worker can find for"
            f" delivery={policy!r}. Leave delivery= out, or connect it to a model of an app."
        )
    entry = target.entry
    names = [parameter.name for parameter in parameters_of(receiver) or ()]
    for name in names:
        if entry is not None and name in OF_THE_PROCESS and name in entry.carries:
            raise TypeError(
                f"{describe(receiver)} asks for {name!r}, which cannot leave the process that sends {entry.name}:"
                f" delivery={policy!r} calls it in another one. Leave the parameter out."
            )
    if "delivery" in names and "delivery" in (target.carries or ()):
        raise TypeError(
            f"{describe(receiver)} asks for 'delivery', which {title(target.signal)} sends, and {policy!r} gives too:"
            " rename it in the signal."
        )
