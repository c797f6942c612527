"""Connected receivers as JSON: who receives what, where it is written, and its options as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from heliograph.flow.connected_receivers import ConnectedReceiver
from heliograph.flow.written_models import models_written_by

# The version of the format: a key that is added leaves it as it is.
VERSION = 1


def text_of(records: Sequence[dict[str, Any]]) -> str:
    """Return the document of records, with a line for each, so that a version control system shows each change."""
    lines = ",\n  ".join(json.dumps(one, ensure_ascii=False) for one in records)
    shown = f"\n  {lines}\n" if lines else ""
    return f'{{"version": {VERSION}, "receivers": [{shown}]}}'


def with_source(one: ConnectedReceiver) -> dict[str, Any]:
    """Return the record of a receiver with the models that it is known to write, and with its file and line."""
    file, line = one.source or (None, None)
    return {**record_of(one), "writes": [*models_written_by(one)], "file": file, "line": line}


def record_of(one: ConnectedReceiver) -> dict[str, Any]:
    """Return the record of a receiver, which is the same wherever its source is."""
    return {
        "signal": one.signal_name,
        "sender": one.sender,
        "receiver": one.name,
        "options": {name: True if value is None else value for name, value in one.options.items()},
    }
