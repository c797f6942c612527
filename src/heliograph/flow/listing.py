"""The listing of signals: each with its receivers, their files and lines, senders, and options as they were written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from heliograph.dispatch import live_signals
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import full_name, source
from heliograph.dispatch.identity import is_async
from heliograph.dispatch.inspection import connections_of
from heliograph.receivers.facts import AsksFor


def lines(wanted: Sequence[str] = (), silent_too: bool = False) -> Iterator[str]:
    """Yield the lines of all receivers, or of the receivers whose signal, name or sender contains a wanted part."""
    shown = [(name, rows) for name, rows in _listed(wanted, silent_too) if rows or silent_too]
    if not shown:
        yield "No signal, receiver or sender has such a name." if wanted else "No receiver is connected."
    for name, rows in shown:
        yield name
        yield from _aligned(rows)


def _listed(wanted: Sequence[str], silent_too: bool) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield each signal with its wanted receivers; with all, if the signal's own name contains a wanted part."""
    for signal in live_signals():
        name, rows = str(signal.name), [*_rows(signal)]
        if not wanted or _has_part(wanted, name):
            yield name, rows
        elif found := [row for row in rows if _has_part(wanted, row[0], row[2])]:
            yield name, found


def _has_part(wanted: Sequence[str], *texts: str) -> bool:
    return any(part in text for part in wanted for text in texts)


def _rows(signal: Any) -> Iterator[tuple[str, ...]]:
    for connection in connections_of(signal):
        receiver = connection.receiver()
        if receiver is not None:
            yield full_name(receiver), _file_and_line(receiver), _sender(connection), _extras(connection, receiver)


def _file_and_line(receiver: Any) -> str:
    found = source(receiver)
    return f"{_short(Path(found[0]))}:{found[1]}" if found else "-"


def _short(path: Path) -> Path:
    """Return a path as seen from here, or, for an installed package, from where it is imported."""
    roots = [Path(entry) for entry in (os.getcwd(), *sys.path) if entry and path.is_relative_to(entry)]
    return path.relative_to(roots[0]) if roots else path


def _sender(connection: Connection) -> str:
    sender = connection.sender
    if sender is None:
        return "any sender"
    label = getattr(getattr(sender, "_meta", None), "label", None)
    name = label or (f"{sender.__module__}.{sender.__qualname__}" if isinstance(sender, type) else repr(sender))
    return f"{name} and subclasses" if connection.is_of_subclasses else name


def _extras(connection: Connection, receiver: Any) -> str:
    options = connection.options
    asked, written = options.find(AsksFor), options.written()
    extras = {
        f"order={connection.order}": connection.order,
        "async": is_async(receiver),
        **{f"{name}={written.get(name)!r}": name in written for name in ("bulk", "using", "when", "delivery")},
        "changes": asked is not None and asked.changes,
        **{f"{name}={written.get(name)!r}": name in written for name in ("fetch", "writes", "keeps")},
        f"reentrant={options.reentrant}": "reentrant" in written,
        "non-blocking": "blocking" in written,
    }
    return ", ".join(text for text, shown in extras.items() if shown)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
