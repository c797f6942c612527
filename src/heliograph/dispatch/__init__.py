"""The dispatcher: it runs signals, Django's and your own, and imports nothing of Django.

A *receiver* is a function that is connected to a *signal*, for one *sender* or for every sender. A `Connection` is one
receiver of one sender; the connections of a sender are its `Bucket`, and all buckets of a signal are its `Table`. A
send takes a `Route` from there: the receivers to call, in order, as an immutable snapshot, so it needs no lock.

`Options` say how a receiver is called: a *condition* (`when=`) is tested for each send, a *delivery policy*
(`delivery=`) makes the call now or later, and *facts* are what a library knows about the receiver. A receiver with
options is called through a `Guarded`. A `Connector` makes the connections; each kind of signal has one. *Scopes* mute,
capture or observe the sends of a block, and *observers* may be for the whole process.

An example: `order_paid.send(Order, order=order)` is a generated function (`fast_send`). It finds the bucket of `Order`
and its route, calls each receiver with the payload, and returns pairs of receiver and response. If a scope is open, or
a receiver is async, `Signal.send` makes a `Send` instead, and `deliver` carries it out (`sends`).
"""

from heliograph.deprecation import moved
from heliograph.dispatch.capturing import capture
from heliograph.dispatch.condition_base import Condition, condition
from heliograph.dispatch.inspection import Connected, inspect
from heliograph.dispatch.muting import mute
from heliograph.dispatch.names import live_signals
from heliograph.dispatch.observed_calls import current_call
from heliograph.dispatch.observed_events import Called, Ended, ObservedEvent, PutOff, Sent, Skipped
from heliograph.dispatch.observers import add_observer, observe
from heliograph.dispatch.options import ConnectedPolicy, Fact, Gate
from heliograph.dispatch.policies import Call, DeliveryPolicy, Inline
from heliograph.dispatch.reentrancy import ReentrancyError
from heliograph.dispatch.registration import receiver
from heliograph.dispatch.signal import Signal

__all__ = [
    "Call",
    "Called",
    "Condition",
    "Connected",
    "ConnectedPolicy",
    "DeliveryPolicy",
    "Ended",
    "Fact",
    "Gate",
    "Inline",
    "ObservedEvent",
    "PutOff",
    "ReentrancyError",
    "Sent",
    "Signal",
    "Skipped",
    "add_observer",
    "capture",
    "condition",
    "current_call",
    "inspect",
    "live_signals",
    "mute",
    "observe",
    "receiver",
]

__getattr__ = moved(__name__, {"trace": "heliograph.trace"}, removed_in="1.0")
