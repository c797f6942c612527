"""The registry as text: each signal, its receivers with file and line, their senders and their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from heliograph.dispatch import Signal, live_signals
from heliograph.dispatch.describe import full_name, source
from heliograph.dispatch.receivers import PLAIN, Connection, is_async


def lines(wanted: Sequence[str] = (), silent_too: bool = False) -> Iterator[str]:
    """Yield the lines of the registry, for signals whose name contains one of `wanted`, or for all."""
    listed = [signal for signal in live_signals() if not wanted or any(part in str(signal.name) for part in wanted)]
    rows = [(str(signal.name), list(_rows(signal))) for signal in listed]
    shown = [(name, cells) for name, cells in rows if cells or silent_too]
    if not shown:
        yield "No receiver is connected to such a signal." if wanted else "No receiver is connected."
    for name, cells in shown:
        yield name
        yield from _aligned(cells)


def _rows(signal: Signal[...]) -> Iterator[tuple[str, ...]]:
    for connection in signal._table.connections():
        receiver = connection.receiver()
        if receiver is not None:
            yield full_name(receiver), _place(receiver), _sender(connection), _extras(connection, receiver)


def _place(receiver: Any) -> str:
    place = source(receiver)
    return f"{_short(Path(place[0]))}:{place[1]}" if place else "-"


def _short(path: Path) -> Path:
    """Return a path as seen from here, or, for an installed package, from where it is imported."""
    roots = [Path(entry) for entry in (os.getcwd(), *sys.path) if entry and path.is_relative_to(entry)]
    return path.relative_to(roots[0]) if roots else path


def _sender(connection: Connection) -> str:
    bucket = connection.bucket
    sender = bucket.sender()
    if sender is None:
        return "any sender"
    label = getattr(getattr(sender, "_meta", None), "label", None)
    name = label or (f"{sender.__module__}.{sender.__qualname__}" if isinstance(sender, type) else repr(sender))
    return f"{name} and subclasses" if bucket.shared else name


def _extras(connection: Connection, receiver: Any) -> str:
    options = connection.guarded.options if connection.guarded else PLAIN
    extras = {
        f"order={connection.order}": connection.order,
        "async": is_async(receiver),
        f"when={options.when!r}": options.when and repr(options.when),
        f"delivery={options.delivery!r}": options.delivery != PLAIN.delivery,
        f"{options.call!r}": options.call is not PLAIN.call,
        f"reentrant={options.reentrant}": options.reentrant != PLAIN.reentrant,
        "non-blocking": not options.blocking,
    }
    return ", ".join(text for text, shown in extras.items() if text and shown)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
