"""The registry as text: each signal, its receivers with file and line, their senders and their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

from heliograph.bulk.listen import Bulk
from heliograph.conditions import Locked, Using, historical
from heliograph.dispatch import Condition, Signal, live_signals
from heliograph.dispatch.condition_base import Both
from heliograph.dispatch.connections import PLAIN, Connection, is_async
from heliograph.dispatch.describe import full_name, source
from heliograph.transactions.autocommit_save import Once


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
        **dict.fromkeys(_conditions(options.when), True),
        f"delivery={options.delivery!r}": options.delivery != PLAIN.delivery,
        f"{options.call!r}": options.call is not PLAIN.call,
        f"reentrant={options.reentrant}": options.reentrant != PLAIN.reentrant,
        "non-blocking": not options.blocking,
    }
    return ", ".join(text for text, shown in extras.items() if text and shown)


def _conditions(when: Condition | None) -> Iterator[str]:
    """Yield a condition as it was written: conditions that stand for using=, bulk= and fetch= are shown as options."""
    asked = [one for one in _asked(when) if not isinstance(one, Locked)]  # the receiver's call shows fetch= already
    yield from (repr(one) for one in asked if isinstance(one, Using | Bulk))
    rest = [one for one in asked if not isinstance(one, Using | Bulk) and one != ~historical]
    if rest:
        yield f"when={reduce(and_, rest)!r}"


def _asked(when: Condition | None) -> Iterator[Condition]:
    """Yield the parts of a condition that are combined by `&`."""
    match when:
        case Both(left=left, right=right):
            yield from _asked(left)
            yield from _asked(right)
        case Once(inner=inner):
            yield from _asked(inner)
        case Condition():
            yield when


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
