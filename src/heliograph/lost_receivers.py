"""Lost receivers: local functions that were connected while Django loaded the apps, and that nothing has kept."""

from __future__ import annotations

import gc
from types import FunctionType
from typing import Any

from django.core.checks import CheckMessage, Warning

from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import describe
from heliograph.dispatch.inspection import connections_of

# Each with the text of its receiver, which is not known any more when it is lost, and of its signal.
_connected: list[tuple[Connection, str, str]] = []


def remember(signal: Any, receiver: Any) -> None:
    """Remember a local function that was connected weakly, such as one within `AppConfig.ready()`, for the checks."""
    if type(receiver) is FunctionType and "<" in receiver.__qualname__:
        found = [one for one in connections_of(signal) if one() is receiver]
        _connected.extend((one, describe(receiver), signal.name) for one in found)


def check_lost_receivers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each local function that was collected, and was not disconnected before."""
    if any(connection() is not None for connection, *_ in _connected):
        gc.collect()  # Django refers in a circle to a function that was connected to a model by its name
    return [
        Warning(
            f"A receiver of {name} was garbage collected, and is never called: it is a function within another one, and"
            " nothing has kept it.",
            hint="Define it in a module, such as receivers.py, keep a reference to it, or pass weak=False.",
            obj=text,
            id="heliograph.W004",
        )
        for connection, text, name in _connected
        if connection() is None and connection.bucket.index.get(connection.key) is connection
    ]
