"""The signal that a timer sends to the statistics."""

from datetime import date

from heliograph import Signal


@Signal.define
def night_fell(sender, *, day: date) -> None:
    """A day has ended, and can be reported."""
