"""Signals by their names in deliveries: found among the signals of this process, since a name imports nothing."""

from __future__ import annotations

from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from heliograph.catalogue import CATALOGUE
from heliograph.dispatch import live_signals
from heliograph.outbox.durable.registry import DurableReceiver, known
from heliograph.outbox.durable.stored_names import name_of
from heliograph.outbox.payload.errors import UnreadableError

# The signals that were found, by name.
_found: WeakValueDictionary[str, Any] = WeakValueDictionary()


def signal_named(name: str, durable: DurableReceiver) -> Any:
    """Return the signal with this name; of several, the one that the receiver is connected to."""
    found = durable.live_signal() if durable.signal == name else _found.get(name)
    if found is None:
        found = _found[name] = _looked_for(name, durable)
    return found


def _looked_for(name: str, durable: DurableReceiver) -> Any:
    found = next((entry.loaded() for entry in CATALOGUE.values() if entry.path == name), None)
    own = (one.live_signal() for one in known().get(durable.name, ()) if one.signal == name)
    named = (signal for signal in live_signals() if name_of(signal) == name)
    found = found or next(chain(own, named), None)
    if found is None:
        raise UnreadableError(f"There is no signal {name!r}: put it back, or discard the delivery.")
    return found
