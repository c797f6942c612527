"""The dispatcher: it runs signals, and imports nothing of Django."""

from heliograph.deprecation import moved
from heliograph.dispatch.capturing import capture
from heliograph.dispatch.condition_base import Condition, condition
from heliograph.dispatch.inspection import Connected, inspect
from heliograph.dispatch.muting import mute
from heliograph.dispatch.names import live_signals
from heliograph.dispatch.observed_events import Called, ObservedEvent, Sent
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
    "Fact",
    "Gate",
    "Inline",
    "ObservedEvent",
    "ReentrancyError",
    "Sent",
    "Signal",
    "add_observer",
    "capture",
    "condition",
    "inspect",
    "live_signals",
    "mute",
    "observe",
    "receiver",
]

__getattr__ = moved(__name__, {"trace": "heliograph.trace"}, removed_in="1.0")
