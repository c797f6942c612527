"""Events: immutable facts about sends and calls, for observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.skip_reasons import SkipReason


class ObservedEvent:
    """The base class of events: of those here, and of `DeliveryEvent`.

    Numbers rise through the process, and each event that begins something has its own.
    """

    __slots__ = ()


# The fields of each event are a named tuple, which is made three times as fast as a frozen dataclass: while somebody
# watches, each receiver has an event.


class _Sent(NamedTuple):
    signal: AnySignal
    sender: Any
    kwargs: Mapping[str, Any]
    number: int
    parent: int | None


class Sent(ObservedEvent, _Sent):
    """A send has begun. A named tuple.

    - `signal` and `sender`: of the send.
    - `kwargs`: the payload without these two; the values are the objects themselves.
    - `number`: the number of the send.
    - `parent`: the number of the call in which the send was made, or None.
    """

    __slots__ = ()


class _Ended(NamedTuple):
    number: int
    seconds: float


class Ended(ObservedEvent, _Ended):
    """The send, save or attempt with this `number` has ended, after so many `seconds`. A named tuple.

    Of a send in async code, sync receivers may go on.
    """

    __slots__ = ()


class _Called(NamedTuple):
    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    seconds: float
    outcome: Any
    number: int
    parent: int | None
    payload: Mapping[str, Any]


class Called(ObservedEvent, _Called):
    """A call of a receiver has ended. A named tuple.

    - `signal`, `sender` and `receiver`: of the call.
    - `seconds`: how long the call took.
    - `outcome`: the response of the receiver, or its exception.
    - `number`: the number of the call.
    - `parent`: the number of its send; of its `PutOff` if a policy put the call off; in a worker, of the attempt; None
      if nobody watched the send.
    - `payload`: the values that were sent, with the signal and the sender; of a call with a batch, with the batch too.
    """

    __slots__ = ()


class _PutOff(NamedTuple):
    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    policy: Any
    number: int
    parent: int | None


class PutOff(ObservedEvent, _PutOff):
    """A delivery policy has kept the call of a receiver for later. A named tuple.

    `signal`, `sender` and `receiver` belong to the call, `policy` is the delivery policy, `number` the number of this
    event, and `parent` the number of the send.
    """

    __slots__ = ()


class _Skipped(NamedTuple):
    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    reason: SkipReason
    number: int
    parent: int | None


class Skipped(ObservedEvent, _Skipped):
    """A receiver that is connected to the signal and the sender was not called. A named tuple.

    `reason` says why: its text is for people, and its class is one of `heliograph.dispatch.skip_reasons`, such as
    `NotDue`. `number` is the number of this event, and `parent` the number of the send.
    """

    __slots__ = ()


class _Calling(NamedTuple):
    signal: AnySignal
    sender: Any
    receiver: Callable[..., Any]
    number: int
    parent: int | None


class Calling(_Calling):
    """A receiver is about to be called; `number` is the number that its `Called` event will have."""

    __slots__ = ()


# The kinds of events that sends cause.
OF_SENDS = (Sent, Ended, Called, PutOff, Skipped)
