"""The public names of Heliograph, Django's signal system made complete and safe to build on."""

from heliograph.dispatch import (
    Condition,
    Inline,
    ReentrancyError,
    Signal,
    capture,
    mute,
    observe,
    receiver,
    trace,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "Condition",
    "Inline",
    "ReentrancyError",
    "Signal",
    "capture",
    "mute",
    "observe",
    "receiver",
    "trace",
]
