"""Unpooled connections: a thread of a worker has a connection of its own, outside Django's pool."""

from __future__ import annotations

from typing import Any

from django.db import connections


def leave_pool(using: str) -> None:
    """Give this thread, until it ends, a connection to a database outside the pool that Django has for it.

    A pool lends connections to threads that come and go, and these stay. A worker with four threads left none of a pool
    of four connections to renew leases, and others made again what still ran.
    """
    pooled: Any = connections[using]
    if not pooled.settings_dict["OPTIONS"].get("pool"):
        return
    pooled.close()
    own = pooled.copy()
    del own.settings_dict["OPTIONS"]["pool"]
    connections[using] = own
