"""The listing of signals: each with its receivers, their files and lines, senders, and options as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from heliograph.dispatch import live_signals
from heliograph.flow.connected_receivers import ConnectedReceiver, connected_receivers
from heliograph.flow.receiver_filters import Filters

_ALL = Filters()


def lines(filters: Filters = _ALL, silent_too: bool = False) -> Iterator[str]:
    """Yield the lines of the receivers that match; `silent_too` adds signals without receivers."""
    receivers = connected_receivers()
    shown = [*_by_signal(filters.matching(receivers), filters if silent_too else None)]
    if not shown:
        yield filters.why_nothing(receivers)
    for name, of_signal in shown:
        yield name
        yield from aligned([_cells(one) for one in of_signal])


def _by_signal(
    matching: Sequence[ConnectedReceiver], silent: Filters | None
) -> Iterator[tuple[str, list[ConnectedReceiver]]]:
    """Yield the name of each signal with its receivers; also of those without receivers that match filters."""
    receivers = {number: [*found] for number, found in groupby(matching, lambda one: id(one.signal))}
    for signal in live_signals():
        name = str(signal.name)
        if found := receivers.get(id(signal)):
            yield name, found
        elif silent is not None and silent.match_silent(name):
            yield name, []


def _cells(one: ConnectedReceiver) -> tuple[str, ...]:
    return one.name, one.where, one.sender, extras(one.options)


def extras(options: Mapping[str, str | None]) -> str:
    """Return options as text, such as "order=-1, async, when=created"."""
    return ", ".join(name if value is None else f"{name}={value}" for name, value in options.items())


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines of columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
